"""Masks are tidied on accepting, if asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from shapely.geometry import box

from seglab import errors
from seglab.app.labels.tidy import Tidy


def untidy() -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    mask[5:30, 5:30] = True
    mask[10:12, 10:12] = False
    mask[35, 35] = True
    return mask


def test_as_it_stands_a_mask_is_left_alone() -> None:
    np.testing.assert_array_equal(Tidy()(untidy()), untidy())


def test_specks_go_holes_close_and_corners_are_rounded() -> None:
    found = Tidy(min_area=4, fill_holes=math.inf)(untidy())
    assert found.sum() == 25 * 25 and not found[35, 35]
    rounded = Tidy(smooth=2)(found)
    assert not rounded[5, 5] and rounded[5, 17] and rounded[17, 17]


def test_what_would_leave_nothing_is_refused() -> None:
    with pytest.raises(errors.MaskTidyError, match="nothing of the mask"):
        Tidy(min_area=1000)(untidy())
    with pytest.raises(errors.MaskTidyError, match="smooth=-1"):
        Tidy(smooth=-1)


def test_accepted_objects_are_tidy(open_lakes) -> None:
    session = open_lakes()
    session.tidy = Tidy(min_area=30)
    session.paint(box(20, 20, 50, 50), crs="pixel")
    session.paint(box(80, 80, 83, 83), crs="pixel")
    assert session.accept("water").geometry.bounds == (20, 20, 50, 50)


def test_areas_by_class(open_lakes) -> None:
    session = open_lakes()
    session.paint(box(20, 20, 120, 70), crs="pixel")
    session.accept("water")
    areas = session.areas
    assert list(areas.index) == ["water", "field"] and list(areas["objects"]) == [1, 0]
    assert areas.loc["water", "pixels"] == 5000 and areas.loc["field", "hectares"] == 0
    assert areas.loc["water", "hectares"] == pytest.approx(5000 * session.grid.pixel_size_m**2 / 1e4, rel=1e-3)


def test_an_island_that_is_labelled_is_no_hole(open_lakes) -> None:
    session = open_lakes()
    session.paint(box(40, 40, 50, 50), crs="pixel")
    island = session.accept("field")
    session.tidy = Tidy(fill_holes=math.inf)
    session.paint(box(20, 20, 80, 80) - box(40, 40, 50, 50) - box(60, 60, 65, 65), crs="pixel")
    lake = session.accept("water")
    assert island.id in {o.id for o in session.objects} and lake.geometry.area == 60 * 60 - 10 * 10


def bounds_after(session, distance: float, *corners: float) -> tuple[float, ...]:
    """Where an object lies that was accepted with snapping."""
    session.tidy = Tidy(snap=distance)
    session.paint(box(*corners), crs="pixel")
    return session.accept("field").geometry.bounds


@pytest.mark.parametrize(
    ("left", "found"),
    [(53, 50), (50, 50), (48, 50), (54, 54), (46, 46)],
    ids=["gap", "touching", "overlap", "wide gap", "wide overlap"],
)
def test_edges_snap_to_a_near_neighbour(open_lakes, left: int, found: int) -> None:
    session = open_lakes()
    session.paint(box(20, 20, 50, 50), crs="pixel")
    lake = session.accept("water")
    assert bounds_after(session, 3, left, 20, 90, 50) == (found, 20, 90, 50)
    assert session.objects[0].geometry.area == 900 - 30 * max(0, 50 - found)
    assert session.objects[0].id == lake.id


def test_what_is_taken_up_again_does_not_snap_to_itself(open_lakes) -> None:
    session = open_lakes()
    session.paint(box(20, 20, 50, 50), crs="pixel")
    lake = session.accept("water")
    session.refine(lake.id)
    session.paint(box(48, 0, 60, 60), positive=False, crs="pixel")
    session.tidy = Tidy(snap=5)
    assert session.accept("water").geometry.bounds == (20, 20, 48, 50)


def test_snapping_stays_in_the_scene(open_lakes) -> None:
    session = open_lakes()
    session.paint(box(20, 0, 50, 30), crs="pixel")
    session.accept("water")
    assert bounds_after(session, 4, 53, 0, 90, 30) == (50, 0, 90, 30)


def test_a_narrow_object_inside_another_stays(open_lakes) -> None:
    session = open_lakes()
    session.paint(box(20, 20, 50, 50), crs="pixel")
    session.accept("water")
    session.tidy = Tidy(snap=3)
    session.paint(box(47, 20, 50, 50), crs="pixel")
    accepted = session.accept("field")
    assert accepted.geometry.area == 90
