"""Labels made elsewhere become accepted objects."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from shapely.geometry import box

from seglab import errors, jobs
from seglab.app.session import LabelSession
from seglab.datasets.labels_file import read_labels


@pytest.fixture
def session(open_lakes) -> LabelSession:
    return open_lakes()


def frame(session: LabelSession, crs: str | None, **columns: list[str]) -> gpd.GeoDataFrame:
    """Two rectangles in the scene and one beside it."""
    shapes = [box(10, 10, 40, 30), box(100, 50, 130, 90), box(-500, -500, -400, -400)]
    if crs is not None:
        shapes = [session.grid.geometry_from_pixel(shape, crs) for shape in shapes]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


@pytest.mark.parametrize(
    ("name", "crs"), [("a.gpkg", "EPSG:32632"), ("a.geojson", "EPSG:4326"), ("a.shp", "EPSG:3857"), ("b.gpkg", None)]
)
def test_vector_files_land_where_they_belong(session: LabelSession, tmp_path: Path, name: str, crs: str | None) -> None:
    frame(session, crs, label=["water", "quarry", "water"]).to_file(tmp_path / name)
    assert session.import_labels(tmp_path / name) == 2
    first, second = session.objects
    assert (first.class_name, second.class_name) == ("water", "quarry") and "quarry" in session.classes
    for found, wanted in ((first, box(10, 10, 40, 30)), (second, box(100, 50, 130, 90))):
        # Another projection bends edges by less than a pixel.
        assert found.geometry.symmetric_difference(wanted).area <= 0.1 * wanted.area
        assert found.window.polygon.covers(found.geometry) and found.prompts.is_empty
    assert session.undo() == "import 2 objects" and session.objects == ()


class Cancelled(jobs.SilentReporter):
    """Says how far an import is, and is cancelled once all outlines are known."""

    done: tuple[float, float | None] = (0, None)

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        self.done = done, self.done[1] if total is None else total

    def check(self) -> None:
        raise errors.JobCancelled("enough")


@pytest.mark.parametrize("as_proposals", [False, True])
def test_cancelled_import_leaves_nothing(session: LabelSession, tmp_path: Path, as_proposals: bool) -> None:
    frame(session, None, label=["quarry"] * 3).to_file(tmp_path / "a.gpkg")
    before, reporter = len(session.project.events()), Cancelled()
    with pytest.raises(errors.JobCancelled):
        session.import_labels(tmp_path / "a.gpkg", as_proposals=as_proposals, reporter=reporter)
    assert reporter.done == (3, 3)
    assert len(session.project.events()) == before and not session.objects and "quarry" not in session.classes


def test_another_project_is_taken_over(session: LabelSession, open_lakes, tmp_path: Path) -> None:
    session.paint(box(10, 10, 40, 30), crs="pixel")
    session.accept("water")
    other = open_lakes(project=tmp_path / "other.seglab")
    assert other.import_labels(tmp_path / "lakes.seglab") == 1
    assert other.objects[0].geometry.equals(session.objects[0].geometry)
    other.retrain(steps=1).result()
    assert other.round == 1


def coco(path: Path, segmentation: object = None, images: int = 1) -> Path:
    ring = [10, 10, 40, 10, 40, 30, 10, 30]
    value = {
        "images": [{"id": i, "file_name": f"tiles/{i}.png"} for i in range(images)],
        "categories": [{"id": 7, "name": "roof"}],
        "annotations": [{"image_id": 0, "category_id": 7, "segmentation": segmentation or [ring]}],
    }
    path.write_text(json.dumps(value))
    return path


def test_coco_is_read_in_pixels(session: LabelSession, tmp_path: Path) -> None:
    assert session.import_labels(coco(tmp_path / "coco.json")) == 1
    assert session.objects[0].geometry.equals(shapely.MultiPolygon([box(10, 10, 40, 30)]))
    assert session.objects[0].class_name == "roof"
    with pytest.raises(errors.LabelsFileError, match="image="):
        read_labels(coco(tmp_path / "two.json", images=2))
    assert len(read_labels(coco(tmp_path / "two.json", images=2), image="0.png")) == 1
    with pytest.raises(errors.LabelsFileError, match="polygons"):
        read_labels(coco(tmp_path / "rle.json", {"counts": "x", "size": [1, 1]}))


def test_what_cannot_be_used_says_why_and_changes_nothing(session: LabelSession, tmp_path: Path) -> None:
    nameless, away = tmp_path / "nameless.gpkg", tmp_path / "away.gpkg"
    frame(session, "EPSG:4326", code=["1", "2", "3"]).to_file(nameless)
    frame(session, "EPSG:4326", label=["a", "b", "c"]).iloc[2:].to_file(away)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "text.txt").write_text("no labels")
    for path, says in (
        (nameless, "class_column"),
        (away, "same place"),
        (tmp_path / "broken.json", "JSON"),
        (tmp_path / "text.txt", "vector"),
        (tmp_path / "absent.gpkg", "no file"),
    ):
        with pytest.raises(errors.LabelsFileError, match=says):
            session.import_labels(path)
    assert session.objects == () and list(session.classes) == ["water", "field"]
    assert session.import_labels(nameless, class_column="code") == 2
    assert session.import_labels(nameless, class_name="field") == 2
    assert {o.class_name for o in session.objects} == {"field"}


def test_untidy_polygons_are_taken_for_their_area(session: LabelSession, tmp_path: Path) -> None:
    spiked = shapely.Polygon([(10, 10), (100, 10), (100, 100), (120, 120), (100, 100), (10, 100)])
    gpd.GeoDataFrame({"class": ["water"]}, geometry=[spiked]).to_file(tmp_path / "spiked.gpkg")
    session.import_labels(tmp_path / "spiked.gpkg")
    assert session.objects[0].geometry.area == 90 * 90
    rings = [[0, 0, 100, 0, 100, 100, 0, 100], [50, 20, 150, 20, 150, 80, 50, 80]]
    assert read_labels(coco(tmp_path / "rings.json", rings)).geometry.area.tolist() == [13_000]


def test_a_polygon_on_the_other_side_of_the_world_is_left_out(session: LabelSession, tmp_path: Path) -> None:
    here = session.grid.geometry_from_pixel(box(10, 10, 40, 30), "EPSG:4326")
    both = gpd.GeoDataFrame({"class": ["water"] * 2}, geometry=[here, box(100, -80, 170, 80)], crs=4326)
    both.to_file(tmp_path / "both.geojson")
    assert session.import_labels(tmp_path / "both.geojson") == 1
    with pytest.raises((errors.PromptError, errors.OutsideSceneError)):
        session.paint(box(100, -80, 170, 80))


def test_an_import_with_its_classes_is_one_action_and_knows_renamed_ones(session: LabelSession, tmp_path: Path) -> None:
    frame(session, None, label=["water", "quarry", "x"]).to_file(tmp_path / "a.gpkg")
    session.rename_class("water", "lake")
    session.import_labels(tmp_path / "a.gpkg")
    assert [o.class_name for o in session.objects] == ["lake", "quarry"]
    assert session.undo() == "import 2 objects" and list(session.classes) == ["lake", "field"]


def test_columns_that_tell_no_class_are_refused(session: LabelSession, tmp_path: Path) -> None:
    frame(session, None, label=["water", " ", "x"]).to_file(tmp_path / "blank.gpkg")
    many = gpd.GeoDataFrame({"name": [str(i) for i in range(300)]}, geometry=[box(i, 0, i + 1, 1) for i in range(300)])
    many.to_file(tmp_path / "many.gpkg")
    for name, says in (("blank", "empty"), ("many", "300")):
        with pytest.raises(errors.LabelsFileError, match=says):
            session.import_labels(tmp_path / f"{name}.gpkg")


def test_geojson_in_pixels_comes_back(tmp_path: Path) -> None:
    import numpy as np

    import seglab

    plain = seglab.open(np.zeros((300, 300, 3), np.uint8), classes=["a"], project=tmp_path / "plain.seglab")
    plain.paint(box(10, 10, 40, 30))
    plain.accept("a")
    plain.export(tmp_path / "plain.geojson")
    plain.delete(plain.objects[0].id)
    assert plain.import_labels(tmp_path / "plain.geojson") == 1
    assert plain.objects[0].geometry.bounds == (10, 10, 40, 30)
    plain.close()
