"""A map checked by a sample: drawing, answers, what follows, and that all of it is in the log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from seglab import errors
from seglab.app.history.as_code import as_code
from seglab.app.history.replay import replay
from seglab.app.history.state import reduce
from seglab.app.session import LabelSession
from seglab.inference.sweep import UNMAPPED, Prediction
from seglab.jobs import SilentReporter, start
from seglab.store.project import Project
from tests.conftest import lake_mask
from tests.rasters import make_raster

NAMES = {"water": 1, "field": 2, "background": 0}


def truth(shape: tuple[int, int] = (384, 512)) -> np.ndarray:
    """(384, 512): lakes are water, the southern half of the rest is field."""
    rows = np.indices(shape)[0]
    return np.where(lake_mask(shape), 1, np.where(rows > 192, 2, 0)).astype(np.uint8)


def write_map(path: Path, seed: int = 0, like: Path | None = None) -> Path:
    """A class map of the lakes of which 15 % are wrong, with a strip of no data."""
    rng = np.random.default_rng(seed)
    found = truth()
    wrong = rng.random(found.shape) < 0.15
    found[wrong] = (found[wrong] + rng.integers(1, 3, wrong.sum())) % 3
    found[:, -32:] = UNMAPPED
    make_raster(
        path, data=found[None], nodata=UNMAPPED, crs="EPSG:32633",
        transform=rasterio.transform.from_origin(500_000, 5_000_000, 10, 10),
    )  # fmt: skip
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, class_1="water", class_2="field")
    return path


def mapped(session: LabelSession, number: int = 1) -> Prediction:
    """Have a map of the scene, as if a model had made it."""
    path = write_map(session.project.folder / "maps" / f"map_{number:03d}.tif", number)
    data = {"round": 0, "classes": ["water", "field"], "path": path.relative_to(session.project.folder).as_posix()}
    session._ledger.record("prediction", data | {"confidence": data["path"]}, "prediction")
    assert session.prediction is not None
    return session.prediction


def answer_all(session: LabelSession, until: int | None = None) -> None:
    """Answer places rightly."""
    there = truth()
    names = {value: name for name, value in NAMES.items()}
    check = session.check
    for number, unit in enumerate(check.sample.units[:until]):
        session.answer_check(names[int(there[unit.row, unit.col])], number)


@pytest.fixture
def session(open_lakes) -> LabelSession:
    session = open_lakes()
    (session.project.folder / "maps").mkdir()
    mapped(session)
    return session


def test_from_a_map_to_areas(session: LabelSession) -> None:
    told: list[str] = []
    session.subscribe(lambda _, what: told.append(what))
    check = session.start_check(seed=4)
    assert check.size == 204 and check.answered == 0 and set(check.classes) == set(NAMES) and told == ["check"]
    assert 0.04 < check.expected_margin < 0.06
    answer_all(session)
    assert told == ["check"] * 205 and session.check.next is None
    found = session.area_estimate()
    wrong = 1 - found.overall.value
    assert 0.05 < wrong < 0.25 and found.unit == "ha" and found.notes == ()
    ground = truth()[:, :-32]
    for name, value in NAMES.items():
        hectares = (ground == value).sum() * 0.01
        area = found.areas[name]
        assert area.low - 1.5 * area.se < hectares < area.high + 1.5 * area.se, name
    assert found.total == pytest.approx(ground.size * 0.01, rel=2e-3)


def test_what_the_map_has(session: LabelSession) -> None:
    with rasterio.open(session.prediction.path) as file:
        values = file.read(1)
    found = session.map_areas()
    assert dict(found["pixels"]) == {name: (values == value).sum() for name, value in NAMES.items()}
    assert found["hectares"].sum() == pytest.approx((values != UNMAPPED).sum() * 0.01, rel=2e-3)


def test_answers_are_kept_undone_and_redone(session: LabelSession, open_lakes) -> None:
    session.start_check(60, seed=1)
    assert session.answer_check("water") == 1
    assert session.answer_check("background") == 2
    assert session.answer_check(None) == 3
    assert session.answer_check("field", 0) == 3
    assert dict(session.check.answers) == {0: "field", 1: "background", 2: None}
    again = open_lakes()
    assert again.check == session.check and again.check.next == 3
    assert again.undo() == "an answer of the map's check"
    assert again.check.answers[0] == "water"
    with session._ledger.acting():
        assert session.check.answers[0] == "water"  # the other notebook has undone it
    for _ in range(3):
        session.undo()
    assert session.check.answered == 0
    session.redo()
    assert dict(session.check.answers) == {0: "water"}
    session.undo()
    assert session.undo() == "start a check of the map" and session.check is None


def test_a_new_check_gives_the_old_one_back_when_it_is_undone(session: LabelSession) -> None:
    first = session.start_check(60, seed=1)
    session.answer_check("water")
    second = session.start_check(60, seed=2)
    assert second.id != first.id and second.sample.units != first.sample.units and second.answered == 0
    session._ledger.record("check_answer", {"check": first.id, "unit": 5, "class": "water"}, "check")  # elsewhere
    assert session.check.answered == 0
    session.undo()
    session.undo()
    assert session.check.id == first.id and dict(session.check.answers) == {0: "water"}


def test_samples_are_seeded(session: LabelSession) -> None:
    one, other = (session.start_check(60, seed=9).sample for _ in range(2))
    assert one == other != session.start_check(60).sample


def test_too_little_is_answered(session: LabelSession) -> None:
    with pytest.raises(errors.MapCheckError, match="start_check"):
        session.area_estimate()
    session.start_check(60, seed=1)
    with pytest.raises(errors.MapCheckError, match=r"'background' \(0\)"):
        session.area_estimate()
    answer_all(session, until=40)
    session.answer_check(None, 41)
    found = session.area_estimate()
    assert found.checked == 40 and found.unchecked == 19 and found.left_out == 1
    assert "19 places of the sample are not checked yet." in found.notes


def test_wrong_answers_are_refused(session: LabelSession) -> None:
    with pytest.raises(errors.MapCheckError, match="no check"):
        session.answer_check("water")
    check = session.start_check(12, least=2)
    with pytest.raises(errors.UnknownClassError, match="'background', or None"):
        session.answer_check("road")
    with pytest.raises(errors.MapCheckError, match="0 to 11"):
        session.answer_check("water", 12)
    for _ in range(check.size):
        session.answer_check("water")
    with pytest.raises(errors.MapCheckError, match="every place"):
        session.answer_check("water")


def test_classes_that_change_their_names(session: LabelSession) -> None:
    session.start_check(60, seed=1)
    answer_all(session)
    before = session.area_estimate()
    session.rename_class("water", "lake")
    found = session.area_estimate()
    assert set(found.classes) == {"background", "lake", "field"}
    assert found.areas["lake"].value == before.areas["water"].value
    session.merge_classes("lake", "field")
    merged = session.area_estimate()
    assert set(merged.classes) == {"background", "field"} and merged.overall.value >= before.overall.value
    both = before.areas["water"].value + before.areas["field"].value
    assert merged.areas["field"].value == pytest.approx(both)
    session.undo()
    session.undo()
    assert session.area_estimate().to_dict() == before.to_dict()


def test_the_map_is_the_same_file(session: LabelSession, tmp_path: Path) -> None:
    session.start_check(60, seed=1)
    answer_all(session)
    path = session.prediction.path
    assert session.check_remarks == ()
    shutil.copy(path, tmp_path / "copy.tif")
    path.unlink()
    assert "gone" in session.area_estimate().notes[0]
    shutil.copy(tmp_path / "copy.tif", path)  # written anew, with the same bytes
    assert session.check_remarks == ()
    mapped(session, 2)
    assert "map_002.tif is a later map" in session.check_remarks[0]
    write_map(path, seed=5)
    assert "was changed" in session.area_estimate().notes[0]


def test_another_map_of_the_scene(session: LabelSession, tmp_path: Path) -> None:
    path = write_map(tmp_path / "other.tif", seed=3)
    check = session.start_check(30, path, seed=1)
    assert set(check.classes) == set(NAMES) and check.map["path"] == str(path)
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, class_2="meadow")
    with pytest.raises(errors.UnknownClassError, match="'meadow'"):
        session.start_check(30, path)
    unnamed = make_raster(tmp_path / "unnamed.tif", data=np.full((1, 384, 512), 3, np.uint8), crs=None, transform=None)
    with pytest.raises(errors.MapCheckError, match="scene's grid"):
        session.start_check(30, unnamed)
    with rasterio.open(path) as file:
        profile = file.profile
    with rasterio.open(unnamed, "w", **profile) as file:
        file.write(np.full((384, 512), 3, np.uint8), 1)
    with pytest.raises(errors.UnknownClassError, match="class_3"):
        session.start_check(30, unnamed)
    assert session.check == check


def test_each_scene_has_a_check_of_its_own(session: LabelSession, dry_lakes_path: Path) -> None:
    check = session.start_check(30, seed=1)
    other = session.open_scene(session.add_scene(dry_lakes_path))
    try:
        assert other.check is None
        other.import_check(check.to_json())
        other.answer_check("water")
        assert other.check.answered == 1 and session.check == check
    finally:
        other.close()


def test_without_a_map(open_lakes) -> None:
    with pytest.raises(errors.NoPredictionError, match="map it"):
        open_lakes().start_check()


def test_the_code_starts_the_same_check(session: LabelSession, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    session.start_check(40, seed=1)
    session.answer_check("field")
    session.answer_check(None)
    code = as_code(session.project.events(), session.project.manifest)
    names: dict[str, LabelSession] = {}
    exec(compile(code, "as_code", "exec"), names)
    again = names["session"]
    try:
        assert again.check.sample == session.check.sample and again.check.answers == session.check.answers
        assert "gone" in again.check_remarks[0]  # the map belongs to the other project
    finally:
        again.close()


def test_a_check_of_another_scene_is_refused(session: LabelSession) -> None:
    data = session.start_check(40, seed=1).to_json()
    with pytest.raises(errors.MapCheckError, match="no check of a map"):
        session.import_check({"map": {}})
    far = json.loads(json.dumps(data))
    far["units"][0][0] = 512
    with pytest.raises(errors.MapCheckError, match="outside the scene"):
        session.import_check(far)


def test_a_replay_has_the_check(session: LabelSession, tmp_path: Path) -> None:
    session.start_check(40, seed=1)
    session.answer_check("field")
    found = replay(SilentReporter(), session.project.folder, tmp_path / "again.seglab")
    assert found.equal and reduce(Project.open(tmp_path / "again.seglab").events()).check == session.check


def test_a_damaged_answer_says_so(session: LabelSession) -> None:
    check = session.start_check(40, seed=1)
    events = session.project.events()
    session.project.append("check_answer", {"check": check.id, "unit": 99, "class": "water"})
    with pytest.raises(errors.ProjectDamagedError, match="check_answer"):
        reduce(session.project.events())
    assert reduce(events).check == check


class Stopping(SilentReporter):
    """Is told twice how far the work is; then it is cancelled."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def update(self, done: float = 0, total: float | None = None, **values: object) -> None:
        self.shares.append(done / total)
        if len(self.shares) == 2:
            raise errors.JobCancelled("cancelled")


def test_drawing_is_a_job_that_can_be_cancelled(session: LabelSession) -> None:
    job = start(lambda reporter: session.start_check(40, reporter=reporter), title="draw")
    assert job.result().size == 40 and job.progress.fraction == 1
    events, stopping = len(session.project.events()), Stopping()
    with pytest.raises(errors.JobCancelled):
        session.start_check(40, reporter=stopping)
    assert stopping.shares == [0.5, 1.0] and len(session.project.events()) == events
