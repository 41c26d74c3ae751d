"""From sources with a time axis to one source per date."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

from seglab.core.dates import by_date, dated_sources, iso_date
from seglab.core.raster import Scene
from seglab.errors import DateError, SceneNotFoundError, UnsupportedSceneError
from tests.rasters import make_raster, pattern


class Cftime:
    """What seglab knows of a date of cftime: here one that only the 360-day calendar has."""

    def isoformat(self) -> str:
        return "2000-02-30T00:00:00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2020-06-01", "2020-06-01"),
        ("20200601", "2020-06-01"),
        (" 2020-06 ", "2020-06"),
        (2020, "2020"),
        ("2020-06-01T10:20", "2020-06-01T10:20:00"),
        ("2020-06-01 10:20:31.5", "2020-06-01T10:20:31"),
        ("2020-06-01T00:00:00Z", "2020-06-01"),
        (date(2020, 6, 1), "2020-06-01"),
        (datetime(2020, 6, 1, 10, tzinfo=UTC), "2020-06-01T10:00:00"),
        (datetime(2020, 6, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2020-05-31T23:00:00"),
        (np.datetime64("2020-06-01T10:20:31.123456789"), "2020-06-01T10:20:31"),
        (np.datetime64("2020-06-01", "ns"), "2020-06-01"),
        (Cftime(), "2000-02-30"),
    ],
)
def test_dates_are_written_in_one_way(value: Any, text: str) -> None:
    assert iso_date(value) == text


@pytest.mark.parametrize(
    "value", ["before", "", "2020-13-01", "2020-02-30", "01.06.2020", 3, np.datetime64("NaT"), None]
)
def test_what_is_no_date(value: Any) -> None:
    with pytest.raises(DateError, match="write it as 2020-06-01"):
        iso_date(value)


# -- files and items


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("field_2020-06-01.tif", "2020-06-01"),
        ("20200601.tif", "2020-06-01"),
        ("S2A_MSIL2A_20200601T101031_N0214_R022_T32TQM_20200601T131407.tif", "2020-06-01"),
        ("LC08_L1TP_191028_20200601_20200823_02_T1.tif", "2020-06-01"),
        ("mosaic_2020_06.tif", "2020-06"),
        ("mosaic-2020.tif", "2020"),
    ],
)
def test_a_file_tells_its_date_by_its_name(name: str, text: str) -> None:
    (found,) = by_date([f"/nowhere/{name}"])
    assert found == text


def test_a_file_tells_its_date_by_its_tag(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene_12345678.tif")  # digits that are no date
    with pytest.raises(DateError, match=r"scene_12345678.*does not tell its date; say it yourself"):
        by_date([path])
    with rasterio.open(path, "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2020:06:01 10:20:31")
    assert by_date([path]) == {"2020-06-01": path}
    with pytest.raises(SceneNotFoundError, match="missing"):
        by_date([tmp_path / "missing.tif"])


def _item(when: str | None, href: str = "/data/v.tif", **properties: Any) -> dict[str, Any]:
    assets = {"visual": {"href": href, "type": "image/tiff", "roles": ["visual"]}}
    return {
        "type": "Feature",
        "id": "S2_20200601_L2A",
        "assets": assets,
        "properties": {"datetime": when, **properties},
    }


def test_items_tell_their_dates(tmp_path: Path) -> None:
    items = [_item("2021-06-03T10:00:00Z", "b.tif"), _item(None, start_datetime="2020-06-01T00:00:00Z")]
    found = dated_sources(by_date(items))
    assert found.sources == {"2020-06-01": "/data/v.tif", "2021-06-03": str(Path("b.tif").absolute())}
    assert found.name == "S2_L2A"
    with pytest.raises(DateError, match="S2_20200601_L2A"):
        by_date([_item(None)])
    pystac = pytest.importorskip("pystac", reason="pystac is not installed")
    item = pystac.Item.from_dict(
        {**_item("2020-06-01T10:20:31Z"), "stac_version": "1.0.0", "geometry": None, "links": []}
    )
    assert dated_sources(by_date([item])).sources == {"2020-06-01": "/data/v.tif"}


def test_the_oldest_comes_first_and_a_day_needs_its_time_only_where_it_repeats() -> None:
    times = ["2021-06-03T10:20", "2020-06-01T09:00", "2021-06-03T12:00"]
    found = dated_sources({when: f"/data/lake_{n}.tif" for n, when in enumerate(times)})
    assert list(found.sources) == ["2020-06-01", "2021-06-03T10:20:00", "2021-06-03T12:00:00"]
    assert found.sources["2020-06-01"] == "/data/lake_1.tif" and found.name == "lake_1"
    with pytest.raises(DateError, match=r"two rasters are of 2020-06-01.*leave one out"):
        by_date(["/a/x_20200601.tif", "/b/x_20200601.tif"])


def test_what_has_no_dates() -> None:
    with pytest.raises(UnsupportedSceneError, match="'int' does not tell its date"):
        by_date([42])
    with pytest.raises(DateError, match="no date is given"):
        dated_sources({})


@pytest.mark.parametrize("source", ["a.tif", Path("a.tif"), np.zeros((3, 4, 5)), _item("2020-06-01")])
def test_sources_of_one_date(source: Any) -> None:
    assert dated_sources(source) is None


# -- xarray


def _cube(times: Any, dims: tuple[str, ...] = ("time", "band", "y", "x"), bands: int = 3) -> xr.DataArray:
    data = np.stack([pattern(bands, 20, 30, seed=seed) for seed in range(len(times))])
    return xr.DataArray(data, dims=("time", "band", "y", "x"), coords={"time": times}, name="stack").transpose(*dims)


@pytest.mark.parametrize(
    "times",
    [
        np.array(["2021-06-03T10:20", "2020-06-01T10:00"], dtype="datetime64[ns]"),
        ["2021-06-03", "2020-06-01"],
        [datetime(2021, 6, 3), datetime(2020, 6, 1)],
    ],
)
def test_an_axis_of_times(times: Any) -> None:
    cube = _cube(times, ("y", "time", "x", "band"))
    found = dated_sources(cube)
    assert list(found.sources) == ["2020-06-01", "2021-06-03"] and found.name == "stack"
    with Scene.open(found.sources["2020-06-01"]) as scene:
        assert np.array_equal(scene.read(scene_window(scene), (1, 2, 3))[0], pattern(3, 20, 30, seed=1))


def scene_window(scene: Scene) -> Any:
    from seglab.core.windows import Window

    return Window(0, 0, scene.grid.width, scene.grid.height)


def test_a_time_axis_is_known_by_its_dates_too_and_never_taken_for_bands() -> None:
    cube = _cube(np.array(["2020-06-01", "2021-06-03"], dtype="datetime64[ns]"), bands=1)[:, 0].rename(time="when")
    assert list(dated_sources(cube).sources) == ["2020-06-01", "2021-06-03"]
    with pytest.raises(UnsupportedSceneError, match=r"2 dates along 'when'.*isel\(when=-1\)"):
        Scene.open(cube)
    with pytest.raises(DateError, match=r"assign_coords\(time="):
        dated_sources(cube.rename(when="time").drop_vars("time"))
    with pytest.raises(DateError, match="is not a date"):
        dated_sources(_cube([0, 1]))
    assert dated_sources(_cube(["2020-06-01"])) is None  # one date is no axis of times
    assert dated_sources(cube.rename(when="band").drop_vars("band")) is None


def test_variables_of_a_dataset_become_bands_of_each_date() -> None:
    cube = _cube(np.array(["2020-06-01", "2021-06-03"], dtype="datetime64[ns]"))
    dataset = xr.Dataset({name: cube[:, n] for n, name in enumerate(["blue", "green", "red"])})
    dataset["elevation"] = cube[0, 0].drop_vars("time") * 2  # the same on all dates
    with Scene.open(dated_sources(dataset).sources["2021-06-03"]) as scene:
        assert scene.band_names == ("blue", "green", "red", "elevation")
        values, _ = scene.read(scene_window(scene), ("red", "elevation"))
        assert np.array_equal(values, [cube.values[1, 2], cube.values[0, 0] * 2])
