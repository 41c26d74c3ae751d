"""Regions of a raster that is read tile by tile are those of the raster read at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from seglab.core.masks import outlines_of, polygons_of, rasterize
from seglab.core.regions import find_regions, tiles_of
from seglab.core.windows import Window


def tiles(values: np.ndarray, weights: np.ndarray, side: int) -> Iterator[tuple[Window, np.ndarray, np.ndarray]]:
    for window in tiles_of(values.shape, side):
        yield window, values[window.slices], weights[(slice(None), *window.slices)]


@settings(deadline=None, max_examples=120)
@given(
    arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 2)),
    st.integers(2, 6),
    st.integers(1, 4),
)
def test_tiles_make_no_difference(values: np.ndarray, side: int, least: int) -> None:
    weights = np.random.default_rng(0).random((2, *values.shape), np.float32)
    expected = set()
    for value in (1, 2):
        labels, count = ndimage.label(values == value)
        for number in range(1, count + 1):
            mask = labels == number
            if mask.sum() >= least:
                expected.add((value, mask.tobytes(), tuple(np.round(weights[:, mask].mean(1), 4).tolist())))
    found = list(find_regions(tiles(values, weights, side), least))
    assert len(found) == len(expected)
    for region in found:
        mask = rasterize(region.outline, values.shape)
        means = tuple(np.round(np.float32(region.means), 4).tolist())
        match = [e for e in expected if e[:2] == (region.value, mask.tobytes())]
        assert len(match) == 1 and means == pytest.approx(match[0][2], abs=1e-3)


def test_outlines_of_several_masks_are_those_of_each() -> None:
    labels = np.random.default_rng(1).integers(0, 4, (20, 30)).astype(np.int32)
    found = outlines_of(labels, 5, 7)
    assert set(found) == {1, 2, 3}
    for number, outline in found.items():
        assert outline.is_valid and outline.equals(polygons_of(labels == number, 5, 7))
