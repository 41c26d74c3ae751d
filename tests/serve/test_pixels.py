"""Tiles show the raster: its pixels stretched, its colours, and nothing where it has no data."""

from __future__ import annotations

import os

import numpy as np
import pytest
import rasterio
from localtileserver.tiler import get_data_path
from rasterio.warp import transform_bounds

from tests.rasters import make_raster
from tests.serve.tile_pixels import decode, deeper, stretched, tile_path, warped

LANDSAT = get_data_path("landsat.tif")


def gradient(count=1, dtype="uint16", shape=(300, 320), seed=0):
    """Smooth bands, so that half a pixel more or less in two ways of warping shows as a small difference."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    scale = np.random.default_rng(seed).uniform(2, 5, count)
    return np.stack([100 + s * (rows + 2 * cols) for s in scale]).astype(dtype)


@pytest.mark.parametrize("levels", [1, 3])
def test_tile_is_the_stretched_scene(server, client, levels):
    low, high = [30.0, 40.0, 60.0], [150.0, 140.0, 180.0]
    layer = server.add(LANDSAT, indexes=[3, 2, 1], vmin=low, vmax=high)
    tile = deeper(layer, levels)
    answer = client.get(tile_path(layer, tile))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    image = decode(answer.content)
    assert image.shape == (4, 256, 256)
    values, valid = warped(LANDSAT, tile, [3, 2, 1])
    np.testing.assert_array_equal(image[3] > 0, valid)
    difference = np.abs(image[:3] - stretched(values, low, high))[:, valid]
    # overviews and the placement of nearest neighbours may differ by a pixel, at edges only
    assert np.median(difference) <= 1
    assert np.mean(difference > 12) < 0.1
    assert image[:3][:, valid].std() > 10


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_dtypes_are_stretched_alike(server, client, tmp_path, dtype):
    array = gradient(3, "float64")
    array = (array / array.max() * 250).astype(dtype)
    path = make_raster(tmp_path / "scene.tif", data=array)
    layer = server.add(path, indexes=[1, 2, 3], vmin=20, vmax=[200, 210, 220])
    tile = deeper(layer, 1)
    image = decode(client.get(tile_path(layer, tile)).content)
    values, valid = warped(path, tile, [1, 2, 3])
    expected = stretched(values, [20] * 3, [200, 210, 220])
    assert valid.mean() > 0.3
    assert np.percentile(np.abs(image[:3] - expected)[:, valid], 99) <= 8


@pytest.mark.parametrize("nodata", [-9999.0, float("nan")])
def test_nodata_is_transparent_and_dark_pixels_are_not(server, client, tmp_path, nodata):
    array = gradient(3, "float32")
    array[:, :100] = nodata
    array[:, 100:200] = 0  # below vmin: black, not absent
    path = make_raster(tmp_path / "scene.tif", data=array, nodata=None if np.isnan(nodata) else nodata)
    layer = server.add(path, indexes=[3, 2, 1], vmin=50, vmax=3000)
    tile = layer.probe_tile
    image = decode(client.get(tile_path(layer, tile)).content)
    values, valid = warped(path, tile, [1], nodata=nodata)
    black = valid & (values[0] == 0)
    assert 0.05 < black.mean() < 0.95 and 0.05 < valid.mean() < 0.95
    assert np.mean((image[3] > 0) == valid) > 0.99
    assert np.mean(image[3][black] > 0) > 0.97
    assert np.median(image[:3][:, black]) <= 1


def test_nodata_of_the_caller_wins(server, client, tmp_path):
    array = np.full((1, 64, 64), 7, "uint16")
    path = make_raster(tmp_path / "scene.tif", data=array, nodata=3)
    seen = server.add(path, vmin=0, vmax=10)
    hidden = server.add(path, vmin=0, vmax=10, nodata=7)
    tile = deeper(seen, 2)
    assert decode(client.get(tile_path(seen, tile)).content)[-1].max() == 255
    assert decode(client.get(tile_path(hidden, tile)).content)[-1].max() == 0


def test_mask_beside_the_raster_is_found(server, client, tmp_path):
    """localtileserver switches such files off for the whole process; the server must not."""
    path = make_raster(tmp_path / "scene.tif", data=gradient(3, "uint8"))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        mask = np.full(dataset.shape, 255, "uint8")
        mask[:, :160] = 0
        dataset.write_mask(mask)
    assert (tmp_path / "scene.tif.msk").exists()
    layer = server.add(path, indexes=[1, 2, 3])
    alpha = decode(client.get(tile_path(layer, deeper(layer, 1))).content)[3]
    _, valid = warped(path, deeper(layer, 1), [1])
    assert 0 < valid.mean() < 1
    assert np.mean((alpha > 0) == valid) > 0.99
    assert "GDAL_DISABLE_READDIR_ON_OPEN" not in os.environ


def test_wrong_alpha_tag_hides_nothing(server, client, tmp_path):
    path = make_raster(tmp_path / "scene.tif", data=gradient(4, "uint8") % 7)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[n] for n in ("red", "green", "blue", "alpha")]
    layer = server.add(path, indexes=[4, 2, 1], vmin=0, vmax=7)
    alpha = decode(client.get(tile_path(layer, deeper(layer, 2))).content)[3]
    assert alpha.min() == 255


def test_class_map_keeps_its_colours(server, client, tmp_path):
    classes = np.zeros((1, 300, 320), "uint8")
    classes[0, :, 100:200], classes[0, :, 200:] = 1, 2
    path = make_raster(tmp_path / "classes.tif", data=classes)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (0, 0, 0), 1: (230, 159, 0), 2: (86, 180, 233)})
    layer = server.add(path)
    tile = deeper(layer, 1)
    image = decode(client.get(tile_path(layer, tile)).content)
    values, valid = warped(path, tile, [1])
    for value, colour in {1: (230, 159, 0, 255), 2: (86, 180, 233, 255)}.items():
        of_class = valid & (values[0] == value)
        assert of_class.any()
        drawn = image[:, of_class] == np.array(colour)[:, None]
        assert drawn.all(axis=0).mean() > 0.98
    assert np.mean(image[3][values[0] == 0] == 0) > 0.98


def test_colours_can_be_given(server, client, tmp_path):
    path = make_raster(tmp_path / "map.tif", data=np.full((1, 64, 64), 5, "uint8"))
    coloured = server.add(path, colormap={5: (1, 2, 3)})
    others = server.add(path, colormap={4: (1, 2, 3)})
    ramp = server.add(path, vmin=0, vmax=5, colormap="viridis")
    tile = deeper(coloured, 3)
    for layer, expected in ((coloured, [1, 2, 3, 255]), (others, [0] * 4), (ramp, [253, 231, 36, 255])):
        image = decode(client.get(tile_path(layer, tile)).content)
        np.testing.assert_allclose(image[:, 128, 128], expected, atol=2)


def test_band_may_repeat(server, client, tmp_path):
    path = make_raster(tmp_path / "grey.tif", data=gradient(1, "uint16"))
    layer = server.add(path, indexes=[1, 1, 1], vmin=[100] * 3, vmax=[3000] * 3)
    image = decode(client.get(tile_path(layer, deeper(layer, 1))).content)
    assert image[0].std() > 5
    np.testing.assert_array_equal(image[0], image[1])
    np.testing.assert_array_equal(image[0], image[2])


def test_outside_of_the_scene_is_transparent(server, client):
    layer = server.add(LANDSAT, indexes=[3, 2, 1])
    answer = client.get(tile_path(layer, (8, 0, 0)))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert decode(answer.content)[-1].max() == 0


def test_handle_says_where_the_scene_is(server):
    layer = server.add(LANDSAT, indexes=[3, 2, 1])
    with rasterio.open(LANDSAT) as dataset:
        expected = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    np.testing.assert_allclose(layer.bounds, expected, atol=1e-9)
    z, x, y = layer.probe_tile
    assert (z, x, y) == deeper(layer, 0)
    assert 0.5 < (expected[2] - expected[0]) / (360 / 2**z) <= 1
