"""Rasters that are computed while they are drawn: a normalised difference of bands, and what changed between maps."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from localtileserver.tiler import get_data_path
from rasterio.io import MemoryFile

from seglab.serve.changes import ClassMap, style_changes
from seglab.serve.images import render
from seglab.serve.styled import TileStyle, style_raster
from tests.rasters import make_raster
from tests.serve.tile_pixels import decode, deeper, tile_path, warped

LANDSAT = get_data_path("landsat.tif")


def drawn(styled):
    """The values of the virtual raster's one band."""
    with MemoryFile(styled.xml.encode(), ext=".vrt") as file, file.open() as dataset:
        return dataset.read(1)


def ndvi(values):
    nir, red = values.astype(float)
    with np.errstate(invalid="ignore"):
        return (nir - red) / (nir + red)


def test_tile_is_the_normalised_difference(server, client):
    layer = server.add(LANDSAT, indexes=[4, 3], vmin=-0.5, vmax=0.5)
    tile = deeper(layer, 3)
    image = decode(client.get(tile_path(layer, tile)).content).astype(float)
    values, valid = warped(LANDSAT, tile, [4, 3])
    expected = 1 + np.clip(ndvi(values) + 0.5, 0, 1) * 254
    difference = np.abs(image[0] - expected)[valid]
    assert np.median(difference) <= 1
    assert np.mean(difference > 20) < 0.1
    assert expected[valid].std() > 20
    grey = decode(client.get(tile_path(server.add(LANDSAT, indexes=[4], vmin=0, vmax=255), tile)).content)
    assert np.median(np.abs(image[0] - grey[0])) > 20  # it is not simply the band


@pytest.mark.parametrize("marked", ["nodata", "nan", "mask", "alpha"])
def test_nothing_is_drawn_where_a_band_has_no_data(tmp_path, marked):
    dtype = "float32" if marked == "nan" else "uint16"
    data = np.stack([np.full((64, 80), value) for value in (300, 100, 100)]).astype(dtype)
    valid = np.ones((64, 80), bool)
    valid[:, :30] = False
    options = {"mask": {"mask": valid}, "alpha": {"alpha": valid}}.get(marked, {})
    if marked == "nodata":
        data[0, ~valid] = 7
        options = {"nodata": 7}
    elif marked == "nan":
        data[1, ~valid] = np.nan
    path = make_raster(tmp_path / "scene.tif", data=data, **options)
    values = drawn(style_raster(str(path), TileStyle((1, 2), (0,), (1,))))
    np.testing.assert_array_equal(values > 0, valid)
    assert set(values[valid]) == {128}  # 0.5 of 1 to 255


def test_nothing_over_nothing_is_nothing(tmp_path):
    data = np.zeros((2, 64, 64), "uint8")
    data[:, 32:] = np.array([10, 30])[:, None, None]
    path = make_raster(tmp_path / "scene.tif", data=data)
    values = drawn(style_raster(str(path), TileStyle((2, 1), (0,), (1,))))
    assert set(values[:32].ravel()) == {0} and set(values[32:].ravel()) == {128}


def test_difference_has_overviews_even_where_the_file_has_none(tmp_path):
    path = make_raster(tmp_path / "scene.tif", width=1000, height=900, count=2)
    styled = style_raster(str(path), TileStyle((2, 1), (-1,), (1,)))
    with MemoryFile(styled.xml.encode(), ext=".vrt") as file, file.open() as dataset:
        assert dataset.overviews(1) == [2, 4]


def test_image_is_what_the_tiles_are_made_of(tmp_path):
    path = make_raster(tmp_path / "photo.tif", width=70, height=50, count=3, crs=None, transform=None, nodata=0)
    with rasterio.open(path, "r+") as file:
        file.write(np.zeros((3, 50, 9), "uint8"), window=rasterio.windows.Window(0, 0, 9, 50))
    colours = render(style_raster(str(path), TileStyle((3, 2, 1), (0,) * 3, (200,) * 3)), 100)
    with rasterio.open(path) as file:
        pixels = file.read((3, 2, 1))
    assert colours.shape == (50, 70, 4)
    np.testing.assert_array_equal(colours[..., 3] > 0, pixels.any(axis=0))
    shown = np.clip(1 + pixels / 200.0 * 254, 1, 255)
    assert np.abs(np.moveaxis(colours[:, 9:, :3], -1, 0) - shown[..., 9:]).max() <= 0.51
    ramp = render(style_raster(str(path), TileStyle((1,), (0,), (200,), colormap="viridis")), 30)
    assert ramp.shape == (17, 24, 4)
    assert len(np.unique(ramp[..., :3].reshape(-1, 3), axis=0)) > 20 and ramp[..., :3].std(axis=-1).min() > 5
    assert ramp[:, 0, 3].max() == 0 and ramp[:, 4:, 3].min() == 255


def class_map(folder, name, values, **options):
    return str(make_raster(folder / name, data=np.array(values, "uint8")[None], nodata=255, **options))


def test_changes_are_where_the_meaning_differs(tmp_path, server, client):
    # before: 1 is water, 2 field; after: a class has gone, so that 1 is field
    before = [[0, 0, 1, 1], [2, 2, 255, 0]]
    after = [[0, 1, 1, 2], [1, 0, 1, 255]]
    first = ClassMap(class_map(tmp_path, "a.tif", before), {0: 0, 1: 7, 2: 5}, 255)
    second = ClassMap(class_map(tmp_path, "b.tif", after), {0: 0, 1: 5, 2: 7}, 255)
    styled = style_changes(first, second, (200, 30, 90))
    assert drawn(styled).tolist() == [[0, 1, 1, 0], [0, 1, 0, 0]]
    assert styled.colormap[1] == (200, 30, 90, 255) and styled.colormap[0][3] == 0
    layer = server.serve(styled)
    image = decode(client.get(tile_path(layer)).content)
    seen = image[:, image[3] > 0]
    assert seen.shape[1] > 0 and set(map(tuple, seen.T)) == {(200, 30, 90, 255)}
