"""Simpler outlines: valid, and neither gaps nor overlaps between them."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seglab.core.outlines import outlines_of
from seglab.core.shared_borders import simplified, with_shared_corners

MAPS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2))


@given(MAPS, st.sampled_from([None, 0]))
@settings(max_examples=150, deadline=None)
def test_shared_corners_change_no_outline(array, ignored):
    _, polygons = outlines_of(array, ignored)
    found = with_shared_corners(polygons)
    assert shapely.equals(found, polygons).all()
    assert shapely.coverage_is_valid(found)


@given(MAPS, st.sampled_from([None, 0]), st.floats(0.5, 4))
@settings(max_examples=150, deadline=None)
def test_simplified_borders_are_still_shared(array, ignored, tolerance):
    _, polygons = outlines_of(array, ignored)
    found = simplified(polygons, tolerance)
    assert len(found) == len(polygons) and shapely.is_valid(found).all() and shapely.coverage_is_valid(found)
    assert shapely.area(shapely.union_all(found)) == pytest.approx(shapely.area(found).sum())


def test_a_staircase_becomes_a_line():
    _, polygons = outlines_of(np.tri(40, dtype=np.uint8))
    found = simplified(polygons, 1.5)
    assert max(shapely.get_num_coordinates(found)) < 12 < min(shapely.get_num_coordinates(polygons))


def test_nothing_to_do():
    _, polygons = outlines_of(np.tri(5, dtype=np.uint8))
    assert simplified(polygons, 0) is polygons
    assert len(with_shared_corners(polygons[:0])) == 0
