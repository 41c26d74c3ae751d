"""Scenes of one place by date."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine

from seglab.core.dated_scenes import DatedScenes
from seglab.core.dates import by_date
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.errors import DateError, SceneClosedError, SceneNotFoundError
from tests.rasters import make_raster, pattern

WHOLE = Window(0, 0, 128, 96)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "2021-06-03": make_raster(tmp_path / "lake_b.tif", count=4, dtype="uint16", seed=1),
        "2020-06-01": make_raster(tmp_path / "lake_a.tif", count=4, dtype="uint16", seed=2),
    }


def test_the_latest_date_is_in_use_and_each_has_its_own_pixels(files: dict[str, Path]) -> None:
    scenes = DatedScenes.open(files, bands=(4, 2, 1))
    assert scenes.dates == ("2020-06-01", "2021-06-03") and scenes.date == "2021-06-03"
    old, new = scenes.at("2020-06-01"), scenes.scene
    assert new is scenes.at("2021-06-03") and (new.name, old.name) == ("lake_a 2021-06-03", "lake_a 2020-06-01")
    for scene, date in ((old, "2020-06-01"), (new, "2021-06-03")):
        with Scene.open(files[date], bands=(4, 2, 1)) as alone:
            assert np.array_equal(scene.read(WHOLE)[0], alone.read(WHOLE)[0])
            assert (scene.fingerprint, scene.stretch) == (alone.fingerprint, alone.stretch)
    assert old.bands == (4, 2, 1) and old.fingerprint != new.fingerprint
    scenes.use("2020-06-01")
    assert scenes.scene is old and scenes.at("") is old  # an undated object is looked at where clicks are answered
    assert scenes.files == {date: str(path) for date, path in sorted(files.items())}
    scenes.close()
    with pytest.raises(SceneClosedError):
        new.read(WHOLE)
    assert scenes.scene is old  # whoever asks for it late learns that it is closed when reading it


def test_no_date_is_opened_after_closing(files: dict[str, Path]) -> None:
    scenes = DatedScenes.open(files)
    scenes.close()
    with pytest.raises(SceneClosedError, match="lake_a"):
        scenes.at("2020-06-01")


def test_dates_are_found_by_their_beginning(files: dict[str, Path], tmp_path: Path) -> None:
    scenes = DatedScenes.open(files)
    assert scenes.find("2020") == scenes.find(np.datetime64("2020-06-01")) == "2020-06-01"
    with pytest.raises(DateError, match=r"2019 is not one of the dates; there are 2020-06-01, 2021-06-03"):
        scenes.find(2019)
    more = DatedScenes.open(files | {"2020-07-01": files["2020-06-01"]})
    with pytest.raises(DateError, match="more than one"):
        more.find("2020")
    with Scene.open(files["2020-06-01"]) as scene, pytest.raises(DateError, match="no time axis"):
        DatedScenes.of(scene).find("2020")


def test_what_is_in_memory_is_written_date_by_date(tmp_path: Path) -> None:
    data = np.stack([pattern(3, 96, 128, seed=seed) for seed in range(3)])
    times = np.array(["2019-01-01", "2020-01-01", "2021-01-01"], dtype="datetime64[ns]")
    cube = xr.DataArray(data, dims=("time", "band", "y", "x"), coords={"time": times})
    scenes = DatedScenes.open(cube, workdir=tmp_path)
    assert not list(tmp_path.iterdir())
    assert np.array_equal(scenes.scene.read(WHOLE, (1, 2, 3))[0], data[2])
    assert len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(scenes.at("2019-01-01").read(WHOLE, (1, 2, 3))[0], data[0])
    assert len(list(tmp_path.iterdir())) == 2 and scenes.files == {}
    scenes.close()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"width": 120}, r"2021-06-03 has 120 x 96 px and that of 2020-06-01 has 128 x 96 px"),
        (
            {"transform": Affine(10.0, 0.0, 600_005.0, 0.0, -10.0, 5_000_000.0)},
            "2021-06-03 lies elsewhere than that of 2020-06-01",
        ),
        ({"crs": "EPSG:32633"}, "another CRS"),
        ({"count": 4}, "2021-06-03 has 4 bands and that of 2020-06-01 has 3"),
        ({"names": ("b", "g", "r")}, r"order \('b', 'g', 'r'\) and not \('r', 'g', 'b'\)"),
    ],
)
def test_dates_that_do_not_fit_are_named(tmp_path: Path, changes: dict, match: str) -> None:
    names = ("r", "g", "b") if "names" in changes else ()
    first = make_raster(tmp_path / "a_20200601.tif", names=names)
    other = make_raster(tmp_path / "b_20210603.tif", **changes)
    with pytest.raises(DateError, match=match) as said:
        DatedScenes.open(by_date([other, first]))
    assert "gdalwarp" in str(said.value)


def test_what_is_in_memory_is_compared_when_it_is_opened(tmp_path: Path) -> None:
    scenes = DatedScenes.open({"2020": pattern(3, 50, 60), "2021": pattern(3, 50, 61)}, workdir=tmp_path)
    scenes.use("2021")
    with pytest.raises(DateError, match="2020 has 60 x 50 px"):
        scenes.use("2020")
    assert scenes.date == "2021" and scenes.scene.read(Window(0, 0, 5, 5))[1].all()
    scenes.close()


def test_a_missing_file_is_said_at_once(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SceneNotFoundError, match="gone"):
        DatedScenes.open(files | {"2022": tmp_path / "gone.tif"})


def test_other_bands_for_all(files: dict[str, Path]) -> None:
    scenes = DatedScenes.open(files)
    assert scenes.scene.bands == (1, 2, 3)
    scenes.show_bands((4, 2, 1))
    assert scenes.scene.bands == scenes.at("2020-06-01").bands == (4, 2, 1)
    scenes.close()
