"""The simulated annotator clicks where a person would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from seglab.core.annotator import first_click, mndwi, next_click, otsu
from seglab.core.prompts import Point
from seglab.errors import PromptError, StretchError


def _disc(size: int, col: int, row: int, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[:size, :size]
    return np.hypot(rows - row, cols - col) <= radius


def test_first_click_is_in_the_middle() -> None:
    assert first_click(_disc(40, 12, 25, 8)) == (12.5, 25.5)


def test_the_image_edge_is_a_border() -> None:
    strip = np.zeros((21, 21), dtype=bool)
    strip[:, :7] = True
    col, row = first_click(strip)
    assert col == 3.5 and 3 <= row <= 18
    assert first_click(np.ones((9, 9), dtype=bool)) == (4.5, 4.5)


def test_first_click_of_nothing() -> None:
    with pytest.raises(PromptError, match="no pixel"):
        first_click(np.zeros((5, 5), dtype=bool))


def test_next_click_goes_to_the_largest_error() -> None:
    target = _disc(60, 20, 20, 10)
    missed = target & ~_disc(60, 20, 20, 5)
    extra = _disc(60, 45, 45, 12)
    assert next_click(target, target | extra) == Point(45.5, 45.5, positive=False)
    click = next_click(target, np.zeros_like(target))
    assert click == Point(20.5, 20.5, positive=True)
    click = next_click(target, _disc(60, 20, 20, 5))
    assert click is not None and click.positive and missed[int(click.row), int(click.col)]
    assert next_click(target, target) is None
    assert next_click(target, target | extra, valid=~extra) is None


@settings(deadline=None)
@given(arrays(bool, (9, 11)), arrays(bool, (9, 11)))
def test_next_click_is_always_on_an_error(target: np.ndarray, prediction: np.ndarray) -> None:
    click = next_click(target, prediction)
    if click is None:
        assert np.array_equal(target, prediction)
        return
    pixel = int(click.row), int(click.col)
    assert target[pixel] != prediction[pixel]
    assert target[pixel] == click.positive


def test_mndwi_and_otsu_find_water() -> None:
    rng = np.random.default_rng(0)
    water = _disc(50, 25, 25, 12)
    green = np.where(water, 60, 40) + rng.normal(0, 2, water.shape)
    swir = np.where(water, 10, 80) + rng.normal(0, 2, water.shape)
    index = mndwi(green, swir)
    assert index.dtype == np.float32 and index.min() >= -1 and index.max() <= 1
    assert np.array_equal(index > otsu(index), water)


def test_mndwi_of_nothing_is_nan() -> None:
    index = mndwi(np.array([0, 3], np.uint8), np.array([0, 1], np.uint8))
    assert np.isnan(index[0]) and index[1] == 0.5
    swapped = mndwi(np.array([1], np.uint8), np.array([3], np.uint8))
    assert swapped[0] == -0.5  # no wrap-around of unsigned integers


def test_otsu_minimises_the_spread_within_groups() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 4000), rng.normal(6, 1.5, 1000), [np.nan]])

    def within(threshold: float) -> float:
        upper = values > threshold
        return float(sum(np.nanvar(v) * np.isfinite(v).sum() for v in (values[upper], values[~upper])))

    best = min(map(within, np.linspace(-2, 8, 1001)))
    assert within(otsu(values)) <= best * 1.001


def test_otsu_needs_two_values() -> None:
    with pytest.raises(StretchError, match="all the same"):
        otsu(np.full(10, 3.0))
