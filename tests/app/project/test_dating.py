"""Sessions on a source with several dates: the lakes, two of which were dry a year before."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import shapely
import xarray as xr

import seglab
from seglab.app.history.as_code import as_code
from seglab.app.history.replay import Drawing, replay
from seglab.app.rounds.round_scenes import RoundScene
from seglab.app.session import LabelSession
from seglab.core.windows import Window
from seglab.errors import DateError, WriteError
from seglab.jobs import SilentReporter
from tests.conftest import LAKES

DRY, WET = DATES = ("2020-06-01", "2021-06-03")
LAKE = LAKES[1][:2]
"""Dry on the first date."""
ALWAYS = LAKES[2][:2]
"""A lake on both."""


@pytest.fixture
def source(lakes_path: Path, dry_lakes_path: Path) -> dict[str, Path]:
    return {WET: lakes_path, DRY: dry_lakes_path}


@pytest.fixture
def open_dated(open_lakes: Callable, source: dict[str, Path]) -> Callable[..., LabelSession]:
    def open_(**changes: object) -> LabelSession:
        session = open_lakes(**{"source": source} | changes)
        session.prefetches = False
        return session

    return open_


def accept(session: LabelSession, place: tuple[float, float], class_name: str = "water") -> None:
    session.click(*place, crs="pixel")
    session.accept(class_name)


def test_clicks_are_answered_on_the_date_in_use(open_dated) -> None:
    session = open_dated()
    assert (session.dates, session.date) == (DATES, WET)
    heard = []
    session.subscribe(lambda _, what: heard.append(what))
    window = session.click(*LAKE, crs="pixel").window
    wet = session.mask.full()
    session.use_date("2020")
    assert session.date == DRY and heard.count("date") == 1
    assert len(session.prompts.points) == 1  # asked again, on that date
    dry = session.mask.full()
    assert session.scene is session.scene_at(DRY) is not session.scene_at(WET)
    # each date has its own embedding, and none is taken for the other's
    encoders = session._learner.current.encoders
    keys = [encoders.of(date).embedding_key(window) for date in DATES]
    assert keys[0] != keys[1] and all(encoders.of(date).is_encoded(window) for date in DATES)
    assert session.encoded_windows == encoders.of(DRY).encoded()
    session.use_date(WET)
    assert np.array_equal(session.mask.full(), wet) and not np.array_equal(wet, dry)
    session.use_date(WET)
    assert heard.count("date") == 2
    with pytest.raises(DateError, match="2020-06-01, 2021-06-03"):
        session.use_date("2022")
    assert session.date == WET


def test_objects_know_their_date_through_every_edit(open_dated) -> None:
    session = open_dated()
    accept(session, ALWAYS)
    session.use_date(DRY)
    accept(session, LAKES[0][:2])
    session.paint(shapely.box(200, 80, 210, 90), crs="pixel")
    session.use_date(WET)
    assert session.mask is None  # drawn for the other date
    session.paint(shapely.box(200, 80, 210, 90), crs="pixel")
    session.accept("field")
    session.propose_objects([shapely.box(5, 5, 15, 15)], ["field"], origin="a rule", crs="pixel")
    session.use_date(DRY)
    session.confirm(session.proposals[0].id)
    assert [o.date for o in session.objects] == [WET, DRY, WET, WET]
    first, second, *_ = session.objects
    session.split(first.id, shapely.LineString([(330, 100), (330, 380)]), crs="pixel")
    session.edit(second.id, class_name="field")
    assert sorted(o.date for o in session.objects) == [DRY, WET, WET, WET, WET]
    assert set(session.labels["date"]) == set(DATES)
    for _ in range(2):
        session.undo()
    assert [o.date for o in session.objects] == [WET, DRY, WET, WET]
    session.review(shapely.box(0, 0, 50, 50), crs="pixel")
    assert session.state.reviewed_on == (DRY,)


def test_a_project_without_dates_says_nothing_of_them(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    accept(session, ALWAYS)
    session.review(shapely.box(0, 0, 50, 50), crs="pixel")
    assert (session.dates, session.date, session.objects[0].date) == ((), "", "")
    assert session.imagery_of("") is session.scene
    assert all("date" not in event.data for event in session.project.events())
    assert not {"date", "dates"} & set(session.project.manifest["scene"])
    assert "date" not in session.as_code(check=False)
    with pytest.raises(DateError, match="no time axis"):
        session.use_date("2020")
    with pytest.raises(DateError, match="no time axis"):
        open_lakes(date="2020", project=tmp_path / "other.seglab")


def test_reopening_brings_the_date_back_and_a_project_may_get_more_dates(open_dated, open_lakes, source) -> None:
    first = open_dated(date=WET)
    accept(first, ALWAYS)
    first.use_date(DRY)
    assert open_dated().date == DRY
    more = open_dated(source=source | {"2022-07-01": source[WET]})
    assert (more.date, more.dates[-1], more.objects[0].date) == (DRY, "2022-07-01", WET)
    assert list(more.project.manifest["scene"]["dates"]) == [*DATES, "2022-07-01"]
    assert open_dated(date="2021").date == WET
    # without its dates the imagery that is there is taken
    assert open_lakes().objects == first.objects


def test_no_output_over_the_imagery_of_any_date(open_dated, source) -> None:
    session = open_dated()
    accept(session, ALWAYS)
    for path in source.values():
        before = path.read_bytes()
        with pytest.raises(WriteError, match="the scene itself"):
            session.export(path)
        assert path.read_bytes() == before


def test_rounds_show_each_object_on_its_own_date(open_dated, source) -> None:
    session = open_dated()
    accept(session, ALWAYS)
    accept(session, LAKE)
    session.use_date(DRY)
    accept(session, LAKES[0][:2])
    accept(session, LAKE, "field")  # the same ground, which is none of the lake on this date
    session.review(shapely.box(0, 0, 60, 60), crs="pixel")
    made = _plan(session)
    (shown,) = made.scenes
    assert shown.card["dates"] == {date: sum(o.date == date for o in made.trained) for date in DATES}
    assert min(shown.dates.values()) > 0 and f"{shown.dates[DRY]} of {DRY}" in made.notes[0]
    scenes = {date: seglab.core.raster.Scene.open(path) for date, path in source.items()}
    windows = {o.date: o.window for o in made.trained}
    plain = {chip.rgb.tobytes() for chip in made.job.chips}
    for date, scene in scenes.items():
        assert scene.rgb(windows[date])[0].tobytes() in plain
        scene.close()


def _plan(session: LabelSession):
    from seglab.app.rounds.held_out import Seen
    from seglab.app.rounds.making import plan_round
    from seglab.training.job import RoundConfig

    learner = session._learner
    scene = RoundScene("lakes", learner.current, session.state, Seen())
    return plan_round(
        SilentReporter(), learner.base, {}, [scene],
        adapter="atl_a", config=RoundConfig(steps=20, augment=False), cache=(session.project.cache_folder, 2**20),
    )  # fmt: skip


def test_a_round_goes_on_while_another_date_is_taken_and_is_in_use_on_all(open_dated) -> None:
    session = open_dated()
    accept(session, ALWAYS)
    job = session.retrain(steps=2)
    session.use_date(DRY)
    made = job.result()
    assert session.round == made.number == 1 and made.card["scenes"][0]["dates"] == {WET: 1}
    mask = session.click(*LAKE, crs="pixel")
    assert mask.round == 1 and session.date == DRY
    session.set_area_of_interest(shapely.box(0, 0, 50, 50), crs="pixel")
    session.predict().result()
    assert session.state.prediction["date"] == DRY


def test_the_code_and_a_replay_use_the_dates_again(open_dated, tmp_path: Path, monkeypatch) -> None:
    session = open_dated()
    accept(session, LAKE)
    session.use_date(DRY)
    accept(session, LAKES[0][:2])
    accept(session, LAKE, "field")
    session.use_date(WET)
    code = session.as_code()
    assert code.count("session.use_date") == 2 and "paint" not in code  # to the earlier date, and back at the end
    monkeypatch.chdir(tmp_path)
    names: dict[str, LabelSession] = {}
    exec(compile(code, "as_code", "exec"), names)
    again = names["session"]
    try:
        assert (again.dates, again.date) == (DATES, WET)
        assert [o.date for o in again.objects] == [o.date for o in session.objects]
        assert all(a.geometry.equals(b.geometry) for a, b in zip(again.objects, session.objects, strict=True))
    finally:
        again.close()
    done = replay(SilentReporter(), session.project.folder, drawing=Drawing(device="cpu"))
    assert done.equal and [mask.iou for mask in done.masks] == [1.0] * 3


def test_a_scene_with_dates_among_others(open_lakes, source, tmp_path: Path) -> None:
    project = tmp_path / "both.seglab"
    first = open_lakes(source=[source[WET], source], project=project)
    assert first.dates == () and len(first.scenes) == 2
    with closing(first.open_scene(list(first.scenes)[1])) as second:
        assert (second.dates, second.date) == (DATES, WET)
        second.use_date(DRY)
        accept(second, ALWAYS)
    accept(first, ALWAYS)
    with closing(first.open_scene(second.scene_name)) as again:
        assert again.date == DRY and [o.date for o in again.objects] == [DRY]
    made = first.retrain(steps=1).result()  # from the scene without dates
    assert made.card["scenes"][1]["dates"] == {DRY: 1} and "dates" not in made.card["scenes"][0]
    code = first.as_code(check=False)
    assert f"'{DRY}': " in code and f"session.use_date('{DRY}')" in code


def test_a_stack_in_memory(open_lakes, source, tmp_path: Path) -> None:
    images = []
    for date in DATES:
        with seglab.core.raster.Scene.open(source[date]) as scene:
            images.append(scene.read(Window(0, 0, 512, 384), (1, 2, 3))[0].astype("uint8"))
    times = np.array(DATES, dtype="datetime64[ns]")
    cube = xr.DataArray(np.stack(images), dims=("time", "band", "y", "x"), coords={"time": times}, name="lakes")
    session = open_lakes(source=cube, project=tmp_path / "cube.seglab")
    assert (session.dates, session.date) == (DATES, WET)
    session.click(*LAKE, crs="pixel")
    session.accept("water")
    assert "the imagery was in memory" in as_code(session.project.events(), session.project.manifest)
    assert json.loads((tmp_path / "cube.seglab" / "project.json").read_text())["scene"]["dates"] == dict.fromkeys(DATES)
    assert open_lakes(source=cube, project=tmp_path / "cube.seglab", date=DRY).objects == session.objects
