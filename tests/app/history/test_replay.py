"""The log run again: the same labels, or what differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

import seglab
from seglab.app.history.replay import Drawing, compare_labels, replay
from seglab.app.history.state import reduce
from seglab.errors import ProjectError
from seglab.jobs import SilentReporter
from seglab.store.project import Project
from tests.conftest import LAKES


@pytest.fixture(scope="module")
def project(lakes_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with objects that take ground from each other, undo and redo, areas, and a class of its own."""
    folder = tmp_path_factory.mktemp("labelled") / "lakes.seglab"
    session = seglab.open(lakes_path, ["water", "field"], folder, device="cpu")
    for col, row, _ in LAKES[:3]:
        session.click(col, row, crs="pixel")
        session.accept("water")
    session.undo()
    session.redo()
    session.click(LAKES[3][0], LAKES[3][1], crs="pixel")
    session.accept("field")
    session.undo()
    session.box(40, 50, 100, 90, crs="pixel")
    session.add_class("road", "#123456")
    session.accept("road")
    session.review(shapely.box(0, 0, 50, 50), crs="pixel")
    session.never_train(shapely.box(400, 300, 500, 380), crs="pixel")
    session.close()
    return folder


@pytest.fixture
def labelled(project: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(project, tmp_path / "lakes.seglab")


def rewrite(folder: Path, change) -> None:
    """Change labels.gpkg as another program would."""
    project = Project.open(folder)
    labels = project.read_labels()
    project.write_labels(change(labels), {"water": "#000000"})


def test_a_replay_leads_to_the_same_labels(labelled: Path, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in labelled.iterdir() if p.is_file()}
    found = replay(SilentReporter(), labelled, tmp_path / "again.seglab")
    assert found.equal and found.differences == ()
    assert (found.objects, found.classes, found.rounds) == (4, 3, 0)
    old, new = Project.open(labelled), Project.open(tmp_path / "again.seglab")
    assert new.events() == old.events()
    assert reduce(new.events()) == reduce(old.events())
    one, other = (gpd.read_file(p.labels_path, layer="labels") for p in (old, new))
    assert one.equals(other)
    assert {p.name: p.read_bytes() for p in labelled.iterdir() if p.is_file()} == before
    assert json.loads(json.dumps(found.to_json()))["equal"] is True


def test_rounds_are_taken_over_and_not_trained(labelled: Path, tmp_path: Path) -> None:
    project = Project.open(labelled)
    tensors = {"a": np.arange(4.0, dtype=np.float32)}
    project.save_round(tensors, {"parent": 0})
    project.append("round", {"number": 1})
    assert replay(SilentReporter(), labelled, tmp_path / "again.seglab").rounds == 1
    again, card = Project.open(tmp_path / "again.seglab").load_round(1)
    assert card == project.load_round(1)[1]
    np.testing.assert_array_equal(again["a"], tensors["a"])
    project.append("round", {"number": 2})
    assert replay(SilentReporter(), labelled).differences == (
        "round 2 is in use and not in the project; bring its folder in rounds/ back from a backup",
    )


def test_kinds_that_nobody_knows_are_copied(labelled: Path, tmp_path: Path) -> None:
    Project.open(labelled).append("a kind of tomorrow", {"objects": [1, 2]}, "ada")
    assert replay(SilentReporter(), labelled, tmp_path / "again.seglab").equal
    assert Project.open(tmp_path / "again.seglab").events()[-1].kind == "a kind of tomorrow"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.iloc[1:], "labels.gpkg holds 3 objects, and the log leads to 4"),
        (lambda t: t.assign(author="eve"), "author differs for object"),
        (lambda t: t.assign(geometry=t.geometry.translate(10, 0)), "geometry differs for object"),
        (lambda t: t.assign(later="x"), "column 'later' is in only one of them"),
        (lambda t: t.assign(**{"class": ["water", "water", "field", "road"]}), "class differs for object 5"),
    ],
)
def test_tampering_is_found(labelled: Path, change, expected: str) -> None:
    rewrite(labelled, change)
    found = replay(SilentReporter(), labelled)
    assert not found.equal
    assert found.differences[0].startswith(expected)


def test_outlines_may_differ_by_rounding_only(labelled: Path) -> None:
    table = Project.open(labelled).read_labels()
    moved = table.assign(geometry=table.geometry.translate(1e-8, 0))
    assert compare_labels(table, moved, 1e-5) == []
    assert len(compare_labels(table, moved, 1e-9)) == 1


def test_a_column_of_a_later_version_counts_when_something_is_in_it(labelled: Path) -> None:
    table = Project.open(labelled).read_labels()
    assert compare_labels(table, table.assign(later=False, empty=None), 1e-5) == []
    assert compare_labels(table, table.assign(later="x"), 1e-5) == ["column 'later' is in only one of them"]


def test_labels_that_are_missing_are_reported(labelled: Path) -> None:
    (labelled / "labels.gpkg").unlink()
    assert replay(SilentReporter(), labelled).differences == ("labels.gpkg holds 0 objects, and the log leads to 4",)


def test_an_empty_project_is_equal(open_lakes) -> None:
    assert replay(SilentReporter(), open_lakes().project.folder).equal


def test_the_new_folder_must_be_free(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="already holds files"):
        replay(SilentReporter(), labelled, labelled)
    with pytest.raises(ProjectError, match="no project at"):
        replay(SilentReporter(), tmp_path / "nothing")


def test_masks_are_drawn_again_by_the_recorded_round(labelled: Path, lakes_path: Path, tmp_path: Path) -> None:
    found = replay(SilentReporter(), labelled, drawing=Drawing(device="cpu"))
    assert [m.iou for m in found.masks] == [1.0] * 4
    other = tmp_path / "other.tif"
    with rasterio.open(lakes_path) as source, rasterio.open(other, "w", **(source.profile | {"width": 400})) as target:
        target.write(source.read()[:, :, :400])
    with pytest.raises(ProjectError, match="--scene"):
        replay(SilentReporter(), labelled, drawing=Drawing(scene=str(other), device="cpu"))
