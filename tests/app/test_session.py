"""The whole product without a browser, on the synthetic lakes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from seglab import errors
from seglab.app.session import LabelSession
from tests.conftest import LAKES, lake_mask

LAKE = LAKES[1]


def test_click_gives_a_mask_that_knows_its_place(open_lakes) -> None:
    session = open_lakes()
    lon, lat = session.grid.from_pixel(LAKE[0], LAKE[1])
    proposal = session.click(lon, lat)
    assert proposal is session.mask
    assert proposal.array.shape == proposal.window.shape
    assert proposal.full().shape == (384, 512)
    assert proposal.full().sum() == proposal.area_px == pytest.approx(proposal.polygon.area)
    assert len(session.candidates) == 3
    assert [c.iou for c in session.candidates] == sorted((c.iou for c in session.candidates), reverse=True)
    point = session.prompts.points[0]
    assert (point.col, point.row) == pytest.approx(LAKE[:2], abs=1e-3)


def test_a_box_larger_than_a_window_is_seen_whole(open_lakes) -> None:
    session = open_lakes()
    proposal = session.box(20, 20, 480, 360, crs="pixel")
    assert proposal.window.scale > 1
    assert proposal.window.contains(20, 20)
    assert proposal.window.contains(480, 360)


def test_accept_is_on_disk_before_it_returns(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    mask = session.mask.full()
    accepted = session.accept("water")
    assert session.mask is None
    events = [json.loads(line) for line in (tmp_path / "lakes.seglab" / "events.jsonl").read_text().splitlines()]
    assert events[-1]["kind"] == "accept"
    assert events[-1]["id"] == accepted.id
    saved = gpd.read_file(tmp_path / "lakes.seglab" / "labels.gpkg", layer="labels")
    assert list(saved["class"]) == ["water"]
    assert saved.crs == session.grid.crs
    burnt = rasterio.features.rasterize(saved.geometry, (384, 512), transform=session.grid.transform)
    np.testing.assert_array_equal(burnt > 0, mask)


def test_a_project_reopens_as_it_was(open_lakes) -> None:
    first = open_lakes()
    first.add_class("road", "#123456")
    for lake in LAKES[:2]:
        first.click(*lake[:2], crs="pixel")
        first.accept("water")
    first.review(shapely.box(0, 0, 50, 50), crs="pixel")
    first.undo()
    first.retrain(steps=2).result()
    first.predict().result()
    second = open_lakes()
    assert second.classes == first.classes
    assert second.objects == first.objects
    assert second.reviewed == first.reviewed == ()
    assert second.round == first.round == 1
    assert second.prediction == first.prediction
    col, row = LAKES[2][:2]
    np.testing.assert_array_equal(first.click(col, row, crs="pixel").array, second.click(col, row, crs="pixel").array)
    assert second.undo() and second.undo() == "round 1"
    assert second.round == 0


def test_undo_and_redo(open_lakes) -> None:
    session = open_lakes()
    assert not session.can_undo
    with pytest.raises(errors.NothingToUndoError):
        session.undo()
    one = session.click(*LAKE[:2], crs="pixel").array
    session.click(LAKE[0] + 60, LAKE[1], positive=False, crs="pixel")
    assert session.undo() == "the last click"
    np.testing.assert_array_equal(session.mask.array, one)
    session.accept("water")
    assert session.undo() == "accept water"
    assert session.objects == () and len(session.labels) == 0
    assert session.redo() == "accept water"
    assert len(session.objects) == 1
    session.undo()
    session.add_class("road")
    with pytest.raises(errors.NothingToUndoError):  # something new was done
        session.redo()


def test_later_objects_take_the_ground_of_earlier_ones(open_lakes) -> None:
    session = open_lakes()
    for name in ("field", "water"):
        session.click(*LAKE[:2], crs="pixel")
        session.accept(name)
    assert [o.class_name for o in session.objects] == ["water"]
    session.undo()
    assert [o.class_name for o in session.objects] == ["field"]


def test_retrain_makes_a_round_and_rollback_goes_back(open_lakes) -> None:
    session = open_lakes()
    for lake in LAKES[:3]:
        session.click(*lake[:2], crs="pixel")
        session.accept("water")
    before = session.click(*LAKES[3][:2], crs="pixel").logits
    session.reject()
    seen = []
    job = session.retrain(steps=12)
    job.subscribe(lambda j: seen.append(dict(j.progress.values)))
    made = job.result()
    assert (made.number, made.parent, session.round) == (1, 0, 1)
    assert made.card["losses"][-1] < made.card["losses"][0]
    assert {"loss", "iou"} <= set(seen[-1])
    assert not np.array_equal(before, session.click(*LAKES[3][:2], crs="pixel").logits)
    session.reject()
    session.rollback(0)
    np.testing.assert_array_equal(before, session.click(*LAKES[3][:2], crs="pixel").logits)
    session.reject()
    session.undo()
    assert session.round == 1
    with pytest.raises(errors.UnknownRoundError, match=r"\[0, 1\]"):
        session.rollback(7)


def test_cancelled_training_leaves_no_round(open_lakes) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    stepped = threading.Event()
    job = session.retrain(steps=10_000)
    job.subscribe(lambda j: stepped.set() if j.progress.done else None)
    assert stepped.wait(120)
    with pytest.raises(errors.JobRunningError):
        session.retrain()
    session.click(*LAKES[2][:2], crs="pixel")
    session.accept("water")  # labelling goes on meanwhile
    job.cancel()
    with pytest.raises(errors.JobCancelled):
        job.result(timeout=120)
    assert session.rounds == [] and session.round == 0 and len(session.objects) == 2


def test_predict_writes_a_map_on_the_scenes_grid(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    with pytest.raises(errors.NoLabelsError):
        session.predict()
    session.click(*LAKE[:2], crs="pixel")
    session.accept("field")  # the second class: its number in the map is 2
    prediction = session.predict(tmp_path / "map.tif").result()
    with rasterio.open(prediction.path) as classes, rasterio.open(prediction.confidence_path) as confidence:
        assert (classes.width, classes.height, classes.crs) == (512, 384, "EPSG:32633")
        assert classes.transform == session.grid.transform
        assert set(np.unique(classes.read(1))) <= {0, 2}
        assert classes.colormap(1)[2][:3] == tuple(bytes.fromhex(session.classes["field"][1:]))
        assert 50 <= confidence.read(1).min() <= confidence.read(1).max() <= 100
    assert session.prediction == prediction


def test_suggest_without_and_with_labels(open_lakes) -> None:
    session = open_lakes()
    first = session.suggest(2)
    assert len(first) == 2 and first[0].window != first[1].window
    assert "typical" in first[0].reason
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    after = session.suggest(2)
    assert "background or water" in after[0].reason
    assert [s.score for s in after] == sorted((s.score for s in after), reverse=True)


def test_suggestions_go_where_nothing_is_labelled(open_lakes) -> None:
    session = open_lakes()
    session.review(shapely.box(0, 0, 223, 384), crs="pixel")
    assert {s.window.col for s in session.suggest(9)} == {224, 288}


def test_export_by_suffix(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    with pytest.raises(errors.NoLabelsError):
        session.export(tmp_path / "labels.gpkg")
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    for suffix in (".gpkg", ".geojson"):
        table = gpd.read_file(session.export(tmp_path / f"labels{suffix}"), layer="labels")
        assert list(table["class"]) == ["water"]
        lon, lat = session.grid.from_pixel(*LAKE[:2])
        west, south, east, north = table.to_crs("EPSG:4326").total_bounds
        assert west < lon < east and south < lat < north
    with rasterio.open(session.export(tmp_path / "labels.tif")) as burnt:
        np.testing.assert_array_equal(burnt.read(1) == 1, shapely_mask(session.objects[0].geometry, (384, 512)))
    with pytest.raises(errors.UnknownFormatError, match="gpkg"):
        session.export(tmp_path / "labels.docx")


def shapely_mask(geometry: object, shape: tuple[int, int]) -> np.ndarray:
    return rasterio.features.rasterize([geometry], shape) > 0


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda s: s.click(0, 0), errors.OutsideSceneError, "outside the scene"),
        (lambda s: s.click(-1, 5, crs="pixel"), errors.OutsideSceneError, "outside the scene"),
        (lambda s: s.box(-9, -9, -1, -1, crs="pixel"), errors.OutsideSceneError, "outside the scene"),
        (lambda s: s.box(5, 5, 5, 5, crs="pixel"), errors.PromptError, "no area"),
        (lambda s: s.accept("water"), errors.NoMaskError, "click an object first"),
        (lambda s: s.choose(1), errors.NoMaskError, "click an object first"),
        (lambda s: s.accept("lava"), errors.UnknownClassError, "'lava'"),
        (lambda s: s.add_class("water"), errors.UnknownClassError, "already there"),
        (lambda s: s.retrain(), errors.NoLabelsError, "accept its mask"),
        (lambda s: s.review(shapely.box(-9, -9, -1, -1), crs="pixel"), errors.OutsideSceneError, "outside"),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_do(open_lakes, act, error, says: str) -> None:
    session = open_lakes()
    with pytest.raises(error, match=says):
        act(session)
    assert session.objects == ()


def test_another_scene_or_model_is_refused(open_lakes, tmp_path: Path) -> None:
    import seglab

    session = open_lakes()
    with pytest.raises(errors.ProjectError, match="belongs to scene 'lakes'"):
        seglab.open(np.zeros((64, 64, 3), np.uint8) + 7, project=session.project.folder)
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    session.retrain(steps=1).result()
    with pytest.raises(errors.ProjectError, match="bands"):
        open_lakes(bands=(3, 2, 1))
    assert open_lakes().round == 1


def test_unknown_models_devices_and_checkpoints(open_lakes, tmp_path: Path) -> None:
    with pytest.raises(errors.ModelNotFoundError, match="vit_b"):
        open_lakes(model="vit_x")
    with pytest.raises(errors.DeviceError, match="'warp'"):
        open_lakes(device="warp")
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(errors.CheckpointError):
        open_lakes(checkpoint=tmp_path / "bad.pth")


def test_pixel_space_images_work_in_pixels(tmp_path: Path) -> None:
    import seglab

    water = lake_mask()
    image = np.where(water[..., None], (24, 46, 92), (120, 120, 80)).astype(np.uint8)
    session = seglab.open(image, classes=["water"], project=tmp_path / "photo.seglab")
    session.click(*LAKE[:2])  # pixel is its default crs
    session.accept("water")
    assert session.labels.crs is None
    assert session.labels.geometry[0].area == session.objects[0].geometry.area
    assert json.loads(session.export(tmp_path / "labels.geojson").read_text())["features"]
    session.close()


def test_listeners_hear_of_every_change(open_lakes) -> None:
    session: LabelSession = open_lakes()
    heard: list[str] = []
    stop = session.subscribe(lambda s, what: heard.append(what))
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    session.add_class("road")
    session.scale = 2
    stop()
    session.undo()
    assert heard == ["mask", "labels", "mask", "classes", "scale"]
