"""Where a round looks, and where it must not."""

from __future__ import annotations

import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.prompts import Prompts
from seglab.core.views import View
from seglab.core.windows import Window, lattice_window
from seglab.training.plan import VIEWS, Labels, Plan, TrainingObject, ground_id, plan, view

SHAPE = (1400, 1400)
CORNER = Window(0, 0, 224, 224)


def labelled(geometry: shapely.Geometry, window: Window = CORNER) -> TrainingObject:
    return TrainingObject(0, geometry, Prompts(), window)


def planned(labels: Labels, count: int = 1000, augment: bool = False) -> Plan:
    return plan(labels, 224, SHAPE, count, augment)


def windows(found: Plan) -> set[Window]:
    return {window for window, _ in found.places}


def test_object_windows_come_first_and_reviewed_ones_get_half() -> None:
    objects = tuple(labelled(shapely.box(c + 9, 9, c + 19, 19), Window(c, 0, 224, 224)) for c in (10, 460))
    alone = Labels(("water",), objects)
    assert {w.col for w in windows(planned(alone, augment=True))} == {10, 460}
    assert len(planned(alone, augment=True).places) == 2 * VIEWS
    assert len(planned(alone, 3, augment=True).places) == 3
    both = Labels(("water",), objects, (shapely.box(0, 0, 1400, 1400),))
    places = planned(both, 40, augment=True).places
    assert len(places) == len(set(places)) == 40
    assert sum(w.col in (10, 460) for w, _ in places) == 2 * VIEWS
    few = planned(both, 6, augment=True).places
    assert sum(w.col in (10, 460) for w, _ in few) == 3


def test_an_object_of_another_scale_is_also_shown_at_the_maps_scale() -> None:
    small = tuple(labelled(shapely.box(c, 5, c + 9, 9)) for c in (5, 40))
    lake = labelled(shapely.box(450, 450, 880, 880), Window(448, 448, 448, 448, 2))
    found = planned(Labels(("water",), (*small, lake)))
    assert Window(448, 448, 448, 448, 2) in windows(found)
    near = {w for w in windows(found) if w.scale == 1 and w != Window(0, 0, 224, 224)}
    assert near == {Window(c, r, 224, 224) for c in (448, 672) for r in (448, 672)}
    assert all(found.objects[w] == () for w in near)


def test_windows_that_only_touch_a_reviewed_extent_are_left_out() -> None:
    labels = Labels(("water",), (labelled(shapely.box(5, 5, 9, 9)),), (shapely.box(224, 0, 448, 224),))
    found = plan(labels, 224, (672, 672), 80, False)
    assert windows(found) == {Window(0, 0, 224, 224), Window(224, 0, 224, 224)}


def test_the_same_views_come_again_and_the_first_is_plain() -> None:
    one, other = Window(30, 60, 224, 224), Window(31, 60, 224, 224)
    assert view(one, 0) == View()
    seen = [view(one, n) for n in range(VIEWS)]
    assert seen == [view(one, n) for n in range(VIEWS)]
    assert seen[1:] != [view(other, n) for n in range(1, VIEWS)]
    assert sorted(v.turn for v in seen) == list(range(8))
    assert any(v.zoom < 1 for n in range(40) if (v := view(one, n)))
    assert any(v.zoom > 1 for n in range(40) if (v := view(one, n)))


def test_a_window_moves_off_excluded_ground_and_still_shows_its_object() -> None:
    away = labelled(shapely.box(120, 120, 180, 180))
    labels = Labels(("water",), (away,), excluded=(shapely.box(0, 0, 100, 1400),))
    found = planned(labels)
    (window,) = windows(found)
    assert window.col >= 100 and window.polygon.covers(away.geometry)
    assert found.objects[window] == (0,) and found.left_out == 0


def test_objects_without_a_free_window_are_left_out() -> None:
    enclosed = labelled(shapely.box(120, 120, 180, 180))
    ring = shapely.box(0, 0, 400, 400) - shapely.box(110, 110, 190, 190)
    cut = labelled(shapely.box(150, 500, 224, 560), Window(0, 448, 224, 224))
    beside = shapely.box(0, 420, 60, 600)
    found = planned(Labels(("water",), (enclosed, cut), excluded=(ring, beside)))
    assert found.places == () and found.left_out == 2
    at_the_scenes_edge = labelled(shapely.box(1300, 500, 1400, 560), Window(1176, 448, 224, 224))
    found = planned(Labels(("water",), (at_the_scenes_edge,), excluded=(shapely.box(1176, 600, 1300, 800),)))
    assert found.left_out == 0 and windows(found) == {Window(1176, 376, 224, 224)}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_window_ever_overlaps_excluded_ground(data: st.DataObject) -> None:
    place = st.integers(0, 1340)
    objects, excluded = [], []
    for _ in range(data.draw(st.integers(1, 8))):
        col, row, scale = data.draw(place), data.draw(place), data.draw(st.sampled_from([1, 2]))
        box = shapely.box(col, row, col + data.draw(st.integers(2, 60)), row + data.draw(st.integers(2, 60)))
        objects.append(labelled(box, lattice_window(col + 5, row + 5, 224, scale, SHAPE)))
    for _ in range(data.draw(st.integers(1, 4))):
        col, row = data.draw(place), data.draw(place)
        excluded.append(shapely.box(col, row, col + 300, row + data.draw(st.integers(1, 300))))
    labels = Labels(("water",), tuple(objects), (shapely.box(0, 0, 1400, 1400),), tuple(excluded))
    found = planned(labels)
    assert all(w.polygon.intersection(area).area == 0 for w in windows(found) for area in excluded)
    shown = {n for indices in found.objects.values() for n in indices}
    assert len(shown) >= len(objects) - found.left_out
    for window, indices in found.objects.items():
        for n in indices:
            assert window == objects[n].window or window.polygon.covers(objects[n].geometry)


def test_windows_of_one_place_form_a_group() -> None:
    assert ground_id(Window(0, 0, 224, 224)) == ground_id(Window(40, 30, 224, 224))
    assert ground_id(Window(0, 0, 224, 224)) != ground_id(Window(448, 0, 224, 224))
