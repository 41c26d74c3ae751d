"""What counts as known, and what stays unknown, in a training chip."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from seglab.core.prompts import Point, Prompts
from seglab.core.windows import Window
from seglab.training.losses import IGNORE
from seglab.training.samples import (
    RING,
    Labels,
    TrainingObject,
    _turned,
    _turned_points,
    class_target,
    plan,
)

WINDOW = Window(0, 0, 224, 224)
VALID = np.ones((224, 224), dtype=bool)


def labelled(geometry: shapely.Geometry, window: Window = WINDOW, points: tuple[Point, ...] = (), index: int = 0):
    return TrainingObject(index, geometry, Prompts(points), window)


def test_unlabelled_ground_is_unknown_not_background() -> None:
    labels = Labels(("water",), (labelled(shapely.box(100, 100, 140, 140)),))
    target = class_target(labels, WINDOW, 112, VALID)
    assert (target[50:70, 50:70] == 1).all()
    assert (target == 1).sum() == 20 * 20
    around = target[50 - RING : 70 + RING, 50 - RING : 70 + RING]
    assert (around == 0).sum() > 0
    outside = target.copy()
    outside[50 - RING : 70 + RING, 50 - RING : 70 + RING] = IGNORE
    assert (outside == IGNORE).all()


def test_the_ring_stops_where_the_person_did_not_see() -> None:
    """An object cut by the edge of its window may go on beyond it: no background there."""
    seen = Window(0, 0, 224, 224)
    lake = labelled(shapely.box(180, 80, 224, 140), seen)
    neighbour = Window(112, 0, 224, 224)
    target = class_target(Labels(("water",), (lake,)), neighbour, 112, VALID)
    beyond = (224 - 112) // 2
    assert (target[:, beyond:] == IGNORE).all()
    assert (target[40:70, 34:beyond] == 1).all()
    assert (target[:, :beyond] == 0).any()


def test_reviewed_ground_is_background_and_other_classes_win_over_rings() -> None:
    objects = (labelled(shapely.box(20, 20, 60, 60)), labelled(shapely.box(64, 20, 100, 60), index=1))
    labels = Labels(("water", "field"), objects, (shapely.box(0, 0, 224, 112),))
    target = class_target(labels, WINDOW, 112, VALID)
    assert (target[:56] != IGNORE).all()
    assert (target[70:] == IGNORE).all()
    assert (target[10:30, 32:50] == 2).all()
    assert (target[10:30, 10:30] == 1).all()


def test_negative_clicks_are_background_and_nodata_is_unknown() -> None:
    clicked = labelled(shapely.box(20, 20, 40, 40), points=(Point(150, 60, False), Point(30, 30)))
    valid = VALID.copy()
    valid[:, :100] = False
    target = class_target(Labels(("water",), (clicked,)), WINDOW, 112, valid)
    assert target[30, 75] == 0
    assert (target[:, :50] == IGNORE).all()


def test_object_windows_come_first_and_reviewed_ones_get_half() -> None:
    objects = tuple(labelled(shapely.box(c + 9, 9, c + 19, 19), Window(c, 0, 224, 224)) for c in (10, 460))
    alone = Labels(("water",), objects)
    assert {w.col for w, _ in plan(alone, 224, (1400, 1400), 80, 4)} == {10, 460}
    assert len(plan(alone, 224, (1400, 1400), 80, 4)) == 8
    assert len(plan(alone, 224, (1400, 1400), 3, 4)) == 3
    both = Labels(("water",), objects, (shapely.box(0, 0, 1400, 1400),))
    places = plan(both, 224, (1400, 1400), 40, 4)
    assert len(places) == len(set(places)) == 40
    assert sum(w.col in (10, 460) for w, _ in places) == 8
    few = plan(both, 224, (1400, 1400), 6, 4)
    assert sum(w.col in (10, 460) for w, _ in few) == 3


def test_an_object_of_another_scale_is_also_shown_at_the_maps_scale() -> None:
    small = tuple(labelled(shapely.box(c, 5, c + 9, 9)) for c in (5, 40))
    lake = labelled(shapely.box(450, 450, 880, 880), Window(448, 448, 448, 448, 2))
    windows = {w for w, _ in plan(Labels(("water",), (*small, lake)), 224, (1400, 1400), 80, 1)}
    assert Window(448, 448, 448, 448, 2) in windows
    near = {w for w in windows if w.scale == 1 and w != WINDOW}
    assert near == {Window(c, r, 224, 224) for c in (448, 672) for r in (448, 672)}


def test_windows_that_only_touch_a_reviewed_extent_are_left_out() -> None:
    labels = Labels(("water",), (labelled(shapely.box(5, 5, 9, 9)),), (shapely.box(224, 0, 448, 224),))
    assert {w for w, _ in plan(labels, 224, (672, 672), 80, 1)} == {WINDOW, Window(224, 0, 224, 224)}


@pytest.mark.parametrize("turn", range(8))
def test_points_turn_with_the_image(turn: int) -> None:
    image = np.zeros((224, 224))
    image[60, 37] = 1
    (row,), (col,) = np.nonzero(_turned(image, turn))
    x, y = _turned_points(np.array([[37.5, 60.5]]), turn, 224)[0]
    assert (x, y) == (col + 0.5, row + 0.5)


def test_the_eight_turns_differ() -> None:
    image = np.arange(9).reshape(3, 3)
    assert len({_turned(image, turn).tobytes() for turn in range(8)}) == 8
