"""The virtual raster of a layer, opened as localtileserver opens it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio
from localtileserver.tiler import get_data_path
from rasterio.io import MemoryFile

from seglab.serve.styled import TileStyle, normalise, style_raster

LANDSAT = get_data_path("landsat.tif")


def opened(path, style):
    with MemoryFile(style_raster(str(path), style).xml.encode(), ext=".vrt") as file, file.open() as dataset:
        return dataset.read(), dataset.profile, dataset.overviews(1)


def test_view_is_on_the_grid_of_the_scene_and_keeps_its_overviews():
    pixels, profile, overviews = opened(LANDSAT, TileStyle((3, 2, 1), (20, 20, 20), (160, 160, 160)))
    with rasterio.open(LANDSAT) as scene:
        assert profile["transform"] == scene.transform
        assert profile["crs"] == scene.crs
        assert overviews == scene.overviews(1) != []
        expected = np.clip((scene.read((3, 2, 1)) - 20.0) / 140 * 255, 0, 255)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).max() <= 0.51  # rounding


def test_name_of_the_file_may_hold_any_character(tmp_path):
    path = tmp_path / "über & 'unter' 100%.tif"
    shutil.copy(LANDSAT, path)
    pixels, _, _ = opened(path, TileStyle((1,)))
    with rasterio.open(LANDSAT) as scene:
        np.testing.assert_array_equal(pixels, scene.read([1]))


def test_band_of_one_value_is_drawn():
    pixels, _, _ = opened(LANDSAT, TileStyle((1,), (40,), (40,)))
    assert set(np.unique(pixels)) == {0, 255}


@pytest.mark.parametrize(
    ("values", "expected"), [(None, None), (3, (3.0, 3.0)), (np.float32(2), (2.0, 2.0)), ([1, 2], (1.0, 2.0))]
)
def test_values_for_all_bands_or_for_each(values, expected):
    assert normalise(values, 2) == expected
