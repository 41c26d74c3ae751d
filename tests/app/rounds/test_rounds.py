"""Rounds as a person meets them: kept out of ground, judged, compared, exported, imported, previewed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from seglab import errors
from seglab.app.rounds import round_scenes, trainer
from seglab.training.process import run_round
from seglab.training.validation import Validation
from tests.conftest import LAKES


def label(session: object, lakes: tuple = LAKES[:2]) -> None:
    for col, row, _ in lakes:
        session.click(col, row, crs="pixel")
        session.accept("water")


def judged(verdict: str) -> Validation:
    return Validation(verdict, f"{verdict} than the round before", 6, {}, {}, {})


def test_a_worse_round_is_kept_but_not_used(open_lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_lakes()
    label(session)
    first = session.retrain(steps=1).result()
    assert not first.worse and "too few held-out objects" in first.verdict
    monkeypatch.setattr(
        trainer, "run_round", lambda *a, **k: dataclasses.replace(run_round(*a, **k), validation=judged("worse"))
    )
    heard = []
    session.subscribe(lambda _, what: heard.append(what))
    second = session.retrain(steps=1).result()
    assert second.worse and second.verdict == "worse than the round before"
    assert (session.round, [r.number for r in session.rounds]) == (1, [1, 2])
    assert heard[-1] == "round"
    assert open_lakes().round == 1
    session.rollback(2)  # a person may use it all the same
    assert session.round == 2
    session.undo()
    assert session.round == 1


def test_never_train_areas_are_not_trained_on(open_lakes) -> None:
    session = open_lakes()
    label(session, LAKES[:3])
    col, row, radius = LAKES[2]
    session.never_train(shapely.box(col - radius, row - radius, col + radius, row + radius), crs="pixel")
    assert len(session.kept_out) == 1
    card = session.retrain(steps=1).result().card
    assert card["labels"] == [o.id for o in session.objects[:2]]
    assert (card["objects"], card["objects_held_out"]) == (2, 1)
    assert session.undo() == "round 1"
    assert session.undo() == "mark an area as never trained on"
    assert session.kept_out == ()


def test_all_objects_kept_out_says_so(open_lakes) -> None:
    session = open_lakes()
    label(session)
    session.never_train(shapely.box(0, 0, 512, 384), crs="pixel")
    with pytest.raises(errors.NoLabelsError, match="kept out of training"):
        session.retrain()


def test_held_out_ground_is_chosen_once_and_kept(open_lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_lakes()
    label(session, LAKES[:3])
    monkeypatch.setattr(round_scenes, "MINIMUM_LABELLED", 3)
    asked = []

    def choose(shape: tuple[int, int], side: int, outlines: dict, windows: dict, seen: set) -> shapely.Polygon:
        assert outlines.keys() == windows.keys()
        asked.append((shape, side, len(outlines), set(seen)))
        col, row, _ = LAKES[1]
        return shapely.box(col - 10, row - 10, col + 10, row + 10)

    monkeypatch.setattr(round_scenes, "choose_blocks", choose)
    first = session.retrain(steps=1).result().card
    assert asked == [((384, 512), 224, 3, set())]
    assert first["objects_held_out"] == 1 and session.objects[1].id not in first["labels"]
    session.retrain(steps=1).result()
    again = open_lakes()
    again.retrain(steps=1).result()
    assert len(asked) == 1
    assert again.kept_out == session.kept_out
    kinds = [e.kind for e in again.project.events()]
    assert kinds.count("held_out") == 1
    while again.can_undo:  # no undo reaches it
        again.undo()
    assert len(again.kept_out) == 1


def test_compare_shows_two_rounds(open_lakes) -> None:
    session = open_lakes()
    label(session)
    for _ in range(2):
        session.retrain(steps=1).result()
    table = session.compare(1, 2)
    assert "| | round 1 | round 2 |" in table and "| parent | 0 | 1 |" in table and "| objects | 2 | 2 |" in table
    with pytest.raises(errors.UnknownRoundError, match=r"\[1, 2\]"):
        session.compare(1, 9)


def test_a_round_goes_to_another_project(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    label(session)
    session.retrain(steps=2).result()
    col, row, _ = LAKES[3]
    expected = session.click(col, row, crs="pixel").logits
    path = session.export_round(1, tmp_path / "water.safetensors")
    other = open_lakes(project=tmp_path / "other.seglab", classes=["field"])
    adopted = other.import_round(path)
    assert (adopted.number, other.round, adopted.verdict) == (1, 1, "imported from water.safetensors")
    assert "water" in other.classes
    np.testing.assert_array_equal(other.click(col, row, crs="pixel").logits, expected)
    assert other.project.rounds()[0]["labels"] == []  # its objects are of another project
    assert other.undo() == "the last click"
    assert other.undo() == "round 1" and other.round == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"adapt_from": "last"}, "adapt_from=6"), ({"bands": (3, 2, 1)}, "bands"), ({"adapter": "lora"}, "'atl_a'")],
)
def test_a_round_that_does_not_fit_is_refused(open_lakes, tmp_path: Path, settings: dict, says: str) -> None:
    session = open_lakes()
    label(session)
    session.retrain(steps=1).result()
    path = session.export_round(1, tmp_path / "water.safetensors")
    other = open_lakes(project=tmp_path / "other.seglab", **settings)
    with pytest.raises(errors.RoundMismatchError, match=says):
        other.import_round(path)
    assert other.rounds == [] and other.round == 0
    with pytest.raises(errors.RoundFileError, match="export it again"):
        other.import_round(tmp_path / "missing.safetensors")
    with pytest.raises(errors.RoundFileError, match="choose a name"):
        session.export_round(1, tmp_path / "water.txt")


def test_a_preview_is_in_use_while_the_round_trains(open_lakes) -> None:
    session = open_lakes()
    label(session)
    seen = []
    session.subscribe(lambda s, what: seen.append((s.round, s.previewing)) if what == "round" else None)
    session.retrain(steps=2).result()
    assert seen == [(0, True), (1, False)]


def test_a_failed_round_ends_its_preview(open_lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_lakes()
    label(session)
    col, row, _ = LAKES[3]
    before = session.click(col, row, crs="pixel").logits

    def fail(reporter: object, job: object, on_preview: object, isolate: bool) -> None:
        def then_stop(tensors: dict) -> None:
            on_preview(tensors)
            assert session.previewing
            raise errors.TrainingError("the process died")

        run_round(reporter, job, then_stop, isolate)

    monkeypatch.setattr(trainer, "run_round", fail)
    with pytest.raises(errors.TrainingError, match="died"):
        session.retrain(steps=2).result()
    assert not session.previewing and session.round == 0 and session.rounds == []
    session.reject()
    np.testing.assert_array_equal(session.click(col, row, crs="pixel").logits, before)


def test_extra_bands_change_nothing_until_trained(tmp_path: Path, lakes_path: Path) -> None:
    import rasterio

    import seglab

    with rasterio.open(lakes_path) as source:
        rgb, profile = source.read(), source.profile
    rng = np.random.default_rng(0)
    more = np.concatenate([rgb, rng.integers(0, 255, (2, *rgb.shape[1:]), dtype=np.uint8)])
    path = tmp_path / "five.tif"
    with rasterio.open(path, "w", **{**profile, "count": 5}) as target:
        target.write(more)
    settings = {"classes": ["water"], "device": "cpu", "bands": (1, 2, 3), "isolate": False}
    with_extra = seglab.open(path, project=tmp_path / "a.seglab", extra_bands=(4, 5), **settings)
    plain = seglab.open(path, project=tmp_path / "b.seglab", **settings)
    col, row, _ = LAKES[3]
    click = {"x": col, "y": row, "crs": "pixel"}
    np.testing.assert_array_equal(with_extra.click(**click).logits, plain.click(**click).logits)
    for session in (with_extra, plain):
        session.reject()
    label(with_extra)
    with_extra.retrain(steps=3).result()
    tensors, card = with_extra.project.load_round(1)
    assert card["extra_bands"] == [4, 5]
    assert any(name.startswith("band_branch") and np.abs(tensor).max() > 0 for name, tensor in tensors.items())
    again = seglab.open(path, project=tmp_path / "a.seglab", device="cpu", isolate=False)
    np.testing.assert_array_equal(again.click(**click).logits, with_extra.click(**click).logits)
    with pytest.raises(errors.BandError, match="no band 9"):
        seglab.open(path, project=tmp_path / "c.seglab", extra_bands=(4, 9), **settings)
    assert not (tmp_path / "c.seglab").exists()
    for session in (with_extra, plain, again):
        session.close()


def test_projects_from_before_adapters_had_families_open(open_lakes, tmp_path: Path) -> None:
    manifest = Path(open_lakes().project.folder) / "project.json"
    old = json.loads(manifest.read_text())
    del old["adapter"], old["extra_bands"]
    manifest.write_text(json.dumps(old | {"schema": 1}))
    assert open_lakes().project.manifest["adapter"] == "atl_a"


def test_rounds_from_before_adapters_had_families_are_used(open_lakes) -> None:
    session = open_lakes()
    label(session)
    session.retrain(steps=1).result()
    expected = session.click(*LAKES[3][:2], crs="pixel").logits
    folder = Path(session.project.folder)
    manifest, card = folder / "project.json", folder / "rounds" / "001" / "card.json"
    old = json.loads(card.read_text())
    for key in ("weights", "extra_bands", "scenes", "verdict"):
        del old[key]
    card.write_text(json.dumps(old | {"adapter": "atl-a", "prefix": "a hash of then"}))
    settings = json.loads(manifest.read_text())
    del settings["adapter"], settings["extra_bands"]
    manifest.write_text(json.dumps(settings | {"schema": 1}))
    again = open_lakes()
    assert again.problem is None and again.round == 1
    np.testing.assert_array_equal(again.click(*LAKES[3][:2], crs="pixel").logits, expected)
    again.reject()
    assert again.retrain(steps=1).result().parent == 1


def test_undo_of_a_label_does_not_need_the_round(open_lakes) -> None:
    session = open_lakes()
    label(session)
    session.retrain(steps=1).result()
    label(session, LAKES[2:3])
    (weights,) = (Path(session.project.folder) / "rounds").glob("*/*.safetensors")
    weights.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="round 1 is not in use"):
        again = open_lakes()
    assert again.undo() == "accept water" and len(again.objects) == 2


@pytest.mark.parametrize("when", ["preview", "end"])
def test_what_a_person_chooses_meanwhile_stays(open_lakes, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    session = open_lakes()
    label(session)
    session.retrain(steps=1).result()

    def meddle(reporter: object, job: object, on_preview: object, isolate: bool) -> object:
        def roll_back(tensors: dict) -> None:
            if when == "preview":
                session.rollback(0)
            on_preview(tensors)
            assert session.previewing == (when == "end")

        outcome = run_round(reporter, job, roll_back, isolate)
        if when == "end":
            session.rollback(0)
        return outcome

    monkeypatch.setattr(trainer, "run_round", meddle)
    made = session.retrain(steps=2).result()
    assert (made.number, session.round, session.state.round) == (2, 0, 0)
    assert not session.previewing and not made.worse


def test_a_round_in_a_process_of_its_own_fills_the_projects_cache(
    open_lakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = open_lakes(project=Path("relative.seglab"), isolate=True)
    label(session)
    cache = tmp_path / "relative.seglab" / "cache"
    before = len(list(cache.rglob("*")))
    made = session.retrain(steps=6).result()
    assert session.round == made.number == 1
    assert len(list(cache.rglob("*"))) > before


def test_closing_stops_a_round(lakes_path: Path, tmp_path: Path) -> None:
    import seglab

    session = seglab.open(lakes_path, classes=["water"], project=tmp_path / "p.seglab", device="cpu")
    label(session)
    job = session.retrain(steps=100_000)
    session.close()
    assert job.state == "cancelled"


def test_a_family_that_does_not_exist_makes_no_project(open_lakes, tmp_path: Path) -> None:
    with pytest.raises(errors.SegLabError, match="atl_a"):
        open_lakes(adapter="atlz")
    assert not (tmp_path / "lakes.seglab").exists()
