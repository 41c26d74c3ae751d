"""Real scenes: those that localtileserver ships, and the georeferenced ones of the labelled data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp

from seglab.core.annotator import first_click, mndwi, otsu
from seglab.core.masks import clean, largest_piece, polygons_of, rasterize
from seglab.core.raster import Scene
from seglab.core.stretch import Stretch
from seglab.core.windows import Window

PACKAGED = {
    "landsat.tif": ((3, 2, 1), False),
    "landsat7.tif": ((1, 2, 3), False),
    "bahamas_rgb.tif": ((1, 2, 3), True),
    "srtm90.tif": ((1, 1, 1), False),
    "co_elevation_roi.tif": ((1, 1, 1), False),
}
LENT = {
    "RGB.byte.tif": (1, 2, 3),
    "Spain_7370579_S2Hand.tif": (4, 3, 2),
    "cog_dateline.tif": (1, 1, 1),
    "cog_nodata.tif": (1, 1, 1),
    "colorado_internal_mask.tif": (1, 2, 3),
    "kampala.tif": (1, 2, 3),
    "landsat_1990.tif": (1, 2, 3),
    "naip_2014.tif": (1, 2, 3),
}


def _check(path: Path) -> None:
    """The scene agrees with rasterio in its middle: pixels, validity and place."""
    with Scene.open(path) as scene, rasterio.open(path) as file:
        col, row = scene.grid.width // 2 - 50, scene.grid.height // 2 - 40
        window = Window(col, row, 100, 80)
        values, valid = scene.read(window)
        area = rasterio.windows.Window(col, row, 100, 80)
        expected = file.read(scene.bands, window=area)
        assert np.array_equal(values[:, valid], expected.astype("float32")[:, valid])
        assert np.array_equal(valid, file.dataset_mask(window=area) > 0)
        lon, lat = scene.grid.from_pixel(col, row)
        x, y = rasterio.warp.transform(file.crs, "EPSG:4326", *[[v] for v in file.xy(row, col, offset="ul")])
        assert (lon - x[0]) % 360 == pytest.approx(0, abs=1e-9) or (lon - x[0]) % 360 == pytest.approx(360)
        assert lat == pytest.approx(y[0], abs=1e-9)
        image, shown, _ = scene.preview()
        assert image[shown].std() > 20


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged(packaged: Path, name: str) -> None:
    _check(packaged / name)
    with Scene.open(packaged / name) as scene:
        bands, as_is = PACKAGED[name]
        assert scene.bands == bands
        assert (scene.stretch == Stretch.identity()) is as_is


@pytest.mark.parametrize("name", LENT)
def test_lent(georef: Path, name: str) -> None:
    _check(georef / name)
    with Scene.open(georef / name) as scene:
        assert scene.bands == LENT[name]


def test_dateline(georef: Path) -> None:
    with Scene.open(georef / "cog_dateline.tif") as scene:
        west, _, east, _ = scene.grid.bounds()
        assert west < 180 < east < 190
        assert scene.grid.contains(*scene.grid.to_pixel(-179.0, 51.5))


def test_water_of_the_great_salt_lake(packaged: Path) -> None:
    """The reference of the demo: water is found, an annotator can click it, its outline round-trips."""
    with Scene.open(packaged / "landsat.tif") as scene:
        (green, swir), valid = scene.read(Window(0, 0, scene.grid.width, scene.grid.height), ("B2", "B5"))
    index = mndwi(green, swir)
    water = clean((index > otsu(index[valid])) & valid, min_area=30)
    assert 0.1 < water.mean() < 0.4
    lake = largest_piece(water)
    col, row = first_click(lake)
    assert lake[int(row), int(col)] and row < 500  # the lake's open water lies in the north
    assert np.array_equal(rasterize(polygons_of(water), water.shape), water)
