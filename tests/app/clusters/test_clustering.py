"""From a scene without labels to named classes: clusters are found, named, merged, taken apart, and become labels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

import seglab
from seglab.app.clusters.cluster_making import filled, fitting_scale, quartered, sharpened
from seglab.app.clusters.cluster_map import ClusterMap
from seglab.app.history.replay import replay
from seglab.app.session import LabelSession
from seglab.core.masks import rasterize
from seglab.errors import CheckpointError, ClusterError, JobCancelled, NoMaskError, ProposalError
from seglab.jobs import SilentReporter
from seglab.models.student.timm_library import timm_library

SIDE = 320
CLASSES = ("water", "wood", "sand", "field", "town")
COLOURS = ((20, 50, 110), (30, 80, 30), (220, 205, 160), (120, 150, 60), (150, 140, 140))
ROUGH = (2, 14, 4, 8, 45)
"""How much the brightness of each varies from pixel to pixel."""
_NEAR = np.array([[60, 70], [70, 250], [165, 160], [260, 60], [250, 260]])
"""(row, col) that the ground of each class is nearest to."""


def ground() -> np.ndarray:
    """(SIDE, SIDE) which of CLASSES is where."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    return np.argmin([(rows - r) ** 2 + (cols - c) ** 2 for r, c in _NEAR], axis=0)


def write_scene(path: Path) -> Path:
    """A GeoTIFF of five kinds of ground."""
    truth, rng = ground(), np.random.default_rng(3)
    rough = rng.normal(0, 1, (SIDE, SIDE, 1)) * np.array(ROUGH)[truth][..., None]
    image = np.clip(np.array(COLOURS)[truth] + rough, 0, 255).astype(np.uint8)
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    with rasterio.open(path, "w", width=SIDE, height=SIDE, count=3, dtype="uint8", **place) as file:
        file.write(np.moveaxis(image, -1, 0))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which clusters were proposed."""
    folder = tmp_path_factory.mktemp("five") / "five.seglab"
    write_scene(folder.with_suffix(".tif"))
    session = open_five(folder, folder)
    said: list[str] = []
    job = session.propose(5, steps=30)
    job.subscribe(lambda job: said.append(job.progress.message))
    made = job.result()
    assert {"finding what looks alike", "mapping clusters"} <= set(said)
    assert made == session.clusters and len(made.clusters) == 5
    session.close()
    return folder


def open_five(beside: Path, folder: Path) -> LabelSession:
    source = beside.with_suffix(".tif")
    return seglab.open(source, classes=["water"], project=folder, device="cpu", isolate=False)


@pytest.fixture
def session(folder: Path, tmp_path: Path) -> Iterator[LabelSession]:
    """A copy of it: each test changes its own."""
    shutil.copytree(folder, tmp_path / "copy.seglab")
    opened = open_five(folder, tmp_path / "copy.seglab")
    yield opened
    opened.close()


def values(found: ClusterMap) -> np.ndarray:
    with rasterio.open(found.path) as file:
        return file.read(1)


def test_five_named_classes_in_ten_clicks(session: LabelSession) -> None:
    """One click on a place of each kind and one on its class: what is labelled so is right."""
    clicks = 0
    for name, (row, col) in zip(CLASSES, _NEAR, strict=True):
        cluster = session.cluster_at(col, row, crs="pixel")
        assert cluster is not None
        session.name_cluster(cluster.number, name)
        clicks += 2
    assert clicks <= 10 and set(session.classes) == set(CLASSES)
    assert set(session.cluster_classes.values()) == set(CLASSES)
    labelled = np.full((SIDE, SIDE), -1)
    for one in session.objects:
        assert one.origin.startswith("cluster") and one.prompts.is_empty
        labelled[rasterize(one.geometry, (SIDE, SIDE))] = CLASSES.index(one.class_name)
    assert (labelled == ground()).mean() > 0.85


def test_naming_is_one_action(session: LabelSession) -> None:
    number = session.clusters.clusters[0].number
    made = session.name_cluster(number, "meadow")
    assert made and "meadow" in session.classes and session.cluster_classes == {number: "meadow"}
    what = "an object" if len(made) == 1 else f"{len(made)} objects"
    assert session.undo() == f"accept {what} as meadow"
    assert not session.objects and "meadow" not in session.classes and not session.cluster_classes
    session.redo()
    again = session.name_cluster(number, "water")
    assert {o.class_name for o in session.objects} == {"water"} and len(again) == len(made)
    with pytest.raises(ClusterError, match="no cluster 99"):
        session.name_cluster(99, "water")


def test_what_a_person_made_stays(session: LabelSession) -> None:
    row, col = _NEAR[2]
    session.box(col - 20, row - 20, col + 20, row + 20, crs="pixel")
    mine = session.accept("water")
    session.name_cluster(session.cluster_at(col, row, crs="pixel").number, "sand")
    kept = next(o for o in session.objects if o.id == mine.id)
    assert kept.geometry.equals(mine.geometry)
    assert all(o.geometry.intersection(kept.geometry).area == 0 for o in session.objects if o.id != mine.id)


def test_what_a_person_changed_of_a_cluster_is_theirs(session: LabelSession) -> None:
    cluster = session.cluster_at(70, 60, crs="pixel")
    whole = max(session.name_cluster(cluster.number, "water"), key=lambda o: o.geometry.area)
    hole = shapely.box(60, 50, 80, 70)
    session.refine(whole.id)
    session.paint(hole, positive=False, crs="pixel")
    corrected = session.accept("water")
    assert session.object_at(70, 60, crs="pixel") is None
    with pytest.raises(ClusterError, match="labelled already"):
        session.name_cluster(cluster.number, "sea")
    assert next(o for o in session.objects if o.id == corrected.id).geometry.equals(corrected.geometry)
    assert session.object_at(70, 60, crs="pixel") is None
    session.delete(corrected.id)
    assert session.name_cluster(cluster.number, "sea")


def test_merge_and_separate(session: LabelSession) -> None:
    before = session.clusters
    first, second = before.clusters[:2]
    merged = session.merge_clusters(first.number, second.number)
    assert merged == session.clusters and len(merged.clusters) == 4
    whole = merged.cluster(first.number)
    assert whole.pixels == first.pixels + second.pixels and whole.colour == first.colour
    inside = np.isin(values(merged), whole.values)
    row, col = np.argwhere(values(merged) == second.number)[0]
    assert inside.sum() == whole.pixels and session.cluster_at(col, row, crs="pixel") == whole
    apart = session.separate_cluster(first.number)
    assert {(c.values, c.pixels) for c in apart.clusters} == {(c.values, c.pixels) for c in before.clusters}
    assert session.undo() == f"take cluster {first.number} apart" and session.clusters == merged
    assert session.undo() == f"merge clusters {first.number} and {second.number}" and session.clusters == before
    assert session.redo() and session.clusters == merged
    session.undo()
    with pytest.raises(ClusterError, match="split it by a mask"):
        session.separate_cluster(first.number)
    with pytest.raises(ClusterError, match="with itself"):
        session.merge_clusters(first.number, first.number)


def test_split_by_the_mask(session: LabelSession) -> None:
    row, col = _NEAR[0]
    number = session.cluster_at(col, row, crs="pixel").number
    with pytest.raises(NoMaskError, match="no mask"):
        session.split_cluster(number)
    session.box(col - 25, row - 25, col + 5, row + 5, crs="pixel")
    mask = session.mask.full() & (values(session.clusters) == number)
    before = session.clusters.cluster(number)
    found = session.split_cluster(number)
    part = found.clusters[-1]
    assert session.mask is None and part.pixels == mask.sum() == before.pixels - found.cluster(number).pixels
    np.testing.assert_array_equal(values(found) == part.number, mask)
    session.name_cluster(part.number, "bay")
    assert session.cluster_classes == {part.number: "bay"}
    session.undo()
    assert session.undo() == f"split cluster {number}"
    assert session.clusters.cluster(number) == before and session.clusters.path != found.path


def test_the_log_makes_the_same_again(session: LabelSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = session.clusters.clusters[:2]
    session.name_cluster(first.number, "meadow")
    made = session.name_cluster(second.number, "water")
    session.edit(made[0].id, note="looked at")
    session.merge_clusters(*(cluster.number for cluster in session.clusters.clusters[2:4]))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(session.as_code(check=False), "as_code", "exec"), names)
    other = names["session"]
    assert [(o.class_name, o.origin, o.note) for o in other.objects] == [
        (o.class_name, o.origin, o.note) for o in session.objects
    ]
    assert all(a.geometry.equals(b.geometry) for a, b in zip(other.objects, session.objects, strict=True))
    other.close()
    assert replay(SilentReporter(), session.project.folder).equal


def test_regions_as_a_table(session: LabelSession) -> None:
    number = session.clusters.clusters[0].number
    session.name_cluster(number, "water")
    table = session.cluster_regions()
    assert set(table["cluster"]) == {c.number for c in session.clusters.clusters}
    assert set(table.loc[table["cluster"] == number, "class"]) == {"water"}
    assert session.clusters.advice and {t.name for t in session.clusters.terms} == {"self", "near", "random"}
    assert all(sum(t.shares) == pytest.approx(1) for t in session.clusters.terms)


def test_what_cannot_be(session: LabelSession, open_lakes) -> None:
    with pytest.raises(ClusterError, match="give 2 to"):
        session.propose(1)
    with pytest.raises(ProposalError, match="give some that do"):
        session.accept_regions([], "water")
    fresh = open_lakes()
    assert fresh.clusters is None and fresh.cluster_at(10, 10, crs="pixel") is None and not fresh.cluster_classes
    with pytest.raises(ClusterError, match=r"session.propose\(\) finds them"):
        fresh.merge_clusters(1, 2)
    job = fresh.propose(3)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result()
    assert fresh.clusters is None


def test_a_dino_is_compared_where_its_weights_are_there(session: LabelSession, tmp_path: Path) -> None:
    import torch

    before = session.clusters
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm_library().create_model("vit_small_patch8_224", num_classes=0)
    torch.save(network.state_dict(), tmp_path / "dino.pth")
    made = session.propose(3, steps=3, resolution=20, weights=tmp_path / "dino.pth").result()
    assert made.scale == 2 and made == session.clusters and made.proposed != before.proposed
    assert 2 <= len(made.clusters) <= 3 and sum(c.pixels for c in made.clusters) == SIDE * SIDE
    with pytest.raises(CheckpointError, match="cannot read"):
        session.propose(3, weights=tmp_path / "absent.pth").result()
    assert session.clusters == made


def test_where_there_is_no_data_stands_the_nearest_pixel() -> None:
    rgb = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    valid = np.zeros((4, 5), dtype=bool)
    valid[:3, 1:4] = True
    found = filled(np.where(valid[..., None], rgb, 0).astype(np.uint8), valid)
    np.testing.assert_array_equal(found[:3, 1:4], rgb[:3, 1:4])
    np.testing.assert_array_equal(found[3, 1:4], rgb[2, 1:4])
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    np.testing.assert_array_equal(found[:, 4], found[:, 3])
    assert not filled(np.zeros_like(rgb), np.zeros_like(valid)).any()


def test_sharpened_borders_follow_the_ground(folder: Path) -> None:
    import torch

    with rasterio.open(folder.with_suffix(".tif")) as file:
        rgb = torch.from_numpy(np.moveaxis(file.read(), 0, -1))
    truth = torch.from_numpy(ground())
    ones = torch.nn.functional.one_hot(truth, len(CLASSES)).permute(2, 0, 1).float()
    rough = torch.nn.functional.avg_pool2d(ones, 16)[None] * 0.8 + 0.2 / len(CLASSES)  # what a patch of 16 pixels knows
    plain = torch.nn.functional.interpolate(rough, (SIDE, SIDE), mode="bilinear")[0]
    sharp = sharpened(rgb, rough)
    torch.testing.assert_close(sharp.sum(0), torch.ones(SIDE, SIDE))
    wrong = [float((found.argmax(0) != truth).float().mean()) for found in (plain, sharp)]
    assert wrong[1] < 0.7 * wrong[0], wrong
    assert sharpened(rgb[:31, :45], rough).shape == (len(CLASSES), 31, 45)


def test_how_closely_a_scene_is_looked_at() -> None:
    assert fitting_scale((300, 300), 224) == 1
    assert fitting_scale((20_000, 20_000), 224) == 16
    import torch

    parts = quartered(torch.arange(2 * 4 * 4).reshape(2, 1, 4, 4))
    assert parts.shape == (8, 1, 2, 2) and parts[2, 0].tolist() == [[2, 3], [6, 7]]
