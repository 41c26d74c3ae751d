"""labels.gpkg: what is written is read back, by others too, and QGIS finds its colours."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from xml.etree import ElementTree

import geopandas as gpd
import pyogrio
import pytest
from geopandas.testing import assert_geodataframe_equal
from shapely.geometry import MultiPolygon

from seglab.errors import ProjectDamagedError, WriteError
from seglab.store.project import Project

STYLES = {"water": "#1f77b4", "field": "#ff7f0e", 'odd & "quoted"': "#00ff00"}

# Holds the file as QGIS does: write-ahead log, a read that stays open.
HOLD_LIKE_QGIS = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=wal")
database.execute("UPDATE layer_styles SET description = 'seen'")
if sys.argv[2] == "write":
    database.execute("BEGIN IMMEDIATE")
print(database.execute("SELECT count(*) FROM labels").fetchone()[0], flush=True)
sys.stdin.readline()
if sys.argv[2] == "write":
    database.execute("ROLLBACK")
print(database.execute("SELECT count(*) FROM labels").fetchone()[0], flush=True)
"""


def rows(path, query):
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def as_multi(labels):
    parts = [g if g.geom_type == "MultiPolygon" else MultiPolygon([g]) for g in labels.geometry]
    return labels.set_geometry(gpd.GeoSeries(parts, index=labels.index, crs=labels.crs))


@pytest.mark.parametrize("crs", [None, "EPSG:32612", "EPSG:4326", "EPSG:3031"])
def test_labels_come_back_with_their_columns_and_crs(project, labels, crs):
    labels = labels.set_crs(crs) if crs else labels
    project.write_labels(labels, STYLES)
    for read in (project.read_labels(), gpd.read_file(project.labels_path, layer="labels")):
        assert_geodataframe_equal(
            read[labels.columns], as_multi(labels), check_dtype=False, normalize=True, check_like=True
        )
        assert (read.crs is None) if crs is None else (read.crs == crs)


def test_pixel_coordinates_say_so_and_warn_nobody(project, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        project.write_labels(labels, STYLES)
    (description,) = rows(project.labels_path, "SELECT description FROM gpkg_contents WHERE table_name = 'labels'")[0]
    assert "Pixel coordinates (column, row)" in description


def test_no_file_and_no_labels_read_as_empty(project, labels):
    assert project.read_labels().empty
    project.write_labels(labels.iloc[:0].set_crs(32612), STYLES)
    empty = project.read_labels()
    assert empty.empty and empty.crs == 32612
    assert set(labels.columns) <= set(empty.columns)


def test_writing_replaces_all_that_was_there(project, labels):
    project.write_labels(labels, STYLES)
    project.write_labels(labels.iloc[1:], {"field": "#000000"})
    assert project.read_labels()["id"].tolist() == ["b"]
    assert rows(project.labels_path, "SELECT count(*) FROM layer_styles") == [(1,)]


def test_the_file_is_a_sound_geopackage_for_others(project, labels):
    project.write_labels(labels.set_crs(32612), STYLES)
    path = project.labels_path
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA application_id") == [(0x47504B47,)]
    assert [layer[0] for layer in pyogrio.list_layers(path)] == ["labels", "layer_styles"]
    assert sorted(rows(path, "SELECT table_name, data_type FROM gpkg_contents")) == [
        ("labels", "features"),
        ("layer_styles", "attributes"),
    ]


def test_qgis_finds_a_default_style_with_the_colours(project, labels):
    """The query is the one QGIS's OGR provider makes; the document was checked once in QGIS 3.22 itself."""
    project.write_labels(labels, STYLES)
    found = rows(
        project.labels_path,
        "SELECT styleQML FROM layer_styles WHERE f_table_schema = '' AND f_table_name = 'labels' "
        "AND f_geometry_column = (SELECT column_name FROM gpkg_geometry_columns) AND useAsDefault",
    )
    assert len(found) == 1
    renderer = ElementTree.fromstring(found[0][0]).find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class")
    colours = {}
    for category in renderer.iter("category"):
        symbol = renderer.find(f"symbols/symbol[@name='{category.get('symbol')}']")
        red, green, blue, _ = map(int, symbol.find("layer/Option/Option[@name='color']").get("value").split(","))
        colours[category.get("value")] = f"#{red:02x}{green:02x}{blue:02x}"
    assert colours == STYLES
    assert list(colours) == list(STYLES)


# -- single rows


def test_changed_rows_read_as_if_all_had_been_written(project, labels):
    labels = labels.set_crs(32612)
    project.write_labels(labels, STYLES)
    changed = labels.iloc[[1, 0]].assign(id=["b", "c"])
    changed.loc[changed["id"] == "c", "class"] = 'odd & "quoted"'
    changed = changed.set_geometry(changed.geometry.translate(1000, -500))
    assert project.change_labels(changed, ["a"])
    for read in (project.read_labels(), gpd.read_file(project.labels_path, layer="labels")):
        assert_geodataframe_equal(
            read[labels.columns],
            as_multi(changed.reset_index(drop=True)),
            check_dtype=False,
            normalize=True,
            check_like=True,
        )
        assert read.crs == 32612
    path = project.labels_path
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "SELECT feature_count FROM gpkg_ogr_contents") == [(2,)]
    west, south, east, north = changed.total_bounds
    ((min_x, min_y, max_x, max_y),) = rows(
        path, "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE data_type = 'features'"
    )
    assert min_x <= west and min_y <= south and max_x >= east and max_y >= north
    # the spatial index has moved with the rows
    for outline, name in zip(changed.geometry, changed["id"], strict=True):
        corner = outline.bounds[:2]
        found = pyogrio.read_dataframe(path, layer="labels", bbox=(*corner, corner[0] + 1e-3, corner[1] + 1e-3))
        assert name in found["id"].tolist()
    former = labels.geometry.iloc[0].representative_point()
    assert pyogrio.read_dataframe(path, layer="labels", bbox=former.buffer(0.01).bounds).empty


def test_rows_are_put_into_an_empty_file(project, labels):
    project.write_labels(labels.iloc[:0], STYLES)
    assert project.change_labels(labels, [])
    assert project.read_labels()["id"].tolist() == labels["id"].tolist()
    assert project.change_labels(labels.iloc[:0], list(labels["id"]))
    assert project.read_labels().empty


def test_a_file_that_others_have_touched_is_not_changed_in_part(project, labels):
    assert not project.change_labels(labels, [])  # there is none
    project.write_labels(labels, STYLES)
    other = Project.open(project.folder)
    assert not other.change_labels(labels.iloc[:1], ["b"])  # it does not know what is in it
    other.write_labels(labels.iloc[:1], STYLES)
    assert not project.change_labels(labels.iloc[:0], ["a"])
    assert project.read_labels()["id"].tolist() == ["a"]
    project.write_labels(labels, STYLES)
    with closing(sqlite3.connect(project.labels_path)) as database, database:
        database.execute("UPDATE layer_styles SET description = 'theirs'")
    before = project.labels_path.read_bytes()
    assert not project.change_labels(labels.iloc[:1], ["b"])
    assert project.labels_path.read_bytes() == before


def test_rows_are_not_changed_while_another_program_holds_the_file(project, labels, spawn):
    project.write_labels(labels, STYLES)
    qgis = spawn(HOLD_LIKE_QGIS, project.labels_path, "read")
    assert qgis.stdout.readline() == "2\n"
    assert not project.change_labels(labels.iloc[:0], ["a"])
    assert qgis.communicate("\n")[0] == "2\n"
    assert len(project.read_labels()) == 2


# Changes all rows again and again, until it is killed.
CHANGE_FOREVER = """
import sys
import geopandas as gpd
from shapely.geometry import box
from seglab.store.project import Project
project = Project.open(sys.argv[1])
def table(first):
    names = [f"n{i}" for i in range(first, first + 400)]
    shapes = [box(i % 20, first, i % 20 + 1, first + 1) for i in range(400)]
    return gpd.GeoDataFrame({"id": names, "class": ["water"] * 400}, geometry=shapes, crs=32612)
project.write_labels(table(0), {})
first = 0
while True:
    before = list(table(first)["id"])
    first += 400
    after = table(first)
    print("changing", flush=True)
    assert project.change_labels(after, before)
"""


@pytest.mark.parametrize("changes", [1, 2, 3, 5, 8])
def test_a_writer_that_is_killed_leaves_one_state_or_the_next(project, labels, spawn, changes):
    writer = spawn(CHANGE_FOREVER, project.folder)
    for _ in range(changes):
        assert writer.stdout.readline() == "changing\n"
    writer.kill()  # in the middle of it
    writer.wait()
    if changes % 2:  # the next writer may be the first to see what was left
        first = int(project.read_labels()["id"].iloc[0][1:])
        assert project.read_labels()["id"].tolist() == [f"n{i}" for i in range(first, first + 400)]
    project.write_labels(labels.set_crs(32612), STYLES)
    assert project.read_labels()["id"].tolist() == ["a", "b"]
    assert rows(project.labels_path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("colour", ["red", "#12345", "#1234567", "#gggggg", None, (1, 2, 3)])
def test_a_bad_colour_is_refused_and_the_former_file_stands(project, labels, colour):
    project.write_labels(labels, STYLES)
    before = project.labels_path.read_bytes()
    with pytest.raises(WriteError, match="rrggbb"):
        project.write_labels(labels, {"water": colour})
    assert project.labels_path.read_bytes() == before


@pytest.mark.parametrize(
    "column", [{"complex": [1j, 2j]}, {"Class": ["a", "b"]}, {"fid": [7, 7]}, {"geom": [1, 2]}], ids=str
)
def test_columns_that_cannot_be_written_leave_the_former_file(project, labels, column):
    project.write_labels(labels, STYLES)
    before = project.labels_path.read_bytes()
    with pytest.raises(WriteError, match="rename or drop"):
        project.write_labels(labels.assign(**column), STYLES)
    assert project.labels_path.read_bytes() == before
    assert [path for path in project.folder.iterdir() if "seglab-tmp" in path.name] == []


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_damaged_file_is_reported_when_read_and_replaced_when_written(project, labels, content):
    project.labels_path.write_bytes(content)
    with pytest.raises(ProjectDamagedError, match=r"labels\.gpkg"):
        project.read_labels()
    assert project.labels_path.read_bytes() == content
    Project.open(project.folder).write_labels(labels, STYLES)
    assert len(project.read_labels()) == 2


def test_a_file_cut_short_is_reported(project, labels):
    project.write_labels(labels, STYLES)
    project.labels_path.write_bytes(project.labels_path.read_bytes()[:5000])
    with pytest.raises(ProjectDamagedError, match=r"labels\.gpkg"):
        project.read_labels()


def test_another_program_with_the_file_open_sees_the_new_labels(project, labels, spawn):
    project.write_labels(labels, STYLES)
    qgis = spawn(HOLD_LIKE_QGIS, project.labels_path, "read")
    assert qgis.stdout.readline() == "2\n"
    project.write_labels(labels.iloc[:1], STYLES)
    assert len(project.read_labels()) == 1
    assert qgis.communicate("\n")[0] == "1\n"
    assert rows(project.labels_path, "PRAGMA integrity_check") == [("ok",)]


def test_another_program_in_the_middle_of_an_edit_keeps_its_file(project, labels, spawn):
    project.write_labels(labels, STYLES)
    qgis = spawn(HOLD_LIKE_QGIS, project.labels_path, "write")
    assert qgis.stdout.readline() == "2\n"
    with pytest.raises(WriteError, match="close it in QGIS"):
        project.write_labels(labels.iloc[:1], STYLES)
    assert qgis.communicate("\n")[0] == "2\n"
    project.write_labels(labels.iloc[:1], STYLES)
    assert len(project.read_labels()) == 1
