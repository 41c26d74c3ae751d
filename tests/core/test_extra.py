"""Bands beyond the view's three, each on a scale of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seglab.core.raster import EXTRA_LIMIT, Scene
from seglab.core.windows import Window
from seglab.errors import BandError, EmptySceneError
from tests.rasters import make_raster, pattern

WHOLE = Window(0, 0, 80, 64)


def test_two_to_ninety_eight_percent_become_minus_one_to_one(tmp_path: Path) -> None:
    data = pattern(5, 64, 80, "uint16")
    data[4, 0, 0] = 60_000
    with Scene.open(make_raster(tmp_path / "scene.tif", data=data), bands=(1, 2, 3)) as scene:
        extra = scene.extra(WHOLE, (5, 4))
        assert extra.dtype == np.float32 and extra.shape == (2, 64, 80)
        for band, values in zip((5, 4), extra, strict=True):
            low, high = np.percentile(data[band - 1], (2, 98))
            expected = np.clip((data[band - 1] - low) / (high - low) * 2 - 1, -EXTRA_LIMIT, EXTRA_LIMIT)
            np.testing.assert_allclose(values, expected, atol=1e-4)
        assert extra[0, 0, 0] == EXTRA_LIMIT
        part = scene.extra(Window(40, 30, 16, 16), (5,))
        np.testing.assert_array_equal(part[0], extra[0, 30:46, 40:56])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_hole_in_one_band_is_none_in_the_other(tmp_path: Path, dtype: str) -> None:
    data = pattern(5, 64, 80, dtype)
    data[3, 10:20, 10:20] = -9999
    with Scene.open(make_raster(tmp_path / "scene.tif", data=data, nodata=-9999), bands=(1, 2, 3)) as scene:
        holed, whole = scene.extra(WHOLE, (4, 5))
    assert (holed[10:20, 10:20] == 0).all() and (whole[10:20, 10:20] != 0).any()
    assert np.abs(holed[30:]).max() > 0.5  # the hole's value is not part of the scale


def test_nothing_outside_the_scene_or_its_mask(tmp_path: Path) -> None:
    mask = np.ones((64, 80), dtype=bool)
    mask[:, 70:] = False
    data = pattern(4, 64, 80, "float32")
    data[3, 5, 5] = np.nan
    with Scene.open(make_raster(tmp_path / "scene.tif", data=data, mask=mask), bands=(1, 2, 3)) as scene:
        extra = scene.extra(Window(-8, -8, 96, 80), (4,))[0]
    inside = extra[8:72, 8:78]
    assert np.isfinite(extra).all() and extra[8 + 5, 8 + 5] == 0
    outside = extra.copy()
    outside[8:72, 8:78] = 0
    assert (outside == 0).all() and (inside != 0).mean() > 0.99


def test_bands_that_are_not_there_or_empty(tmp_path: Path) -> None:
    data = pattern(4, 64, 80, "float32")
    data[3] = np.nan
    with Scene.open(make_raster(tmp_path / "scene.tif", data=data), bands=(1, 2, 3)) as scene:
        with pytest.raises(BandError, match="5"):
            scene.extra(WHOLE, (5,))
        with pytest.raises(EmptySceneError, match="choose other bands"):
            scene.extra(WHOLE, (4,))
