"""NetCDF files and Zarr stores: dates are dates, and only what is needed is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr

from seglab.core import cubes
from seglab.core.cubes import CubeLayer, open_cube
from seglab.core.dated_scenes import DatedScenes
from seglab.core.raster import Scene
from seglab.core.scene_lists import find_scenes, scene_name
from seglab.core.sources import megapixels
from seglab.core.windows import Window
from seglab.errors import DateError, MissingPackageError, NotARasterError, SceneNotFoundError, UnsupportedSceneError
from tests.rasters import pattern

DATES = np.array(["2020-06-01", "2020-07-01"], dtype="datetime64[ns]")
WHOLE = Window(0, 0, 80, 60)


def cube(path: Path, dates: np.ndarray | None = DATES, names: tuple[str, ...] = ("B2", "B3", "B10")) -> Path:
    """A CF cube of 80 x 60 pixels with a hole: variables by band, a time axis, its CRS in spatial_ref."""
    count = 1 if dates is None else len(dates)
    data = pattern(count * len(names), 60, 80, "int16").reshape(count, len(names), 60, 80)
    data[:, :, :10, :10] = -1
    axes = ("y", "x") if dates is None else ("time", "y", "x")
    made = xr.Dataset(
        {name: (axes, data[0, n] if dates is None else data[:, n]) for n, name in enumerate(names)},
        coords={"y": 5_000_000 - 10 * np.arange(60.0) - 5, "x": 600_000 + 10 * np.arange(80.0) + 5}
        | ({} if dates is None else {"time": dates}),
    )
    made = made.rio.write_crs("EPSG:32632")
    for name in names:
        made[name].attrs["grid_mapping"] = "spatial_ref"
        made[name].encoding.pop("grid_mapping", None)
    encoding = {name: {"_FillValue": np.int16(-1)} for name in names}
    if path.suffix == ".zarr":
        made.to_zarr(path, encoding=encoding, consolidated=False)
    else:
        made.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    return path


@pytest.fixture(params=[".nc", ".zarr"])
def dated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return cube(tmp_path / f"valley{request.param}")


def test_its_dates_are_dates(dated: Path) -> None:
    imagery = DatedScenes.open(str(dated))
    assert imagery.name == "valley" and imagery.dates == ("2020-06-01", "2020-07-01")
    assert imagery.files == dict.fromkeys(imagery.dates, str(dated))
    values = {}
    for date in imagery.dates:
        scene = imagery.at(date)
        assert scene.band_names == ("B2", "B3", "B10") and scene.grid.crs.to_epsg() == 32632
        assert scene.grid.transform[:6] == (10, 0, 600_000, 0, -10, 5_000_000)
        values[date], valid = scene.read(WHOLE, [1, 2, 3])
        assert not valid[:10, :10].any() and valid.sum() == 60 * 80 - 100
    expected = pattern(6, 60, 80, "int16")
    np.testing.assert_array_equal(values["2020-07-01"][:, 10:], expected[3:, 10:])
    np.testing.assert_array_equal(values["2020-06-01"][:, 10:], expected[:3, 10:])
    imagery.close()


def test_a_project_finds_its_dates_again(dated: Path) -> None:
    imagery = DatedScenes.open({"2020-06": str(dated), "2020-07": str(dated)})
    assert imagery.files == {"2020-06": str(dated), "2020-07": str(dated)}
    np.testing.assert_array_equal(
        imagery.at("2020-07").read(WHOLE, [1])[0][0, 10:], pattern(6, 60, 80, "int16")[3, 10:]
    )
    imagery.close()
    with pytest.raises(DateError, match="2020-06-01, 2020-07-01"):
        DatedScenes.open({"2021": str(dated)})


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_without_dates_it_is_one_scene(tmp_path: Path, suffix: str) -> None:
    path = cube(tmp_path / f"hill{suffix}", None)
    imagery = DatedScenes.open(str(path))
    assert not imagery.dates
    imagery.close()
    with Scene.open(path) as scene:
        assert scene.name == "hill" and scene.count == 3
    with Scene.open(path) as again:
        assert again.fingerprint == scene.fingerprint


def test_each_date_is_a_scene_of_a_list(dated: Path, tmp_path: Path) -> None:
    for found in (find_scenes([str(dated)]), find_scenes([str(tmp_path)])):
        assert [scene_name(one) for one in found] == ["valley_2020-06-01", "valley_2020-07-01"]
        assert all(isinstance(one, CubeLayer) and megapixels(one) == 60 * 80 / 1e6 for one in found)


def test_bands_of_one_variable(tmp_path: Path) -> None:
    data = xr.DataArray(pattern(3, 60, 80, "int16"), dims=("band", "y", "x"), name="reflectance")
    data.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    with Scene.open(tmp_path / "plain.nc") as scene:
        assert scene.count == 3 and not scene.grid.is_georeferenced


def test_what_cannot_be_opened(dated: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UnsupportedSceneError, match="2 dates"):
        Scene.open(dated)
    for name in ("gone.nc", "gone.zarr"):
        with pytest.raises(SceneNotFoundError, match="check the path"):
            open_cube(tmp_path / name)
    (tmp_path / "text.nc").write_text("no cube")
    with pytest.raises(NotARasterError, match=r"text\.nc"):
        open_cube(tmp_path / "text.nc")
    monkeypatch.setattr(cubes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="cubes"):
        open_cube(dated)
