"""Masks and polygons: the round trip is exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from shapely.geometry import GeometryCollection, LineString, box

from seglab.core.masks import boundary_ring, clean, largest_piece, piece_at, polygons_of, rasterize, snap
from seglab.core.windows import Window

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@settings(deadline=None, max_examples=150)
@given(MASKS, st.integers(-50, 50), st.integers(-50, 50))
def test_round_trip(mask: np.ndarray, col: int, row: int) -> None:
    polygons = polygons_of(mask, col, row)
    height, width = mask.shape
    assert polygons.is_valid
    assert polygons.area == mask.sum()
    assert np.array_equal(rasterize(polygons, Window(col, row, width, height)), mask)


@pytest.mark.parametrize("density", [0.3, 0.5, 0.6, 0.9])
def test_round_trip_of_noise(density: float) -> None:
    mask = np.random.default_rng(int(density * 10)).random((90, 70)) < density
    polygons = polygons_of(mask)
    assert polygons.is_valid
    assert np.array_equal(rasterize(polygons, mask.shape), mask)


def test_corners_do_not_connect_and_holes_stay() -> None:
    assert len(polygons_of(np.eye(3, dtype=bool)).geoms) == 3
    ring = np.ones((5, 5), dtype=bool)
    ring[1, 1] = ring[2, 2] = False  # two holes that meet at a corner
    polygons = polygons_of(ring)
    assert len(polygons.geoms) == 1 and polygons.is_valid
    assert polygons.area == 23


def test_outline_runs_along_pixel_edges() -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[2:4, 1:5] = True
    assert polygons_of(mask, col=100, row=50).equals(box(101, 52, 105, 54))
    assert polygons_of(np.zeros((4, 4), bool)).is_empty


def test_rasterize_takes_a_coarse_window_and_any_geometry() -> None:
    window = Window(10, 20, 40, 40, scale=4)
    mask = rasterize(box(14, 24, 30, 32), window)
    expected = np.zeros((10, 10), dtype=bool)
    expected[1:3, 1:5] = True
    assert np.array_equal(mask, expected)
    mixed = GeometryCollection([LineString([(0, 0), (9, 9)]), shapely.MultiPolygon([box(0, 0, 2, 2)])])
    assert rasterize(mixed, (4, 4)).sum() == 4
    assert not rasterize(LineString([(0, 0), (9, 9)]), (4, 4)).any()
    assert not rasterize(box(100, 100, 110, 110), (4, 4)).any()


def test_clean() -> None:
    mask = np.zeros((12, 12), dtype=bool)
    mask[1:9, 1:9] = True
    mask[3, 3] = False
    mask[5:7, 5:7] = False
    mask[11, 11] = True
    kept = mask.copy()
    assert clean(mask, min_area=2).sum() == mask.sum() - 1
    assert clean(mask, fill_holes=1).sum() == mask.sum() + 1
    for everything in (math.inf, True):
        assert clean(mask, 2, everything).sum() == 64
    assert np.array_equal(clean(mask), mask)
    assert np.array_equal(mask, kept)  # the input stays


def test_a_bay_is_not_a_hole() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[0:3, 2] = False
    assert np.array_equal(clean(mask, fill_holes=math.inf), mask)
    assert clean(~np.eye(4, dtype=bool), fill_holes=math.inf).sum() == 12  # reaches out over corners


def test_pieces() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[0, :3] = True
    mask[3:5, 4:7] = True
    assert largest_piece(mask).sum() == 6
    assert piece_at(mask, 1.9, 0.2).sum() == 3
    assert not piece_at(mask, 7.0, 0.0).any()
    assert not piece_at(mask, -1.0, 99.0).any()
    assert not largest_piece(np.zeros((3, 3), bool)).any()


def test_boundary_ring() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert boundary_ring(mask, 1).sum() == 4
    assert boundary_ring(mask, 1.5).sum() == 8
    assert not (boundary_ring(mask, 3) & mask).any()
    assert not boundary_ring(np.zeros((9, 9), bool), 3).any()


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 3))
def test_snapping_closes_gaps_and_overlaps_up_to_its_width(offset: int, width: int, turns: int) -> None:
    neighbour, gap, overlap = (np.zeros((40, 60), bool) for _ in range(3))
    neighbour[5:35, :20] = True
    gap[5:35, 20 + offset : 55] = True
    overlap[5:35, 20 - offset : 55] = True
    exact = np.zeros((40, 60), bool)
    exact[5:35, 20:55] = True
    for mask in (gap, overlap):
        found = snap(np.rot90(mask, turns), np.rot90(neighbour, turns), width)
        np.testing.assert_array_equal(np.rot90(found, -turns), exact if offset <= width else mask)


def test_snapping_rounds_no_corner_and_needs_a_neighbour() -> None:
    neighbour, mask = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    neighbour[20:35, 5:20] = True
    mask[5:35, 20:30] = True  # higher than its neighbour: an inner corner where they meet
    np.testing.assert_array_equal(snap(mask, neighbour, 6), mask)
    np.testing.assert_array_equal(snap(mask, np.zeros_like(mask), 6), mask)
