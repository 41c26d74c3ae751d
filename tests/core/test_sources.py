"""What a scene opens from: arrays, xarray, STAC items and URLs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine

from seglab.core.adopt import _cuts
from seglab.core.handles import BLOCK_CACHE_MB, MAPPING_CACHE_MB
from seglab.core.raster import Scene
from seglab.core.sources import pick_asset
from seglab.core.windows import Window
from seglab.errors import SceneNotFoundError, UnsupportedSceneError
from tests.rasters import make_raster, pattern
from tests.web import serving

WHOLE = Window(0, 0, 80, 60)

# -- arrays


@pytest.mark.parametrize("shape", [(60, 80), (60, 80, 3), (3, 60, 80), (60, 80, 13), (13, 60, 80), (60, 80, 1)])
def test_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    count = 1 if len(shape) == 2 else shape[0] if shape[0] <= 13 else shape[2]
    data = pattern(count, 60, 80, "uint16")
    array = data[0] if len(shape) == 2 else data if shape[0] == count else np.moveaxis(data, 0, -1)
    with Scene.open(array, workdir=tmp_path) as scene:
        assert scene.count == count and not scene.grid.is_georeferenced
        assert np.array_equal(scene.read(WHOLE, range(1, count + 1))[0], data)
        assert Path(scene.path).parent == tmp_path


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float32", "int64", "float64"])
def test_array_types(tmp_path: Path, dtype: str) -> None:
    array = (pattern(3, 60, 80, "float64") * 100 > 50 if dtype == "bool" else pattern(3, 60, 80) // 2).astype(dtype)
    with Scene.open(array, workdir=tmp_path) as scene:
        assert np.array_equal(scene.read(WHOLE)[0], array.astype("float32"))


def test_a_photo_in_memory_is_shown_as_it_is(tmp_path: Path) -> None:
    photo = np.moveaxis(pattern(3, 60, 80) // 4 * 5, 0, -1)
    with Scene.open(photo, workdir=tmp_path) as scene:
        assert np.array_equal(scene.rgb(WHOLE)[0], photo)
    rgba = np.concatenate([photo, photo[..., :1]], axis=2)  # four bands are data: nobody said alpha
    with Scene.open(rgba, workdir=tmp_path) as scene:
        assert scene.count == 4 and scene.read(WHOLE)[1].all()


def test_masked_and_nan_pixels_are_not_valid(tmp_path: Path) -> None:
    holes = np.zeros((60, 80), dtype=bool)
    holes[3:9, 4:8] = True
    floats = pattern(1, 60, 80, "float32")[0]
    floats[holes] = np.nan
    for source in (floats, np.ma.MaskedArray(pattern(1, 60, 80)[0], holes)):
        with Scene.open(source, workdir=tmp_path) as scene:
            assert np.array_equal(scene.read(WHOLE)[1], ~holes)


def test_written_once_and_known_by_content(tmp_path: Path) -> None:
    data = pattern(3, 60, 80)
    with Scene.open(data, workdir=tmp_path) as first, Scene.open(data.copy(), workdir=tmp_path) as second:
        assert first.path == second.path and first.fingerprint == second.fingerprint
        assert len(list(tmp_path.iterdir())) == 1
    data[0, 0, 0] += 1
    with Scene.open(data, workdir=tmp_path) as third:
        assert third.fingerprint != first.fingerprint and len(list(tmp_path.iterdir())) == 2


def test_temporary_file_goes_with_the_scene() -> None:
    scene = Scene.open(pattern(3, 60, 80))
    assert Path(scene.path).exists()
    scene.close()
    assert not Path(scene.path).parent.exists()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # of the test's own open
def test_large_arrays_get_overviews(tmp_path: Path) -> None:
    data = pattern(1, 1100, 2300, "uint16")
    with Scene.open(data, workdir=tmp_path) as scene:
        with rasterio.open(scene.path) as file:
            assert file.overviews(1) == [2, 4] and file.block_shapes[0] == (512, 512)
        assert np.array_equal(scene.read(Window(1000, 900, 300, 200))[0][0], data[0, 900:1100, 1000:1300])


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (np.zeros((4, 5), complex), "complex"),
        (np.zeros((4, 5), "datetime64[s]"), "not numbers"),
        (np.zeros((20, 30, 40)), "at most 13"),
        (np.zeros(7), "not \\(H, W\\)"),
        (np.zeros((0, 5)), "not \\(H, W\\)"),
        (42, "cannot be opened from 'int'"),
    ],
)
def test_arrays_that_are_no_images(source: Any, match: str) -> None:
    with pytest.raises(UnsupportedSceneError, match=match):
        Scene.open(source)


# -- xarray


def _array(dtype: str = "float32", bands: int = 4, **kwargs: Any) -> xr.DataArray:
    """Bands on a UTM grid of 10 m."""
    data = pattern(bands, 60, 80, dtype)
    return xr.DataArray(
        data,
        dims=("band", "y", "x"),
        coords={"y": 5_000_000 - 10 * (np.arange(60) + 0.5), "x": 600_000 + 10 * (np.arange(80) + 0.5)},
        **kwargs,
    )


def _georeferenced(array: xr.DataArray) -> xr.DataArray:
    import rioxarray  # noqa: F401 - registers .rio

    return array.rio.write_crs("EPSG:32632")


UTM = Affine(10, 0, 600_000, 0, -10, 5_000_000)


def test_dataarray_with_rio_crs(tmp_path: Path) -> None:
    array = _georeferenced(_array(name="ndvi"))
    with Scene.open(array, workdir=tmp_path) as scene:
        assert scene.grid.crs.to_epsg() == 32632 and scene.grid.transform.almost_equals(UTM)
        assert scene.name == "ndvi"
        assert np.array_equal(scene.read(WHOLE, (1, 2, 3, 4))[0], array.values)


def test_crs_in_attributes_or_in_a_coordinate_of_another_tool(tmp_path: Path) -> None:
    wkt = rasterio.crs.CRS.from_epsg(32632).to_wkt()
    coordinate = _array().assign_coords(spatial_ref=((), 0, {"crs_wkt": wkt}))
    for array in (_array(attrs={"crs": "EPSG:32632"}), coordinate):
        with Scene.open(array, workdir=tmp_path) as scene:
            assert scene.grid.crs.to_epsg() == 32632 and scene.grid.transform.almost_equals(UTM)


def test_a_rotated_grid_is_told_by_its_geotransform(tmp_path: Path) -> None:
    transform = Affine(4.19, 2.18, 4e5, 2.72, -3.35, 5e6)
    array = _georeferenced(_array().drop_vars(["x", "y"]))
    with pytest.raises(UnsupportedSceneError, match="no coordinates 'x' and 'y'"):
        Scene.open(array, workdir=tmp_path)
    array.spatial_ref.attrs["GeoTransform"] = " ".join(map(str, transform.to_gdal()))
    with Scene.open(array, workdir=tmp_path) as scene:
        assert scene.grid.transform.almost_equals(transform)


def test_a_slice_lies_where_its_coordinates_say(tmp_path: Path) -> None:
    array = _georeferenced(_array()).rio.write_transform(UTM).isel(x=slice(20, None), y=slice(10, 11))
    with Scene.open(array, workdir=tmp_path) as scene:
        assert scene.grid.from_pixel(0, 0, 32632) == pytest.approx((600_200, 4_999_900))


def test_axes_in_another_order_and_of_length_one(tmp_path: Path) -> None:
    array = _georeferenced(_array())
    turned = array.expand_dims("time").transpose("y", "x", "band", "time")
    with Scene.open(turned, workdir=tmp_path) as scene:
        assert np.array_equal(scene.read(WHOLE, (1, 2, 3, 4))[0], array.values)


def test_southern_rows_first_stay_in_order(tmp_path: Path) -> None:
    array = _georeferenced(_array()).isel(y=slice(None, None, -1))
    with Scene.open(array, workdir=tmp_path) as scene:
        assert np.array_equal(scene.read(WHOLE)[0], array.values[:3])
        assert scene.grid.from_pixel(0, 0, 32632) == pytest.approx((600_000, 5_000_000 - 600))


def test_longitudes_need_no_crs(tmp_path: Path) -> None:
    array = xr.DataArray(
        pattern(1, 60, 80, "float32")[0],
        dims=("lat", "lon"),
        coords={"lat": 40 - 0.1 * np.arange(60), "lon": 10 + 0.1 * np.arange(80)},
    )
    with Scene.open(array, workdir=tmp_path) as scene:
        assert scene.grid.crs.to_epsg() == 4326
        assert scene.grid.bounds() == pytest.approx((9.95, 34.05, 17.95, 40.05))


def test_no_crs_is_pixel_space(tmp_path: Path) -> None:
    for array in (_array(), xr.DataArray(pattern(3, 60, 80), dims=("band", "y", "x"))):
        with Scene.open(array, workdir=tmp_path) as scene:
            assert not scene.grid.is_georeferenced


def test_band_names(tmp_path: Path) -> None:
    labelled = _array("uint16").assign_coords(band=["blue", "green", "red", "nir"])
    with Scene.open(labelled, workdir=tmp_path) as scene:
        assert scene.band_names == ("blue", "green", "red", "nir") and scene.bands == (3, 2, 1)
    long_names = _array("uint16", attrs={"long_name": ("B2", "B3", "B4", "B8")})
    with Scene.open(long_names, workdir=tmp_path) as scene:
        assert scene.bands == (3, 2, 1)


def test_dataset_variables_become_bands(tmp_path: Path) -> None:
    array = _georeferenced(_array("uint16"))
    dataset = xr.Dataset({name: array[i] for i, name in enumerate(["blue", "green", "red", "nir"])})
    with Scene.open(dataset, workdir=tmp_path) as scene:
        assert scene.bands == (3, 2, 1) and scene.grid.crs.to_epsg() == 32632
        assert np.array_equal(scene.read(WHOLE, ("nir",))[0][0], array.values[3])


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("int16", -32768), ("float32", -9999.0)])
def test_nodata_of_attributes(tmp_path: Path, dtype: str, nodata: float) -> None:
    array = _array(dtype, attrs={"_FillValue": nodata})
    array[:, 5:9, 6:20] = nodata
    with Scene.open(array, workdir=tmp_path) as scene:
        _, valid = scene.read(WHOLE)
        assert (~valid).sum() == 4 * 14 and not valid[5:9, 6:20].any()


def test_blocks_are_computed_one_by_one(tmp_path: Path) -> None:
    """An array that refuses to be loaded whole, as one larger than memory would."""
    data = pattern(2, 1500, 2600, "uint16")
    largest = 0

    class Lazy(xr.backends.BackendArray):
        shape, dtype = data.shape, data.dtype

        def __getitem__(self, key: Any) -> np.ndarray:
            nonlocal largest
            block = data[key.tuple]
            largest = max(largest, block.size)
            return block

    lazy = xr.Variable(("band", "y", "x"), xr.core.indexing.LazilyIndexedArray(Lazy()))
    with Scene.open(xr.DataArray(lazy), workdir=tmp_path) as scene:
        assert np.array_equal(scene.read(Window(900, 900, 300, 300), (1, 2))[0], data[:, 900:1200, 900:1200])
    assert 0 < largest <= 1024 * 1024


def test_dask(tmp_path: Path) -> None:
    dask = pytest.importorskip("dask.array", reason="dask is not installed")
    data = pattern(3, 700, 900, "uint16")
    array = xr.DataArray(dask.from_array(data, chunks=(3, 256, 300)), dims=("band", "y", "x"))
    with Scene.open(array, workdir=tmp_path) as scene:
        assert np.array_equal(scene.read(Window(0, 0, 900, 700))[0], data)


def test_cuts_follow_the_chunks() -> None:
    assert _cuts(3000, ()) == [0, 1024, 2048, 3000]
    assert _cuts(3000, (700, 700, 700, 700, 200)) == [0, 1400, 2800, 3000]
    assert _cuts(10_000, (10_000,)) == [0, 4096, 8192, 10_000]
    assert _cuts(5, ()) == [0, 5]


def test_arrays_that_cannot_be_mapped() -> None:
    cube = xr.DataArray(np.zeros((2, 3, 9, 8)), dims=("time", "band", "y", "x"))
    with pytest.raises(UnsupportedSceneError, match="isel"):
        Scene.open(cube)
    with pytest.raises(UnsupportedSceneError, match="at most 13"):
        Scene.open(xr.DataArray(np.zeros((14, 9, 8)), dims=("band", "y", "x")))
    with pytest.raises(UnsupportedSceneError, match="no variable"):
        Scene.open(xr.Dataset())
    uneven = _georeferenced(_array()).isel(x=[0, 1, 5, 6, 7])
    with pytest.raises(UnsupportedSceneError, match="not evenly"):
        Scene.open(uneven)


# -- STAC


def _item(href: str, **assets: dict[str, Any]) -> dict[str, Any]:
    visual = {
        "href": href,
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["visual"],
    }
    return {
        "type": "Feature",
        "id": "scene-7",
        "assets": {"meta": {"href": "a.json"}, "visual": visual, **assets},
    }


def test_stac_item(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "tci.tif")
    with Scene.open(_item(str(path))) as scene, Scene.open(path) as same:
        assert scene.name == "scene-7" and scene.fingerprint == same.fingerprint


def test_stac_assets() -> None:
    tiff = {"type": "image/tiff; application=geotiff", "roles": ["data"]}
    item = _item("v.tif", b4={"href": "b4.tif", **tiff})
    item["links"] = [{"rel": "self", "href": "https://example.org/items/scene-7.json"}]
    assert pick_asset(item) == ("https://example.org/items/v.tif", "scene-7")
    del item["assets"]["visual"]
    assert pick_asset(item)[0] == "https://example.org/items/b4.tif"
    del item["assets"]["b4"]
    with pytest.raises(UnsupportedSceneError, match="meta"):
        pick_asset(item)


def test_pystac_item(tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac", reason="pystac is not installed")
    path = make_raster(tmp_path / "tci.tif")
    item = pystac.Item.from_dict(
        {**_item("./tci.tif"), "stac_version": "1.0.0", "properties": {"datetime": "2020-01-01T00:00:00Z"},
         "geometry": None, "links": []}
    )  # fmt: skip
    item.set_self_href(str(tmp_path / "item.json"))
    with Scene.open(item) as scene:
        assert Path(scene.path) == path.resolve() and scene.name == "scene-7"


# -- URLs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as web:
        yield web.address


def test_url(tmp_path: Path, server: str) -> None:
    path = make_raster(tmp_path / "scene one.tif", tiled=True)
    with Scene.open(path) as local, Scene.open(f"{server}/scene%20one.tif?sig=1") as remote:
        assert remote.name == "scene one" and remote.grid == local.grid
        assert np.array_equal(remote.rgb(WHOLE)[0], local.rgb(WHOLE)[0])
    with Scene.open(f"{server}/scene%20one.tif?sig=2") as again:
        assert again.fingerprint == remote.fingerprint  # another signature, the same pixels
    make_raster(tmp_path / "other.tif", seed=5)
    with Scene.open(f"{server}/other.tif") as other:
        assert other.fingerprint != remote.fingerprint


def test_url_of_nothing(server: str) -> None:
    with pytest.raises(SceneNotFoundError, match="check the address"):
        Scene.open(f"{server}/missing.tif")


def test_file_url(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene.tif")
    with Scene.open(path.as_uri()) as scene:
        assert Path(scene.path) == path.resolve()


@pytest.mark.parametrize(
    ("chosen", "maps", "expected"),
    [(None, False, BLOCK_CACHE_MB), (None, True, MAPPING_CACHE_MB), ("64", False, 64), ("64", True, 64)],
    ids=["label", "map", "chosen", "chosen-map"],
)
def test_gdal_keeps_few_blocks_unless_told_otherwise(chosen: str | None, maps: bool, expected: int) -> None:
    code = (
        f"from seglab.core import handles; {'handles.keep_few_blocks();' if maps else ''}"
        "from rasterio._env import get_gdal_config; print(get_gdal_config('GDAL_CACHEMAX'))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GDAL_CACHEMAX"}
    environment |= {} if chosen is None else {"GDAL_CACHEMAX": chosen}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert int(said.stdout) == expected * 2**20
