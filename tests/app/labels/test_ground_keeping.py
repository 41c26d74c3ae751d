"""Area of interest and rule for overlaps: redo, two sessions, the program and the replay, and what else they touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import LineString, box

from seglab import errors
from seglab.app.history.replay import replay
from seglab.app.session import LabelSession
from seglab.core.masks import rasterize
from seglab.inference import mapper
from seglab.inference.mapper import UNMAPPED
from seglab.jobs import SilentReporter
from tests.conftest import LAKES

AREA = box(20, 250, 200, 380)
TWO_PARTS = box(10, 10, 60, 40).union(box(300, 300, 400, 380))


@pytest.fixture
def session(open_lakes) -> LabelSession:
    return open_lakes()


@pytest.fixture
def overlapping(session: LabelSession) -> tuple[LabelSession, int, int]:
    """A session with a field of 50 x 50 pixels and a lake over the right part of it."""
    session.overlaps = "allowed"
    return session, paint(session, "field", 10, 10, 60, 60), paint(session, "water", 40, 10, 90, 60)


def paint(session: LabelSession, class_name: str, *corners: float) -> int:
    session.paint(box(*corners), crs="pixel")
    return session.accept(class_name).id


def outlines(session: LabelSession) -> dict[int, tuple[float, ...]]:
    return {o.id: o.geometry.bounds for o in session.objects}


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


# -- area of interest


def test_an_area_is_redone_and_replaced_and_taken_back_step_by_step(session: LabelSession, open_lakes) -> None:
    steps: list[shapely.Geometry | None] = [None]
    for area in (AREA, TWO_PARTS, None):
        session.set_area_of_interest(area, crs="pixel")
        steps.append(session.state.area_of_interest)
    assert [s is None for s in steps] == [True, False, False, True] and steps[2].equals(TWO_PARTS)
    for wanted in steps[-2::-1]:
        assert session.undo() == "change the area of interest"
        assert session.state.area_of_interest == wanted
    for wanted in steps[1:]:
        assert session.redo() == "change the area of interest"
        assert session.state.area_of_interest == wanted
    session.undo()
    assert open_lakes().state == session.state


def test_only_what_lies_in_the_scene_is_kept(session: LabelSession) -> None:
    session.set_area_of_interest(box(400, 300, 900, 900), crs="pixel")
    assert session.state.area_of_interest.bounds == (400, 300, 512, 384)
    events = len(session.project.events())
    with pytest.raises(errors.PromptError):
        session.set_area_of_interest(shapely.Polygon([(0, 0), (np.inf, 0), (0, 9)]), crs="pixel")
    assert len(session.project.events()) == events


def test_what_one_session_sets_the_other_maps_and_suggests_by(session: LabelSession, open_lakes, tmp_path) -> None:
    other = open_lakes()
    session.click(*LAKES[0][:2], crs="pixel")
    session.accept("water")
    session.set_area_of_interest(AREA, crs="pixel")
    suggested = other.suggest(4)
    assert suggested and all(AREA.intersects(s.geometry) for s in suggested)
    found = read(other.predict(tmp_path / "map.tif").result().path)
    np.testing.assert_array_equal(found != UNMAPPED, rasterize(AREA, session.shape))
    assert other.undo() == "change the area of interest"
    found = read(session.predict(tmp_path / "whole.tif").result().path)
    assert (found != UNMAPPED).all()


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("area", [AREA, TWO_PARTS, box(7, 5, 8, 6)], ids=["one", "two parts", "one pixel"])
def test_a_map_covers_the_area_to_the_pixel(session: LabelSession, tmp_path, area, scale: int) -> None:
    session.scale = scale
    session.click(*LAKES[0][:2], crs="pixel")
    assert session.accept("water").window.scale == scale
    session.set_area_of_interest(area, crs="pixel")
    made = session.predict(tmp_path / "map.tif").result()
    inside = rasterize(area, session.shape)
    assert inside.sum() == area.area
    for path in (made.path, made.confidence_path):
        np.testing.assert_array_equal(read(path) != UNMAPPED, inside)


def test_a_small_area_takes_fewer_windows_and_the_whole_scene_takes_all(session, tmp_path, monkeypatch) -> None:
    session.click(*LAKES[0][:2], crs="pixel")
    session.accept("water")
    looked = []
    probabilities = mapper.class_logits

    def watched(encoder, window, *args, **options):
        looked.append(window)
        return probabilities(encoder, window, *args, **options)

    monkeypatch.setattr(mapper, "class_logits", watched)
    counts, maps = [], []
    for number, area in enumerate((None, box(0, 0, 512, 384), AREA)):
        looked.clear()
        session.set_area_of_interest(area, crs="pixel")
        maps.append(read(session.predict(tmp_path / f"{number}.tif").result().path))
        counts.append(len(looked))
    assert 0 < counts[2] < counts[1] == counts[0]
    np.testing.assert_array_equal(maps[1], maps[0])


def test_regions_of_a_map_are_proposed_inside_the_area_only(session: LabelSession) -> None:
    session.click(*LAKES[3][:2], crs="pixel")
    session.accept("water")
    session.set_area_of_interest(box(300, 20, 500, 300), crs="pixel")
    session.predict().result()
    proposed = session.propose_from_map(min_area_px=1, least_confidence=0)
    assert proposed
    assert all(session.state.area_of_interest.covers(p.geometry) for p in proposed)


# -- overlaps


def test_the_rule_is_redone(overlapping) -> None:
    session, field, lake = overlapping
    session.overlaps = "later wins"
    settled = outlines(session)
    assert settled == {field: (10, 10, 40, 60), lake: (40, 10, 90, 60)}
    session.undo()
    session.redo()
    assert session.overlaps == "later wins" and outlines(session) == settled


def test_two_sessions_follow_one_rule(overlapping, open_lakes) -> None:
    one, *_ = overlapping
    two = open_lakes()
    paint(two, "field", 10, 50, 90, 90)
    assert [o.geometry.area for o in two.objects] == [2500, 2500, 80 * 40]
    two.overlaps = "later wins"
    last = paint(one, "water", 0, 80, 100, 100)
    assert [o.geometry.area for o in one.objects] == [30 * 40, 50 * 40, 80 * 30, 100 * 20]
    one.delete(last)
    assert two.undo() == "delete an object"
    assert [o.geometry.area for o in two.objects] == [30 * 40, 50 * 40, 80 * 30, 100 * 20]
    # what was drawn since goes first, then the rule
    assert two.undo() == "accept water"
    assert two.undo() == "overlaps: later wins"
    assert [o.geometry.area for o in two.objects] == [2500, 2500, 80 * 40]
    assert open_lakes().state == two.state


def test_settling_leaves_waiting_proposals_alone(overlapping) -> None:
    session, *_ = overlapping
    session.propose_objects([box(15, 15, 35, 35)], ["water"], origin="a test", crs="pixel")
    waiting = session.proposals
    session.overlaps = "later wins"
    assert session.proposals == waiting


def test_a_covered_object_can_still_be_edited_and_goes_when_settled(session: LabelSession) -> None:
    session.overlaps = "allowed"
    pond = paint(session, "water", 20, 20, 30, 30)
    field = paint(session, "field", 10, 10, 60, 60)
    session.edit(pond, note="under the field")
    assert outlines(session) == {pond: (20, 20, 30, 30), field: (10, 10, 60, 60)}
    session.overlaps = "later wins"
    assert outlines(session) == {field: (10, 10, 60, 60)}
    session.undo()
    assert session.objects[0].note == "under the field"


def test_refining_splitting_and_merging_take_no_neighbours_ground(overlapping) -> None:
    session, field, lake = overlapping
    session.refine(field)
    session.paint(box(60, 10, 70, 60), crs="pixel")
    field = session.accept("field").id
    assert outlines(session) == {lake: (40, 10, 90, 60), field: (10, 10, 70, 60)}
    left, right = session.split(field, LineString([(50, 0), (50, 99)]), crs="pixel")
    assert {left.geometry.area, right.geometry.area} == {2000, 1000}
    assert outlines(session)[lake] == (40, 10, 90, 60)
    whole = session.merge(left.id, right.id, lake, class_name="water")
    assert whole.geometry.equals(box(10, 10, 90, 60)) and len(session.objects) == 1


def test_confirmed_proposals_keep_what_they_share(session: LabelSession) -> None:
    session.overlaps = "allowed"
    shared = [box(10, 10, 60, 60), box(40, 10, 90, 60)]
    ids = [p.id for p in session.propose_objects(shared, ["field", "water"], origin="a test", crs="pixel")]
    session.confirm(*ids)
    assert [o.geometry.area for o in session.objects] == [2500, 2500] and session.proposals == ()


# -- all of it again


def test_the_program_and_the_replay_do_all_of_it_again(overlapping, tmp_path: Path, monkeypatch) -> None:
    session, field, _ = overlapping
    session.set_area_of_interest(AREA, crs="pixel")
    session.set_area_of_interest(None)
    session.set_area_of_interest(TWO_PARTS, crs="pixel")
    session.edit(field, note="reaches under the lake")
    session.overlaps = "later wins"
    paint(session, "water", 10, 10, 20, 60)
    session.overlaps = "allowed"
    paint(session, "field", 80, 10, 120, 60)
    wanted = [(o.class_name, o.geometry.bounds, o.note) for o in session.objects]
    assert [bounds for _, bounds, _ in wanted] == [
        (20, 10, 40, 60), (40, 10, 90, 60), (10, 10, 20, 60), (80, 10, 120, 60),
    ]  # fmt: skip

    again = replay(SilentReporter(), session.project.folder, tmp_path / "again")
    assert again.equal and again.objects == 4

    monkeypatch.chdir(tmp_path)
    code = session.as_code(check=False)
    assert "has no call here" not in code
    names: dict[str, object] = {}
    exec(compile(code, "as_code", "exec"), names)
    other = names["session"]
    try:
        assert [(o.class_name, o.geometry.bounds, o.note) for o in other.objects] == wanted
        assert other.overlaps == "allowed" and other.state.area_of_interest.equals(TWO_PARTS)
        kinds = ["overlaps", "area_of_interest"]
        done, redone = ([e.kind for e in s.project.events() if e.kind in kinds] for s in (session, other))
        assert redone == done and done.count("area_of_interest") == 3
    finally:
        other.close()
