"""Accepted objects are changed, deleted, merged, split and taken up again, and drawn by hand; all can be undone."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, box

from seglab import errors
from seglab.app.history.label_events import accept_data
from seglab.app.prompting.drawing import STROKE_POINTS, points_along
from seglab.app.session import LabelSession
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from tests.conftest import LAKES


@pytest.fixture
def session(open_lakes) -> LabelSession:
    return open_lakes()


def draw(session: LabelSession, *bounds: int, name: str = "water") -> int:
    """Accept a rectangle drawn by hand; its id."""
    session.paint(box(*bounds), crs="pixel")
    return session.accept(name).id


def test_a_painted_mask_is_the_shape_that_was_drawn(session: LabelSession) -> None:
    session.paint(box(20, 30, 60, 50), crs="pixel")
    session.paint(box(50, 30, 80, 40), crs="pixel")
    session.paint(box(20, 30, 30, 50), positive=False, crs="pixel")
    wanted = np.zeros(session.shape, bool)
    wanted[30:50, 20:60] = wanted[30:40, 50:80] = True
    wanted[30:50, 20:30] = False
    np.testing.assert_array_equal(session.mask.full(), wanted)
    assert session.undo() == "the last click"
    assert session.mask.full()[40, 25]
    accepted = session.accept("water")
    assert accepted.geometry.area == 40 * 20 + 20 * 10 and accepted.prompts.is_empty and not session.can_redo


def test_a_stroke_beyond_the_window_takes_a_coarser_one_and_loses_nothing(session: LabelSession) -> None:
    session.paint(box(10, 10, 40, 40), crs="pixel")
    session.paint(box(40, 20, 480, 30), crs="pixel")
    assert session.mask.window.scale > 1
    assert session.mask.area_px == 30 * 30 + 440 * 10


def test_painting_corrects_what_the_model_drew_and_the_next_click_sees_it(session: LabelSession) -> None:
    col, row = LAKES[1][:2]
    first = session.click(col, row, crs="pixel").full()
    session.paint(box(col - 4, row - 4, col + 4, row + 4), positive=False, crs="pixel")
    assert first[row, col] and not session.mask.full()[row, col]
    assert session.mask.logits.min() < 0
    session.click(col, row, crs="pixel")
    assert session.mask.edited is None


def test_nothing_is_erased_where_there_is_no_mask(session: LabelSession) -> None:
    with pytest.raises(errors.PromptError, match="no mask"):
        session.paint(box(0, 0, 9, 9), positive=False, crs="pixel")
    with pytest.raises(errors.OutsideSceneError):
        session.paint(box(-90, -90, -80, -80), crs="pixel")


def test_a_scribble_is_several_points_and_one_step(session: LabelSession) -> None:
    col, row = LAKES[1][:2]
    session.scribble([(col - 12, row), (col + 12, row)], crs="pixel")
    points = session.prompts.points
    assert len(points) == 6 and all(p.positive and p.row == row and abs(p.col - col) <= 12 for p in points)
    session.undo()
    assert session.mask is None and session.prompts.is_empty
    assert len(points_along(LineString([(0, 0), (500, 0)]), False)) == STROKE_POINTS
    with pytest.raises(errors.PromptError):
        session.scribble([])


def test_what_is_said_of_an_object_can_be_changed(session: LabelSession) -> None:
    session.add_class("road")
    one, two = draw(session, 10, 10, 30, 30), draw(session, 50, 10, 70, 30)
    session.edit(one, two, class_name="road")
    session.edit(one, unsure=True, note=" low tide ")
    first, second = session.objects
    assert (first.class_name, first.unsure, first.note) == ("road", True, "low tide")
    assert (second.class_name, second.unsure, second.note) == ("road", False, "")
    assert list(session.labels["note"]) == ["low tide", ""] and list(session.labels["unsure"]) == [True, False]
    assert session.undo() == "change an object" and not session.objects[0].unsure
    assert session.undo() == "change 2 objects" and session.objects[0].class_name == "water"
    with pytest.raises(errors.UnknownObjectError, match="no object 999"):
        session.edit(999, note="?")
    with pytest.raises(errors.UnknownClassError):
        session.edit(one, class_name="sea")


def test_unsure_objects_are_not_trained_on(session: LabelSession) -> None:
    session.edit(draw(session, 10, 10, 30, 30), unsure=True)
    with pytest.raises(errors.NoLabelsError, match="unsure"):
        session.retrain(steps=1).result()


def test_deleted_objects_come_back_by_undo(session: LabelSession) -> None:
    one, two = draw(session, 10, 10, 30, 30), draw(session, 50, 10, 70, 30)
    session.delete(one, two)
    assert session.objects == () and session.labels.empty
    assert session.undo() == "delete 2 objects"
    assert [o.id for o in session.objects] == [one, two]


def test_objects_are_merged_into_one(session: LabelSession) -> None:
    session.add_class("road")
    one, two = draw(session, 10, 10, 30, 30), draw(session, 50, 10, 90, 30, name="road")
    session.edit(one, note="left")
    merged = session.merge(one, two)
    assert session.objects == (merged,)
    assert merged.class_name == "road" and merged.geometry.area == 20 * 20 + 40 * 20 and merged.note == "left"
    session.undo()
    assert len(session.objects) == 2
    with pytest.raises(errors.UnknownObjectError, match="at least two"):
        session.merge(one)


def test_an_object_falls_into_its_parts_or_along_a_line(session: LabelSession, open_lakes) -> None:
    merged = session.merge(draw(session, 10, 10, 30, 30), draw(session, 50, 10, 90, 30))
    large, small = session.split(merged.id)
    assert (large.geometry.area, small.geometry.area) == (800, 400) and large.id != small.id
    upper, lower = session.split(large.id, LineString([(40, 18), (100, 18)]), crs="pixel")
    assert {upper.geometry.bounds, lower.geometry.bounds} == {(50, 10, 90, 18), (50, 18, 90, 30)}
    assert shapely.union_all([upper.geometry, lower.geometry]).equals(large.geometry)
    assert len({o.id for o in session.objects}) == len(session.objects) == 3
    assert open_lakes().objects == session.objects
    with pytest.raises(errors.ObjectEditError, match="one piece"):
        session.split(small.id)
    with pytest.raises(errors.ObjectEditError, match="not cut"):
        session.split(small.id, LineString([(0, 0), (5, 5)]), crs="pixel")


def test_a_refined_object_is_replaced_and_keeps_its_note(session: LabelSession) -> None:
    col, row = LAKES[1][:2]
    session.click(col, row, crs="pixel")
    before = session.accept("water")
    session.edit(before.id, note="shore")
    session.refine(before.id)
    assert session.refining == before.id and session.prompts == before.prompts
    np.testing.assert_array_equal(session.mask.polygon.normalize(), before.geometry.normalize())
    session.reject()
    assert session.refining is None and session.objects[0].geometry.equals(before.geometry)
    session.refine(before.id)
    session.paint(box(5, 5, 9, 9), crs="pixel")
    after = session.accept("water")
    assert [o.id for o in session.objects] == [after.id] and after.note == "shore"
    assert after.geometry.covers(box(5, 5, 9, 9)) and session.refining is None
    session.undo()
    assert [o.id for o in session.objects] == [before.id]


def test_undoing_every_click_of_a_refinement_ends_it(session: LabelSession) -> None:
    number = draw(session, 10, 10, 30, 30)
    session.refine(number)
    session.undo()
    assert session.refining is None and session.mask is None and len(session.objects) == 1


def test_a_line_that_misses_splits_nothing_even_of_an_object_in_pieces(session: LabelSession) -> None:
    merged = session.merge(draw(session, 10, 10, 30, 30), draw(session, 50, 10, 90, 30))
    with pytest.raises(errors.ObjectEditError, match="not cut"):
        session.split(merged.id, LineString([(0, 200), (100, 200)]), crs="pixel")
    with pytest.raises(errors.ObjectEditError, match="give a line"):
        session.split(merged.id, box(0, 0, 20, 20), crs="pixel")


def test_a_merged_object_has_no_click_that_contradicts_it(session: LabelSession) -> None:
    col, row = LAKES[1][:2]
    session.click(col, row, crs="pixel")
    session.click(col + 60, row, positive=False, crs="pixel")
    session.paint(box(col - 9, row - 9, col + 9, row + 9), crs="pixel")
    one = session.accept("water").id
    merged = session.merge(one, draw(session, col + 50, row - 10, col + 70, row + 10))
    for point in merged.prompts.points:
        assert merged.geometry.intersects(shapely.Point(point.col, point.row)) == point.positive


def test_an_object_from_a_model_of_another_size_can_be_refined(session: LabelSession) -> None:
    outline = shapely.MultiPolygon([box(20, 20, 60, 50)])
    data = accept_data("water", outline, Prompts(), Window(0, 0, 1024, 1024), 0.5, 0)
    session.project.append("accept", data)
    session.add_class("news")  # the session follows the log
    session.refine(session.objects[0].id)
    assert session.mask.window.width == session.model_size
    session.click(40, 35, crs="pixel")
