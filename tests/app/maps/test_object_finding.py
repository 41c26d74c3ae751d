"""Objects of a whole scene: one each, whole, as proposals or as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import Point, box

from seglab.app.maps.found_objects import LEAST_SIZE, SMALLEST
from seglab.app.rounds.round_model import load_round
from seglab.app.session import LabelSession
from seglab.cli import main
from seglab.errors import NoLabelsError, ProposalError, UnknownClassError, UnknownFormatError
from seglab.inference.instances import InstanceSettings
from tests.conftest import LAKES

TRUTH = [Point(col, row).buffer(radius) for col, row, radius in LAKES]


@pytest.fixture(scope="module")
def project(lakes_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose round 1 knows water."""
    import seglab

    folder = tmp_path_factory.mktemp("objects") / "p.seglab"
    session = seglab.open(lakes_path, ["water"], folder, device="cpu", isolate=False)
    for col, row, radius in LAKES[:2]:
        session.paint(Point(col, row).buffer(radius), crs="pixel")
        session.accept("water")
    session.retrain(steps=3).result()
    session.close()
    return folder


def found_lakes(outlines: list[shapely.Geometry]) -> int:
    """How many lakes one of the outlines is of, by an IoU of 0.7."""
    return sum(any(lake.intersection(one).area >= 0.7 * lake.union(one).area for one in outlines) for lake in TRUTH)


def test_each_lake_is_proposed_once_and_none_that_is_accepted(
    open_lakes: Callable[..., LabelSession], project: Path
) -> None:
    session = open_lakes(project=project)
    found = session.find_objects().result()
    outlines = [one.geometry for one in found]
    assert found_lakes(outlines) >= len(LAKES) - len(session.objects) - 1
    assert {one.class_name for one in found} == {"water"} and all("objects found" in one.origin for one in found)
    accepted = shapely.union_all([o.geometry for o in session.objects])
    assert all(one.intersection(accepted).area < 0.1 * one.area for one in outlines)
    for i, one in enumerate(outlines):
        assert all(one.intersection(other).area < 0.7 * one.area for other in outlines[:i])
    col, row, radius = LAKES[2]
    session.set_area_of_interest(box(col - radius, row - radius, col + radius, row + radius), crs="pixel")
    again = session.find_objects().result()
    assert again and len(session.proposals) == len(again)  # in place of the former ones
    for _ in ("the second search", "the area", "the first search"):
        session.undo()
    assert session.proposals == ()


def test_the_map_does_not_propose_the_ground_of_objects_that_wait(
    open_lakes: Callable[..., LabelSession], project: Path
) -> None:
    session = open_lakes(project=project)
    session.predict().result()
    regions = session.propose_from_map()
    found = session.find_objects().result()
    assert not {p.id for p in regions} & {p.id for p in session.proposals}
    ground = shapely.union_all([one.geometry for one in found])
    try:
        session.propose_from_map()
    except ProposalError:
        assert list(session.proposals) == list(found)
    for p in session.proposals:
        assert p in found or p.geometry.intersection(ground).area == 0


def test_what_is_much_smaller_than_accepted_objects_is_none(
    open_lakes: Callable[..., LabelSession], project: Path
) -> None:
    session = open_lakes(project=project)
    smallest = LEAST_SIZE * np.median([o.geometry.area for o in session.objects])
    assert all(one.geometry.area >= 0.9 * smallest for one in session.find_objects().result())  # less what is accepted
    assert load_round(project, device="cpu").least_area(["water"], 1) == pytest.approx(smallest, rel=0.01)
    assert load_round(project, device="cpu").least_area(["roof"], 1) == SMALLEST


def test_a_file_has_class_score_hectares_and_round(project: Path, lakes_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "lakes.gpkg"
    assert main(["instances", str(lakes_path), "--round", str(project), "--device", "cpu", "--out", str(path)]) == 0
    table = gpd.read_file(path, layer="objects")
    model = load_round(project, device="cpu")
    with model.open(lakes_path) as scene:
        outlines = [scene.grid.geometry_to_pixel(one, table.crs) for one in table.geometry]
        hectares = scene.grid.areas_m2(outlines)
    assert found_lakes(outlines) >= len(LAKES) - 1
    assert table.hectares.to_numpy() * 10_000 == pytest.approx(hectares, rel=1e-3)
    assert set(table["class"]) == {"water"} and set(table["round"]) == {1}
    assert table.score.between(0, 1).all() and table.geometry.is_valid.all()


def test_objects_of_any_kind_in_an_area(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    session.set_area_of_interest(box(150, 40, 250, 140), crs="pixel")
    found = session.find_objects([]).result()
    assert {one.class_name for one in found} == {"object"}
    assert found_lakes([one.geometry for one in found]) >= 1
    assert all(one.geometry.intersects(box(150, 40, 250, 140)) for one in found)


def test_what_cannot_be_found_is_said(open_lakes: Callable[..., LabelSession], project: Path, tmp_path: Path) -> None:
    session = open_lakes()
    with pytest.raises(NoLabelsError):
        session.find_objects()
    with pytest.raises(UnknownClassError):
        session.find_objects(["roof"])
    with pytest.raises(UnknownFormatError):
        session.find_objects([], tmp_path / "objects.docx")
    model = load_round(project, device="cpu")
    with model.open(session.scene.path) as scene, pytest.raises(UnknownClassError, match="does not know class 'roof'"):
        model.find_objects(scene, tmp_path / "o.gpkg", InstanceSettings(), ["roof"])
