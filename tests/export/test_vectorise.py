"""Class maps as polygons, read back by libraries that know nothing of seglab."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine

from seglab.core import outlines
from seglab.errors import (
    DamagedSceneError,
    JobCancelled,
    MissingCRSError,
    MissingPackageError,
    NoLabelsError,
    SceneNotFoundError,
    UnknownClassError,
    UnknownFormatError,
    UnsupportedSceneError,
    WriteError,
)
from seglab.export.vectorise import Vectorising, vectorise
from seglab.jobs import SilentReporter
from seglab.store.rasters import RasterWriter
from tests.disk import room_for

UNMAPPED = 255
UTM = Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 5_000_000.0)
SILENT = SilentReporter()


@pytest.fixture(autouse=True)
def narrow_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of seven rows, so that regions cross many."""
    monkeypatch.setattr("seglab.core.class_map.strips_of", lambda shape: outlines.strips_of(shape, 7 * shape[1]))


def values(seed: int = 0) -> np.ndarray:
    """(40, 60) classes 0 to 2 in patches, with specks, and no data on the right."""
    rng = np.random.default_rng(seed)
    array = np.kron(rng.integers(0, 3, (5, 6)), np.ones((8, 10))).astype(np.uint8)
    specks = rng.random(array.shape) < 0.1
    array[specks] = rng.integers(0, 3, specks.sum())
    array[:, 55:] = UNMAPPED
    return array


def write_map(folder: Path, array: np.ndarray, crs: str | None = "EPSG:32632") -> Path:
    """A class map of round 3 as `predict` writes it, with its confidence."""
    path, place = folder / "map.tif", (array.shape[1], array.shape[0], UTM if crs else Affine.identity(), crs)
    names, colours = {0: "background", 1: "water", 2: "field"}, {1: "#112233", 2: "#445566"}
    with RasterWriter(path, *place, "uint8", UNMAPPED, colours, names, {"seglab_round": "3"}) as raster:
        raster.write(array, 0, 0)
    with RasterWriter(folder / "map_confidence.tif", *place, "uint8", UNMAPPED) as raster:
        raster.write(confidence(array), 0, 0)
    return path


def confidence(array: np.ndarray) -> np.ndarray:
    """Percent; no data where the map has none."""
    rows, cols = np.mgrid[: array.shape[0], : array.shape[1]]
    return np.where(array == UNMAPPED, UNMAPPED, (rows + cols) % 101).astype(np.uint8)


def read(path: Path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path)


def burnt(table: gpd.GeoDataFrame, shape: tuple[int, int], transform: Affine) -> np.ndarray:
    pairs = zip(table.geometry, table["value"], strict=True)
    return rasterio.features.rasterize(pairs, shape, transform=transform, dtype="uint8")


@pytest.mark.parametrize("suffix", ["gpkg", "parquet", "fgb"])
def test_rasterizing_gives_the_map_back(tmp_path: Path, suffix: str) -> None:
    array = values()
    path = vectorise(SILENT, write_map(tmp_path, array), tmp_path / f"out.{suffix}")
    table = read(path)
    assert table.crs == pyproj.CRS(32632) and shapely.is_valid(table.geometry).all()
    np.testing.assert_array_equal(burnt(table, array.shape, UTM), np.where(array == UNMAPPED, 0, array))
    pieces = rasterio.features.shapes(array, mask=(array > 0) & (array != UNMAPPED))
    assert len(table) == len(list(pieces)) and sorted(table["id"]) == list(range(1, len(table) + 1))
    assert (table["class"] == table["value"].map({1: "water", 2: "field"})).all()
    assert set(table["round"]) == {3}
    true = [abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(one)[0]) for one in table.to_crs(4326).geometry]
    np.testing.assert_allclose(table["hectares"], np.array(true) / 1e4, rtol=1e-5)
    for row in table.itertuples():
        inside = rasterio.features.geometry_mask([row.geometry], array.shape, UTM, invert=True)
        assert row.confidence == pytest.approx(confidence(array)[inside].mean() / 100)


def test_geopackage_has_the_colours_of_the_map(tmp_path: Path) -> None:
    path = vectorise(SILENT, write_map(tmp_path, values()), tmp_path / "out.gpkg")
    with closing(sqlite3.connect(path)) as database:
        (qml,) = database.execute("SELECT styleQML FROM layer_styles WHERE f_table_name = 'map'").fetchone()
    assert "17,34,51," in qml and "68,85,102," in qml and 'value="field"' in qml


def test_geojson_is_longitude_and_latitude(tmp_path: Path) -> None:
    path = vectorise(SILENT, write_map(tmp_path, values()), tmp_path / "out.geojson")
    west, south, east, north = read(path).total_bounds
    assert 10.2 < west < east < 10.3 and 45.1 < south < north < 45.2


def test_small_regions_are_merged_without_holes(tmp_path: Path) -> None:
    array = values()
    how = Vectorising(least_area=12, background=True)
    table = read(vectorise(SILENT, write_map(tmp_path, array), tmp_path / "out.fgb", how))
    assert table.area.min() >= 12 * 100 and table.area.sum() == (array != UNMAPPED).sum() * 100
    assert shapely.is_valid(table.geometry).all()
    weighted = (table["confidence"] * table.area).sum() / table.area.sum()
    assert weighted == pytest.approx(confidence(array)[array != UNMAPPED].mean() / 100)
    foreground = read(vectorise(SILENT, tmp_path / "map.tif", tmp_path / "out.fgb", Vectorising(least_area=12)))
    assert foreground.area.sum() == table[table["value"] > 0].area.sum()


def test_small_regions_are_dropped(tmp_path: Path) -> None:
    source = write_map(tmp_path, values())
    everything = read(vectorise(SILENT, source, tmp_path / "out.fgb"))
    for how in (
        Vectorising(12, small="drop"),
        Vectorising(everything["hectares"].sort_values().iloc[-3] * 1e4, "m2", "drop"),
    ):
        table = read(vectorise(SILENT, source, tmp_path / "some.fgb", how))
        least = 12 * 100 if how.unit == "px" else everything.area.sort_values().iloc[-3]
        assert 0 < len(table) < len(everything)
        assert table.area.sum() == pytest.approx(everything.area[everything.area >= least].sum())


def test_simplified_borders_are_shared_and_areas_are_theirs(tmp_path: Path) -> None:
    how = Vectorising(simplify=1.5, background=True)
    table = read(vectorise(SILENT, write_map(tmp_path, values()), tmp_path / "out.fgb", how))
    parts = shapely.get_parts(table.geometry)
    assert shapely.area(shapely.union_all(parts)) == pytest.approx(shapely.area(parts).sum())
    assert (table["hectares"] * 1e4 / table.area).between(0.999, 1.001).all()


def test_any_map_of_whole_numbers(tmp_path: Path) -> None:
    """Many values, no CRS, no names: object numbers, for example."""
    array = np.kron(np.arange(1, 31).reshape(5, 6) * 1000, np.ones((8, 10))).astype(np.int32)
    with rasterio.open(
        tmp_path / "ids.tif", "w", driver="GTiff", width=60, height=40, count=1, dtype="int32", nodata=-1
    ) as raster:
        raster.write(array, 1)
    table = read(vectorise(SILENT, tmp_path / "ids.tif", tmp_path / "out.gpkg"))
    assert table.crs is None and sorted(table["value"]) == [1000 * n for n in range(1, 31)]
    assert set(table["pixels"]) == {80} and set(table["class"]) == {str(1000 * n) for n in range(1, 31)}
    assert not {"hectares", "confidence", "round"} & set(table.columns)


class Stop(SilentReporter):
    """A reporter that is told to stop at the third strip."""

    told = 0

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        self.told += 1
        if self.told == 3:
            raise JobCancelled("stopped")


def test_cancelled_and_refused_work_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = write_map(tmp_path, values()), tmp_path / "out.gpkg"
    vectorise(SILENT, source, out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(JobCancelled):
        vectorise(Stop(), source, out)
    with pytest.raises(NoLabelsError, match="smaller"):
        vectorise(SILENT, source, out, Vectorising(10_000, small="drop"))
    with pytest.raises(UnknownFormatError, match=r"\.parquet"):
        vectorise(SILENT, source, tmp_path / "out.shp")
    with pytest.raises(SceneNotFoundError):
        vectorise(SILENT, tmp_path / "none.tif", out)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install"):
        vectorise(SILENT, source, tmp_path / "out.parquet")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_maps_that_cannot_be_measured_or_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingCRSError, match="pixels"):
        vectorise(SILENT, write_map(tmp_path, values(), None), tmp_path / "out.fgb", Vectorising(5, "m2"))
    with rasterio.open(tmp_path / "f.tif", "w", driver="GTiff", width=4, height=4, count=1, dtype="float32"):
        pass
    with pytest.raises(UnsupportedSceneError, match="whole numbers"):
        vectorise(SILENT, tmp_path / "f.tif", tmp_path / "out.fgb")


def test_right_angles_for_the_classes_that_are_named(tmp_path: Path) -> None:
    rows, cols = np.mgrid[:80, :120]
    array = np.zeros((80, 120), dtype=np.uint8)
    for value, col in ((1, 30), (2, 90)):  # two houses, turned by 30 degrees
        along = (cols - col) * 0.866 + (rows - 40) * 0.5
        across = (rows - 40) * 0.866 - (cols - col) * 0.5
        array[(np.abs(along) < 20) & (np.abs(across) < 12)] = value
    source = write_map(tmp_path, array)
    options = Vectorising(right_angles=("field",), simplify=1.0)
    table = gpd.read_file(vectorise(SILENT, source, tmp_path / "out.geojson", options)).set_index("class")
    assert len(table.geometry["field"].exterior.coords) == 5 < len(table.geometry["water"].exterior.coords)
    assert table.hectares["field"] == pytest.approx(40 * 24 / 100, rel=0.02)
    with pytest.raises(UnknownClassError, match="no class 'roof'"):
        vectorise(SILENT, source, tmp_path / "out.geojson", Vectorising(right_angles=("roof",)))


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".fgb", ".geojson"])
def test_a_full_disk_leaves_what_stood_there(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).integers(1, 4, (60, 60)).astype(np.uint8)
    with RasterWriter(tmp_path / "map.tif", 60, 60, UTM, "EPSG:32632", "uint8", UNMAPPED) as writer:
        writer.write(array, 0, 0)
    target = tmp_path / f"former{suffix}"
    target.write_bytes(b"former")
    with room_for(5_000), pytest.raises(WriteError, match=rf"former\{suffix}.*free space"):
        vectorise(SILENT, tmp_path / "map.tif", target)
    assert target.read_bytes() == b"former" and not [p for p in tmp_path.iterdir() if "seglab-tmp" in p.name]
    vectorise(SILENT, tmp_path / "map.tif", target)
    assert len(gpd.read_parquet(target) if suffix == ".parquet" else gpd.read_file(target)) > 100


def test_a_torn_map_names_its_rows(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(1, 200, (1200, 600)).astype(np.uint8)
    with RasterWriter(tmp_path / "map.tif", 600, 1200, UTM, "EPSG:32632", "uint8", UNMAPPED) as writer:
        writer.write(array, 0, 0)
    data = (tmp_path / "map.tif").read_bytes()
    (tmp_path / "map.tif").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DamagedSceneError, match=r"rows \d+ to \d+ of .*map\.tif.*make the map again"):
        vectorise(SILENT, tmp_path / "map.tif", tmp_path / "out.gpkg")
    assert not (tmp_path / "out.gpkg").exists()
