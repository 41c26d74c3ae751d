"""Scenes: windows, validity, decimation, stretch and threads, on synthetic rasters."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from seglab.core.raster import Scene
from seglab.core.stretch import Stretch
from seglab.core.windows import Window
from seglab.errors import BandError, SceneClosedError, StretchError
from tests.rasters import make_raster, pattern


def _expected(data: np.ndarray, valid: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """The window cut from the whole array: means of the valid pixels, written the obvious way."""
    height, width = window.model_shape
    values, seen = np.zeros((data.shape[0], height, width)), np.zeros((height, width), dtype=bool)
    for i in range(height):
        for j in range(width):
            top, left = window.row + i * window.scale, window.col + j * window.scale
            rows = slice(max(0, top), max(0, top + window.scale))
            cols = slice(max(0, left), max(0, left + window.scale))
            inside = valid[rows, cols]
            if inside.any():
                values[:, i, j] = data[:, rows, cols][:, inside].mean(axis=1)
                seen[i, j] = True
    return values, seen


@pytest.fixture(scope="module")
def float_scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, np.ndarray, np.ndarray]:
    data = pattern(3, 61, 83, "float32")
    valid = np.ones((61, 83), dtype=bool)
    valid[10:20, 30:47] = valid[60, 80:] = False
    path = make_raster(tmp_path_factory.mktemp("float") / "f.tif", data=data, nodata=-9999.0, holes=~valid, tiled=True)
    return Scene.open(path), data, valid


@settings(deadline=None, max_examples=150)
@given(
    st.integers(-40, 100),
    st.integers(-40, 80),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from([1, 2, 3, 4, 7]),
)
def test_any_window(
    float_scene: tuple[Scene, np.ndarray, np.ndarray], col: int, row: int, width: int, height: int, scale: int
) -> None:
    scene, data, valid = float_scene
    window = Window(col, row, width * scale, height * scale, scale)
    values, seen = scene.read(window)
    expected, expected_valid = _expected(data, valid, window)
    assert values.dtype == np.float32 and values.shape == (3, height, width)
    assert np.array_equal(seen, expected_valid)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_data_types(tmp_path: Path, dtype: str) -> None:
    path = make_raster(tmp_path / "scene.tif", dtype=dtype, seed=3)
    with rasterio.open(path) as file:
        data = file.read()
    with Scene.open(path) as scene:
        values, valid = scene.read(Window(5, 6, 40, 30))
        assert np.array_equal(values, data[:, 6:36, 5:45].astype("float32"))
        assert valid.all() and scene.dtype == dtype
        image, _ = scene.rgb(Window(0, 0, 128, 96))
        assert image.std() > 30  # the stretch makes use of the range


def test_overviews_stay_aligned(tmp_path: Path) -> None:
    """A ramp read through overviews of odd size is still a ramp, to a fifth of an output pixel."""
    ramp = np.broadcast_to(np.arange(1489, dtype=np.float32), (3, 1003, 1489))
    path = make_raster(tmp_path / "ramp.tif", data=ramp, overviews=(2, 4, 8), tiled=True)
    with Scene.open(path) as scene:
        for factor in (2, 3, 4, 7, 8):
            window = Window(-factor * 3, factor * 2, factor * 200, factor * 100, factor)
            values, valid = scene.read(window)
            cols = window.col + (np.arange(200) + 0.5) * factor - 0.5
            inside = valid[0] & (cols > factor) & (cols < 1489 - factor)
            assert inside.sum() > 150
            assert np.abs(values[0][:, inside] - cols[inside]).max() < 0.2 * factor
        image, valid, factor = scene.preview(500)
        assert (factor, image.shape, valid.all()) == (3, (335, 497, 3), True)


def test_outside_is_empty(tmp_path: Path) -> None:
    with Scene.open(make_raster(tmp_path / "scene.tif")) as scene:
        values, valid = scene.read(Window(500, 500, 32, 32, 2))
        assert values.shape == (3, 16, 16) and not values.any() and not valid.any()
        image, valid = scene.rgb(Window(-10, -10, 20, 20))
        assert valid.sum() == 100 and not image[~valid].any()


# -- validity


def test_integer_nodata_needs_every_band(tmp_path: Path) -> None:
    data = pattern(4, 40, 50)
    holes = np.zeros((40, 50), dtype=bool)
    holes[:, :7] = True
    data[0, 20, 20] = data[3, 21, 21] = 0  # nodata by chance
    path = make_raster(tmp_path / "scene.tif", data=data, nodata=0, holes=holes)
    with Scene.open(path, bands=(1, 2, 3)) as scene:
        for bands in (None, (1,), (4,), (4, 1)):
            assert np.array_equal(scene.read(Window(0, 0, 50, 40), bands)[1], ~holes)


@pytest.mark.parametrize("nodata", [np.nan, -3.4028234663852886e38, -9999.9])
def test_float_nodata_and_nan(tmp_path: Path, nodata: float) -> None:
    data = pattern(2, 40, 50, "float32")
    holes = np.zeros((40, 50), dtype=bool)
    holes[5:9] = True
    path = make_raster(tmp_path / "scene.tif", data=data, nodata=nodata, holes=holes)
    with rasterio.open(path, "r+") as file:
        band = file.read(2)
        band[30, 30] = np.inf
        file.write(band, 2)
    with Scene.open(path) as scene:
        values, valid = scene.read(Window(0, 0, 50, 40))
        holes[30, 30] = True
        assert np.array_equal(valid, ~holes) and np.isfinite(values).all() and values.max() <= 1
        assert 0 <= min(scene.stretch.low) < max(scene.stretch.high) <= 1


def test_nan_without_nodata(tmp_path: Path) -> None:
    data = pattern(1, 40, 50, "float32")
    data[0, 3, 4] = np.nan
    with Scene.open(make_raster(tmp_path / "scene.tif", data=data)) as scene:
        _, valid = scene.read(Window(0, 0, 50, 40))
        assert not valid[3, 4] and valid.sum() == 1999


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_mask_and_alpha(tmp_path: Path, kind: str) -> None:
    shown = np.hypot(*(np.mgrid[:80, :90] - 40)) < 35
    data = pattern(3, 80, 90)
    data[:, ~shown] = 255
    path = make_raster(tmp_path / "scene.tif", data=data, **{kind: shown})
    with Scene.open(path) as scene:
        assert scene.count == 3 and scene.bands == (1, 2, 3)
        assert np.array_equal(scene.read(Window(0, 0, 90, 80))[1], shown)
        assert max(scene.stretch.high) < 255 or scene.stretch == Stretch.identity()
        coarse, valid = scene.read(Window(0, 0, 90, 80, 5))
        expected, expected_valid = _expected(data, shown, Window(0, 0, 90, 80, 5))
        assert np.array_equal(valid, expected_valid)
        assert np.abs(coarse - expected).max() <= 1  # 8-bit means are rounded; masked pixels do not enter
        if kind == "alpha":
            with pytest.raises(BandError, match="no band 4"):
                scene.read(Window(0, 0, 9, 9), (4,))


# -- what is shown


def test_view_and_names(tmp_path: Path) -> None:
    names = ["B1", "B2", "B3", "B4", "B5", "B6_VCID_2", "B7"]
    path = make_raster(tmp_path / "scene.tif", count=7, names=names)
    with Scene.open(path) as scene:
        assert scene.bands == (3, 2, 1) and scene.band_names == tuple(names) and scene.count == 7
        assert np.array_equal(scene.read(Window(0, 0, 9, 9), ("B5", 2))[0], scene.read(Window(0, 0, 9, 9), (5, 2))[0])
    with Scene.open(path, bands=("B4", 3, 2)) as scene:
        assert scene.bands == (4, 3, 2)
    with Scene.open(path, bands=[5]) as scene:
        image, _ = scene.rgb(Window(0, 0, 20, 20))
        assert scene.bands == (5, 5, 5) and (np.ptp(image, axis=2) == 0).all()
    with pytest.raises(BandError, match="B6_VCID_2"):
        Scene.open(path, bands=(1, 2, 8))


def test_thirteen_bands_and_more(tmp_path: Path) -> None:
    with Scene.open(make_raster(tmp_path / "s2.tif", count=13, dtype="int16", nodata=0)) as scene:
        assert scene.bands == (4, 3, 2)
        values, valid = scene.read(Window(0, 0, 8, 8), range(1, 14))
        assert values.shape == (13, 8, 8) and valid.all()


def test_stretch_is_of_valid_pixels_and_the_same_everywhere(tmp_path: Path) -> None:
    data = pattern(3, 60, 80, "uint16")
    holes = np.zeros((60, 80), dtype=bool)
    holes[:, 40:] = True
    path = make_raster(tmp_path / "scene.tif", data=data, nodata=65535, holes=holes)
    with Scene.open(path) as scene:
        kept = data[:, ~holes]
        np.testing.assert_allclose(scene.stretch.low, np.percentile(kept, 2, axis=1))
        np.testing.assert_allclose(scene.stretch.high, np.percentile(kept, 98, axis=1))
        whole, _, factor = scene.preview()
        part, _ = scene.rgb(Window(10, 20, 30, 30))
        assert factor == 1 and np.array_equal(part, whole[20:50, 10:40])
    with Scene.open(path, percentiles=(0, 100)) as scene:
        assert scene.stretch.high == tuple(kept.max(axis=1))
    with Scene.open(path, stretch=Stretch.identity(), fingerprint="mine") as scene:
        assert scene.stretch == Stretch.identity() and scene.fingerprint == "mine"


def test_stretch_of_a_large_scene_without_overviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seglab.core.sampling.FULL_READ_PIXELS", 1000)
    data = pattern(3, 700, 900, "uint16")
    path = make_raster(tmp_path / "scene.tif", data=data)
    with Scene.open(path) as scene:
        exact = np.percentile(data.reshape(3, -1), (2, 98), axis=1)
        np.testing.assert_allclose(scene.stretch.low, exact[0], rtol=0.05)
        np.testing.assert_allclose(scene.stretch.high, exact[1], rtol=0.05)
    data[:] = 65535
    data[:, 200:203, 300:303] = 7  # between the sampled blocks
    path = make_raster(tmp_path / "sparse.tif", data=data, nodata=65535)
    with Scene.open(path) as scene:
        assert scene.stretch.low == (7, 7, 7)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of the test's own open
@pytest.mark.parametrize("driver", ["PNG", "JPEG"])
def test_photos_are_shown_as_they_are(tmp_path: Path, driver: str) -> None:
    data = pattern(3, 60, 80) // 3
    path = make_raster(tmp_path / f"photo.{driver.lower()}", data=data, crs=None, transform=None, driver=driver)
    with Scene.open(path) as scene:
        assert not scene.grid.is_georeferenced and scene.grid.default_crs == "pixel"
        image, valid = scene.rgb(Window(0, 0, 80, 60))
        with rasterio.open(path) as file:
            assert np.array_equal(image, np.moveaxis(file.read(), 0, -1))
        assert valid.all()


def test_rgb_tags_on_a_dark_scene_do_not_stop_the_stretch(tmp_path: Path) -> None:
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    dark = make_raster(tmp_path / "dark.tif", data=pattern(3, 60, 80) // 4, colours=colours)
    bright = make_raster(tmp_path / "bright.tif", data=pattern(3, 60, 80) // 4 * 5, colours=colours)
    with Scene.open(dark) as scene:
        assert max(scene.stretch.high) < 60
    with Scene.open(bright) as scene:
        assert scene.stretch == Stretch.identity()


def test_palette_becomes_colours(tmp_path: Path) -> None:
    index = (np.arange(60 * 80) % 3).astype(np.uint8).reshape(1, 60, 80)
    path = make_raster(tmp_path / "palette.tif", data=index, photometric="palette", nodata=0)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0, 0), 1: (250, 0, 0, 255), 2: (0, 250, 100, 255)})
    with Scene.open(path, workdir=tmp_path / "work") as scene:
        image, valid = scene.rgb(Window(0, 0, 80, 60))
        assert scene.count == 3 and scene.grid.crs.to_epsg() == 32632 and scene.name == "palette"
        assert np.array_equal(valid, index[0] > 0)
        assert np.array_equal(image[index[0] == 2], np.full((1600, 3), (0, 250, 100)))
        assert scene.path != str(path)


# -- place


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3413", Affine(40, 0, -2e5, 0, -40, 1.5e6)),
        ("EPSG:4326", Affine(0.00027, 0, -112.9, 0, -0.00027, 41.0)),
        ("EPSG:32633", Affine(4.19, 2.18, 4e5, 2.72, -3.35, 5e6)),
    ],
)
def test_grid(tmp_path: Path, crs: str, transform: Affine) -> None:
    with Scene.open(make_raster(tmp_path / "scene.tif", crs=crs, transform=transform)) as scene:
        assert scene.grid.transform.almost_equals(transform) and scene.grid.shape == (96, 128)
        assert scene.grid.crs.to_epsg() == int(crs[5:])


def test_crs_without_geotransform_and_local_crs_are_pixel_space(tmp_path: Path) -> None:
    local = 'LOCAL_CS["building site",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]'
    for crs, transform in [
        ("EPSG:32632", None),
        (local, Affine(2, 0, 10, 0, -2, 10)),
        (None, Affine(2, 0, 1, 0, -2, 1)),
    ]:
        with Scene.open(make_raster(tmp_path / "scene.tif", crs=crs, transform=transform)) as scene:
            assert scene.grid.default_crs == "pixel"


# -- life


def test_fingerprint_follows_the_file(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene.tif")
    with Scene.open(path) as first, Scene.open(str(path), bands=(2,)) as second:
        assert first.fingerprint == second.fingerprint
        os.utime(path, ns=(1, 1))
    with Scene.open(path) as third:
        assert third.fingerprint != first.fingerprint


def test_threads_read_the_same(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene.tif", 700, 600, tiled=True, compress="deflate")
    windows = [Window(c, r, 128, 96, s) for c in range(-60, 600, 90) for r in range(0, 500, 130) for s in (1, 2)]
    with Scene.open(path) as scene:
        alone = [scene.rgb(window)[0] for window in windows]
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(lambda window: scene.rgb(window)[0], windows * 4))
        assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


def test_closing_while_others_read(tmp_path: Path) -> None:
    scene = Scene.open(make_raster(tmp_path / "scene.tif", 700, 600, tiled=True))

    def read_on() -> int:
        reads = 0
        while True:
            try:
                scene.rgb(Window(0, 0, 512, 512))
            except SceneClosedError:
                return reads
            reads += 1

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_on) for _ in range(3)]
        scene.close()
        assert all(reader.result(timeout=60) >= 0 for reader in readers)
    with pytest.raises(SceneClosedError, match="open it again"):
        scene.read(Window(0, 0, 4, 4))


@pytest.mark.parametrize("percentiles", [(98, 2), (-1, 50), (2, 101), (5, 5)])
def test_percentiles_that_make_no_sense(tmp_path: Path, percentiles: tuple[float, float]) -> None:
    with pytest.raises(StretchError, match="percentiles"):
        Scene.open(make_raster(tmp_path / "scene.tif"), percentiles=percentiles)
