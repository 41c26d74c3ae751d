"""Regions and their outlines: every map comes back from its polygons, in one piece or strip by strip."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seglab.core.outlines import OutlineTracer, find_regions, outlines_of, strips_of
from seglab.core.regions import RegionLabels

MAPS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 2))


def burnt(values: np.ndarray, polygons: np.ndarray, shape: tuple[int, int], fill: int) -> np.ndarray:
    shapes = list(zip(polygons, values.tolist(), strict=True))
    if not shapes:
        return np.full(shape, fill, dtype=np.uint8)
    return rasterio.features.rasterize(shapes, out_shape=shape, fill=fill, dtype="uint8")


def in_strips(array: np.ndarray, cuts: list[int], ignored: int | None = None):
    labels, tracer = RegionLabels(ignored), OutlineTracer()
    weights = np.arange(array.size).reshape(array.shape)
    for strip, weight in zip(np.split(array, cuts), np.split(weights, cuts), strict=True):
        if len(strip):
            tracer.add(labels.add(strip, [weight]))
    regions = labels.finish()
    return regions, tracer.polygons(regions.number_of)


@given(MAPS, st.sampled_from([None, 0, 2]))
@settings(max_examples=120, deadline=None)
def test_polygons_give_the_map_back(array, ignored):
    values, polygons = outlines_of(array, ignored)
    assert shapely.is_valid(polygons).all()
    wanted = np.ones(array.shape, dtype=bool) if ignored is None else array != ignored
    back = burnt(values, polygons, array.shape, 255 if ignored is None else ignored)
    np.testing.assert_array_equal(back, array)
    assert shapely.area(polygons).sum() == wanted.sum()
    gdal = rasterio.features.shapes(array, mask=wanted, connectivity=4)
    areas = sorted((value, shapely.geometry.shape(outline).area) for outline, value in gdal)
    assert sorted(zip(values.tolist(), shapely.area(polygons).tolist(), strict=True)) == areas


@given(MAPS, st.lists(st.integers(0, 8), max_size=4))
@settings(max_examples=120, deadline=None)
def test_strips_have_no_seams(array, cuts):
    regions, polygons = in_strips(array, sorted(cut for cut in cuts if cut < len(array)), ignored=0)
    values, whole = outlines_of(array, ignored=0)

    def key(value, polygon):
        return value, shapely.normalize(polygon).wkb

    assert sorted(map(key, regions.values, polygons)) == sorted(map(key, values, whole))
    np.testing.assert_array_equal(regions.areas, shapely.area(polygons))


@given(MAPS)
@settings(max_examples=100, deadline=None)
def test_means_are_those_of_a_regions_pixels(array):
    regions, polygons = in_strips(array, [len(array) // 2], ignored=0)
    weights = np.arange(array.size).reshape(array.shape)
    for polygon, mean in zip(polygons, regions.means[0], strict=True):
        inside = rasterio.features.rasterize([polygon], out_shape=array.shape).astype(bool)
        assert mean == pytest.approx(weights[inside].mean())


@given(MAPS, st.integers(1, 4), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_regions_that_are_large_enough_are_found(array, least, pixels):
    strips = ((array[w.slices], (array[w.slices] * 2,)) for w in strips_of(array.shape, pixels))
    found = find_regions(strips, 0, least)
    values, polygons = outlines_of(array, 0)
    large = shapely.area(polygons) >= least
    wanted = sorted(zip(values[large], shapely.area(polygons[large]), strict=True))
    assert sorted((region.value, region.outline.area) for region in found) == wanted
    assert all(region.means == (2 * region.value,) for region in found)


def test_holes_that_meet_at_a_corner_are_two():
    array = np.ones((4, 4), dtype=np.uint8)
    array[1, 1] = array[2, 2] = 0
    values, polygons = outlines_of(array, ignored=0)
    assert values.tolist() == [1] and len(polygons[0].interiors) == 2 and polygons[0].is_valid


def test_a_map_of_nothing_has_no_regions():
    values, polygons = outlines_of(np.zeros((3, 5), dtype=np.uint8), ignored=0)
    assert len(values) == len(polygons) == 0


def test_more_columns_than_16_bits_hold():
    array = np.zeros((2, 70_000), dtype=np.uint8)
    array[0, 69_990:] = array[1, 69_995:] = 1
    _, polygons = outlines_of(array, ignored=0)
    assert [p.bounds for p in polygons] == [(69_990, 0, 70_000, 2)] and polygons[0].area == 15
