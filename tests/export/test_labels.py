"""Exported labels, read back by libraries that know nothing of seglab."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry import MultiPolygon, box, mapping, shape
from shapely.ops import unary_union

from seglab.core.grid import Grid
from seglab.errors import (
    MissingCRSError,
    NoLabelsError,
    UnknownClassError,
    UnknownFormatError,
    WriteError,
)
from seglab.export import SUFFIXES, export_labels

CLASSES = {
    "water": "#1f77b4",
    "field": SimpleNamespace(colour="#ff7f0e"),
    "tree & <bush>": {"colour": "#00ff00"},
}
COLOURS = {"water": "#1f77b4", "field": "#ff7f0e", "tree & <bush>": "#00ff00"}

GRIDS = {
    "utm": Grid(2600, 2100, Affine(30, 0, 400_000, 0, -30, 4_600_000), pyproj.CRS(32612)),
    "lonlat": Grid(300, 200, Affine(0.001, 0, 11.0, 0, -0.001, 47.0), pyproj.CRS(4326)),
    "rotated": Grid(300, 200, Affine(8, 3, 400_000, 2, -9, 4_600_000), pyproj.CRS(32612)),
    "polar": Grid(300, 200, Affine(40, 0, -200_000, 0, -40, 900_000), pyproj.CRS(3031)),
    "pixel": Grid(300, 200, Affine.identity(), None),
}
HOLED = shapely.Polygon([(3, 4), (90, 4), (90, 60), (3, 60)], [[(10, 10), (40, 10), (40, 30), (10, 30)]])
PIXEL_SHAPES = [
    (HOLED, "water"),
    (box(80, 50, 130, 120), "field"),  # overlaps the first: the later one wins
    (MultiPolygon([box(200, 100, 201, 101), box(220, 150, 300, 200)]), "tree & <bush>"),
]


def labels_on(grid, shapes=PIXEL_SHAPES):
    a, b, c, d, e, f = grid.transform[:6] if grid.crs is not None else Affine.identity()[:6]
    geometries = [shapely.affinity.affine_transform(geometry, [a, b, d, e, c, f]) for geometry, _ in shapes]
    count = len(shapes)
    return gpd.GeoDataFrame(
        {
            "id": [f"id{n}" for n in range(count)],
            "class": [name for _, name in shapes],
            "prompts": ['{"points": [[1.5, 2.5, true]]}'] * count,
            "round": list(range(count)),
            "iou": [0.5, float("nan"), 1.0][:count],
            "author": ["ada", "Грейс", 'a"b'][:count],
            "time": ["2026-01-02T03:04:05.678+00:00"] * count,
        },
        geometry=geometries,
        crs=grid.crs,
    )


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]


def attributes(frame):
    return frame[["id", "class", "prompts", "round", "iou", "author", "time"]]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_geopackage(tmp_path, grid):
    labels = labels_on(grid)
    path = export_labels(labels, tmp_path / "labels.gpkg", grid=grid, classes=CLASSES)
    assert path == tmp_path / "labels.gpkg"
    read = pyogrio.read_dataframe(path, layer="labels")
    assert (read.crs is None) if grid.crs is None else (read.crs == grid.crs)
    for written, found in zip(labels.geometry, read.geometry, strict=True):
        assert found.equals(written)
    assert attributes(read).compare(attributes(labels)).empty
    with closing(sqlite3.connect(path)) as database:
        (qml,) = database.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchone()
    assert re.findall(r'category value="(\w+)', qml) == ["water", "field", "tree"]


@pytest.mark.parametrize("suffix", ["parquet", "fgb"])
def test_geoparquet_and_flatgeobuf(tmp_path, grid, suffix):
    labels = labels_on(grid)
    path = export_labels(labels, tmp_path / f"labels.{suffix}", grid=grid, classes=CLASSES)
    found = gpd.read_parquet(path) if suffix == "parquet" else pyogrio.read_dataframe(path)
    assert (found.crs is None) if grid.crs is None else (found.crs == grid.crs)
    found = found.sort_values("id", ignore_index=True)  # FlatGeobuf sorts by place
    assert shapely.equals(found.geometry, labels.geometry).all()
    assert attributes(found).compare(attributes(labels)).empty


@pytest.mark.parametrize("name", ["utm", "lonlat", "rotated", "polar"])
def test_geojson_is_rfc_7946(tmp_path, name):
    grid = GRIDS[name]
    labels = labels_on(grid)
    path = export_labels(labels, tmp_path / "labels.geojson", grid=grid, classes=CLASSES)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["type"] == "FeatureCollection"
    assert "crs" not in document and "seglab" not in document
    expected = labels.to_crs(4326)
    assert len(document["features"]) == len(labels)
    for feature, (_, row) in zip(document["features"], expected.iterrows(), strict=True):
        found = shape(feature["geometry"])
        assert found.is_valid
        assert found.symmetric_difference(row.geometry).area < 1e-3 * row.geometry.area
        assert shapely.hausdorff_distance(found, row.geometry) < 2e-7
        for polygon in getattr(found, "geoms", [found]):
            assert polygon.exterior.is_ccw
            assert not any(hole.is_ccw for hole in polygon.interiors)
        assert feature["id"] == row["id"]
        properties = feature["properties"]
        assert properties["fill"] == COLOURS[row["class"]]
        for column in ("class", "prompts", "round", "author", "time"):
            assert properties[column] == row[column]
        assert properties["iou"] == (None if np.isnan(row["iou"]) else row["iou"])
    read = gpd.read_file(path)
    assert read.crs == 4326
    assert read["class"].tolist() == labels["class"].tolist()


def test_geojson_of_pixels_says_so_and_claims_no_more(tmp_path):
    grid = GRIDS["pixel"]
    path = export_labels(labels_on(grid), tmp_path / "labels.geojson", grid=grid, classes=CLASSES)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert "crs" not in document
    assert document["seglab"]["coordinates"] == "pixel"
    assert "not longitude and latitude" in document["seglab"]["description"]
    for feature, (geometry, _) in zip(document["features"], PIXEL_SHAPES, strict=True):
        assert json.loads(json.dumps(mapping(geometry))) == feature["geometry"]


def test_geojson_is_cut_at_the_antimeridian(tmp_path):
    grid = Grid(200, 200, Affine(1000, 0, 700_000, 0, -1000, 8_100_000), pyproj.CRS(32760))
    labels = labels_on(grid, [(box(50, 50, 180, 60), "water")])
    path = export_labels(labels, tmp_path / "labels.geojson", grid=grid, classes=CLASSES)
    found = shape(json.loads(path.read_text(encoding="utf-8"))["features"][0]["geometry"])
    parts = sorted(part.bounds for part in found.geoms)
    assert len(parts) == 2
    assert parts[0][0] == -180 and parts[0][2] < -179
    assert parts[1][2] == 180 and parts[1][0] > 178


@pytest.mark.parametrize("suffix", ["tif", "TIFF"])
def test_geotiff_gives_back_the_masks(tmp_path, grid, suffix):
    path = export_labels(labels_on(grid), tmp_path / f"map.{suffix}", grid=grid, classes=CLASSES, tags={"scene": "s"})
    expected = np.zeros((grid.height, grid.width), np.uint8)
    for number, (geometry, _) in enumerate(PIXEL_SHAPES, start=1):
        rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
        expected[shapely.contains_xy(geometry, cols, rows)] = number
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(1), expected)
        assert raster.dtypes == ("uint8",) and raster.nodata == 0
        assert raster.crs == (None if grid.crs is None else rasterio.crs.CRS.from_user_input(grid.crs))
        assert raster.transform.almost_equals(grid.transform)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert [raster.colormap(1)[n][:3] for n in (1, 2, 3)] == [
            tuple(bytes.fromhex(colour[1:])) for colour in COLOURS.values()
        ]
        assert raster.tags(1) == {
            "class_0": "unlabelled",
            "class_1": "water",
            "class_2": "field",
            "class_3": "tree & <bush>",
        }
        assert raster.tags()["scene"] == "s"


def test_geotiff_of_many_labels_over_many_blocks(tmp_path):
    """Pixel-edge polygons of a random mosaic, across block borders, come back exactly."""
    grid = GRIDS["utm"]
    coarse = np.random.default_rng(3).integers(0, 4, (35, 40), dtype=np.uint8)
    mosaic = np.kron(coarse, np.ones((60, 65), np.uint8))
    assert mosaic.shape == (grid.height, grid.width)
    names = [None, *CLASSES]
    shapes = [
        (shape(geometry), names[int(value)]) for geometry, value in rasterio.features.shapes(mosaic, mask=mosaic > 0)
    ]
    labels = labels_on(grid, [])
    labels = gpd.GeoDataFrame(
        {"class": [name for _, name in shapes]},
        geometry=gpd.GeoSeries([geometry for geometry, _ in shapes]).affine_transform(
            [30, 0, 0, -30, 400_000, 4_600_000]
        ),
        crs=grid.crs,
    )
    path = export_labels(labels, tmp_path / "map.tif", grid=grid, classes=CLASSES)
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(1), mosaic)


def test_the_later_of_many_overlapping_labels_wins(tmp_path):
    grid = GRIDS["pixel"]
    random = np.random.default_rng(11)
    expected = np.zeros((grid.height, grid.width), np.uint8)
    shapes = []
    for number in range(200):
        col, row, value = random.integers(0, 250), random.integers(0, 150), number % 3
        shapes.append((box(col, row, col + 50, row + 50), list(CLASSES)[value]))
        expected[row : row + 50, col : col + 50] = value + 1
    labels = gpd.GeoDataFrame({"class": [name for _, name in shapes]}, geometry=[item for item, _ in shapes])
    with rasterio.open(export_labels(labels, tmp_path / "map.tif", grid=grid, classes=CLASSES)) as raster:
        np.testing.assert_array_equal(raster.read(1), expected)


def test_labels_beyond_the_scene_are_cropped_in_a_raster(tmp_path):
    grid = GRIDS["pixel"]
    labels = labels_on(grid, [(box(-50, -50, 5, 5), "water"), (box(900, 900, 950, 950), "field")])
    path = export_labels(labels, tmp_path / "map.tif", grid=grid, classes=CLASSES)
    with rasterio.open(path) as raster:
        array = raster.read(1)
    assert array[:5, :5].all() and array.sum() == 25


def test_more_than_255_classes_take_two_bytes(tmp_path):
    grid = GRIDS["pixel"]
    classes = {f"c{n}": f"#{n:06x}" for n in range(1, 301)}
    labels = labels_on(grid, [(box(0, 0, 10, 10), "c1"), (box(20, 20, 30, 30), "c300")])
    with rasterio.open(export_labels(labels, tmp_path / "map.tif", grid=grid, classes=classes)) as raster:
        assert raster.dtypes == ("uint16",)
        assert set(np.unique(raster.read(1))) == {0, 1, 300}
        assert raster.colormap(1)[300][:3] == (0, 1, 44)


def test_labels_in_another_crs_go_to_the_scenes(tmp_path):
    grid = GRIDS["utm"]
    labels = labels_on(grid)
    for suffix in ("tif", "gpkg"):
        export_labels(labels, tmp_path / f"a.{suffix}", grid=grid, classes=CLASSES)
        export_labels(labels.to_crs(3857), tmp_path / f"b.{suffix}", grid=grid, classes=CLASSES)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(1), b.read(1))
    assert pyogrio.read_dataframe(tmp_path / "b.gpkg", layer="labels").crs == grid.crs


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_cannot_be_exported_leaves_the_former_file(tmp_path, suffix):
    grid, path = GRIDS["utm"], tmp_path / f"out{suffix}"
    labels = labels_on(grid)
    export_labels(labels, path, grid=grid, classes=CLASSES)
    before = contents(tmp_path)
    with pytest.raises(NoLabelsError, match="accept a mask"):
        export_labels(labels.iloc[:0], path, grid=grid, classes=CLASSES)
    with pytest.raises(MissingCRSError, match="labels have"):
        export_labels(labels, path, grid=GRIDS["pixel"], classes=CLASSES)
    with pytest.raises(MissingCRSError, match="set_crs"):
        export_labels(labels_on(GRIDS["pixel"]), path, grid=grid, classes=CLASSES)
    with pytest.raises(UnknownClassError, match=re.escape("'tree & <bush>'")):
        export_labels(labels, path, grid=grid, classes={"water": "#000000", "field": "#ffffff"})
    if suffix in (".gpkg", ".tif", ".tiff"):  # formats that hold colours
        with pytest.raises(WriteError, match="rrggbb"):
            export_labels(labels, path, grid=grid, classes={**CLASSES, "water": "blue"})
    with pytest.raises(WriteError, match="create it"):
        export_labels(labels, tmp_path / "nowhere" / path.name, grid=grid, classes=CLASSES)
    assert contents(tmp_path) == before


def test_an_export_replaces_the_former_file_whole(tmp_path, grid):
    for suffix in SUFFIXES:
        path = tmp_path / f"out{suffix}"
        export_labels(labels_on(grid), path, grid=grid, classes=CLASSES)
        export_labels(labels_on(grid, PIXEL_SHAPES[:1]), path, grid=grid, classes=CLASSES)
    assert len(pyogrio.read_dataframe(tmp_path / "out.gpkg", layer="labels")) == 1
    assert len(gpd.read_parquet(tmp_path / "out.parquet")) == len(pyogrio.read_dataframe(tmp_path / "out.fgb")) == 1
    assert len(json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))["features"]) == 1
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert set(np.unique(raster.read(1))) == {0, 1}
    assert [name for name in contents(tmp_path) if "tmp" in name] == []


@pytest.mark.parametrize("name", ["labels", "labels.shp", "labels.xyz", ".gpkg", "labels.gpkg.bak"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path, name):
    with pytest.raises(UnknownFormatError) as raised:
        export_labels(labels_on(GRIDS["utm"]), tmp_path / name, grid=GRIDS["utm"], classes=CLASSES)
    assert all(suffix in str(raised.value) for suffix in (".gpkg", ".geojson", ".tif", ".tiff"))
    assert contents(tmp_path) == {}


def test_the_union_of_exports_agrees(tmp_path):
    """Area in the GeoPackage, less what later labels cover, is the area of the raster's pixels."""
    grid = GRIDS["utm"]
    for suffix in ("gpkg", "tif"):
        export_labels(labels_on(grid), tmp_path / f"out.{suffix}", grid=grid, classes=CLASSES)
    union = unary_union(pyogrio.read_dataframe(tmp_path / "out.gpkg", layer="labels").geometry)
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert np.count_nonzero(raster.read(1)) * 900 == pytest.approx(union.area)
