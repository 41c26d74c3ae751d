"""Small regions go to the neighbour with the longest shared border."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seglab.core.outlines import outlines_of
from seglab.core.regions import RegionLabels
from seglab.core.small_regions import Borders, merge_small

MAPS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2))


def merged(array: np.ndarray, least: float, cuts: list[int], ignored: int | None = None) -> np.ndarray:
    """The map afterwards; 99 where a small region has no neighbour."""
    labels, borders, numbers = RegionLabels(ignored), Borders(), []
    for strip in np.split(array, cuts):
        if len(strip):
            numbers.append(labels.add(strip))
            borders.add(numbers[-1])
    regions = labels.finish()
    found = merge_small(regions.values, regions.areas, *borders.of(regions.number_of), least)
    values = np.where(found.small, 99, found.values)[found.group_of]
    place = regions.number_of[np.concatenate([part[1:] for part in numbers])]
    return np.where(place > 0, np.append(values, 0)[place - 1], array)


def test_a_speck_goes_where_most_of_its_border_is():
    array = np.array([[1, 1, 1, 2, 2], [1, 1, 3, 2, 2], [1, 1, 1, 2, 2]])
    assert merged(array, 2, [])[1, 2] == 1


def test_regions_that_a_speck_parted_become_one():
    array = np.array([[1, 1, 2, 1, 1], [1, 1, 2, 1, 1]])
    assert (merged(array, 3, []) == 1).all()


def test_what_merging_made_large_enough_stays():
    array = np.array([[1, 1, 1, 1, 1, 1], [1, 2, 3, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    assert (merged(array, 3, []) == 1).all()  # each has more border with the field than with the other
    assert merged(np.array([[4, 4, 5, 6]]), 2, []).tolist() == [[4, 4, 4, 4]]


def test_nodata_is_no_neighbour():
    array = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert merged(array, 2, [], ignored=0)[1, 1] == 99


@given(MAPS, st.integers(1, 12), st.lists(st.integers(0, 8), max_size=3))
@settings(max_examples=200, deadline=None)
def test_nothing_small_remains_and_nothing_else_changes(array, least, cuts):
    found = merged(array, least, sorted(cut for cut in cuts if cut < len(array)))
    if array.size >= least:
        _, polygons = outlines_of(found)
        assert min(polygon.area for polygon in polygons) >= least
    values, polygons = outlines_of(array)
    if all(polygon.area >= least for polygon in polygons):
        np.testing.assert_array_equal(found, array)
    assert set(np.unique(found)) <= {*values.tolist(), 99}
