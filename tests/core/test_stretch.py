"""The stretch is the one that the tile server makes of the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from rio_tiler.utils import linear_rescale

from seglab.core.stretch import Stretch, is_display_ready, percentile_stretch


def test_agrees_with_the_tile_server() -> None:
    values = np.random.default_rng(0).uniform(-100, 3000, (3, 40, 50)).astype(np.float32)
    stretch = Stretch((0.0, 100.0, -50.0), (1000.0, 2500.0, 2999.0))
    image = stretch.apply(values)
    assert image.dtype == np.uint8
    for band in range(3):
        tile = linear_rescale(values[band], (stretch.low[band], stretch.high[band])).astype("uint8")
        assert np.abs(image[band].astype(int) - tile.astype(int)).max() <= 1


def test_identity_keeps_every_level() -> None:
    levels = np.arange(256, dtype=np.float32).reshape(1, 16, 16)
    assert np.array_equal(Stretch.identity(1).apply(levels), levels.astype(np.uint8))


def test_invalid_is_black_even_when_not_finite() -> None:
    values = np.array([[[np.nan, 200.0, 200.0]]], dtype=np.float32)
    valid = np.array([[False, False, True]])
    assert Stretch.identity(1).apply(values, valid).tolist() == [[[0, 0, 200]]]


def test_percentiles_and_flat_bands() -> None:
    stretch = percentile_stretch([np.arange(101.0), np.full(9, 7.0), np.array([*[5.0] * 99, 9.0])], (2, 98))
    assert stretch.low == (2, 7, 5) and stretch.high == (98, 8, 9)
    assert stretch.apply(np.full((3, 1, 1), 7.0))[1, 0, 0] == 0


@pytest.mark.parametrize(
    ("top", "dtype", "tags", "is_photo", "expected"),
    [
        (250, "uint8", ("red", "green", "blue"), False, True),
        (90, "uint8", ("red", "green", "blue"), False, False),  # a dark satellite scene with default tags
        (250, "uint8", ("gray", "undefined", "undefined"), False, False),
        (90, "uint8", ("gray",) * 3, True, True),
        (250, "uint16", ("red", "green", "blue"), True, False),
    ],
)
def test_display_ready(top: int, dtype: str, tags: tuple[str, ...], is_photo: bool, expected: bool) -> None:
    samples = [np.linspace(0, top, 500)] * 3
    assert is_display_ready(samples, dtype, tags, is_photo) is expected
