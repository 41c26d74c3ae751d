"""Cubes and stacks, from a session to a map: the date in use is mapped, and each date by `seglab predict`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from shapely.geometry import box

import seglab
from seglab.cli import main


@pytest.fixture(scope="module")
def cube(lakes_path: Path, dry_lakes_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lakes on two dates, as a Zarr store."""
    dates = np.array(["2020-06-01", "2020-09-01"], dtype="datetime64[ns]")
    layers = [
        xr.open_dataset(path, engine="rasterio").band_data.astype("uint8") for path in (lakes_path, dry_lakes_path)
    ]
    made = xr.concat(layers, xr.IndexVariable("time", dates)).rename("lakes").isel(y=slice(0, 224), x=slice(0, 224))
    made.attrs, made.encoding = {}, {}
    path = tmp_path_factory.mktemp("cube") / "lakes.zarr"
    made.drop_vars("spatial_ref").rio.write_crs("EPSG:32633").to_zarr(path, consolidated=False)
    return path


@pytest.mark.filterwarnings("ignore:.*by their places:UserWarning")  # the store does not name its bands
def test_the_date_in_use_is_mapped_and_so_is_each_by_the_command(cube: Path, tmp_path: Path, capsys) -> None:
    project = tmp_path / "p.seglab"
    session = seglab.open(cube, {"water": "#0072b2"}, project, device="cpu", isolate=False)
    assert session.dates == ("2020-06-01", "2020-09-01")
    session.paint(box(40, 50, 80, 90), crs="pixel")
    session.accept("water")
    session.retrain(steps=1).result()
    maps = {}
    for date in session.dates:
        session.use_date(date)
        maps[date] = _read(session.predict(tmp_path / f"{date}.tif").result().path)
        assert json.loads((tmp_path / f"{date}.json").read_text())["properties"]["datetime"].startswith(date)
    session.close()
    assert (maps["2020-06-01"] != maps["2020-09-01"]).any()
    again = seglab.open(project=project, device="cpu")  # finds the store, and its dates, by itself
    assert again.dates == tuple(maps)
    again.close()
    out = tmp_path / "maps"
    assert main(["predict", str(cube), "--round", str(project), "--device", "cpu", "--json", "--out", str(out)]) == 0
    made = [Path(one["map"]) for one in json.loads(capsys.readouterr().out)["maps"]]
    assert [path.name for path in made] == ["lakes_2020-06-01.tif", "lakes_2020-09-01.tif"]
    for path, expected in zip(made, maps.values(), strict=True):
        np.testing.assert_array_equal(_read(path), expected)
    before = [path.stat().st_ino for path in made]
    assert main(["predict", str(cube), "--round", str(project), "--device", "cpu", "--json", "--out", str(out)]) == 0
    assert [path.stat().st_ino for path in made] == before  # known again, wherever the pixels lie this time


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)
