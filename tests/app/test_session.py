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
from seglab.app.history.label_events import accept_data
from seglab.app.session import LabelSession
from seglab.core.prompts import Point, Prompts
from seglab.core.windows import Window
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
    holding = [bool(c.full()[LAKES[0][1], LAKES[0][0]]) for c in session.candidates]
    ranks = [(holds, c.iou) for holds, c in zip(holding, session.candidates, strict=True)]
    assert ranks == sorted(ranks, reverse=True)  # those that obey the click first, then by predicted IoU
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


def test_undo_of_a_click_brings_back_the_candidate_that_was_chosen(open_lakes) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    chosen = session.choose(2)
    session.click(LAKE[0] + 5, LAKE[1], crs="pixel")
    session.undo()
    assert session.mask is chosen
    session.undo()
    assert session.mask is None and session.prompts.is_empty


def test_what_a_correction_leaves_of_the_same_class_goes(open_lakes) -> None:
    session = open_lakes()
    window = Window(0, 0, 224, 224)
    for outline in (shapely.box(20, 20, 60, 60), shapely.box(21, 20, 60, 60)):
        session._ledger.record(
            "accept", accept_data("water", outline, Prompts((Point(30, 30),)), window, 0.9, 0), "labels"
        )
    assert [o.geometry.area for o in session.objects] == [39 * 40]
    session.undo()
    session._ledger.record("accept", accept_data("field", outline, Prompts((Point(30, 30),)), window, 0.9, 0), "labels")
    assert [o.geometry.area for o in session.objects] == [40, 39 * 40]
    session.retrain(steps=2).result()  # an object too thin to see does not stop it


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
    job = session.retrain(steps=24)
    job.subscribe(lambda j: seen.append(dict(j.progress.values)))
    made = job.result()
    assert (made.number, made.parent, session.round) == (1, 0, 1)
    losses = made.card["losses"]
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
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
    found = {s.window.col for s in session.suggest(9)}
    assert found and found <= {224, 288}  # both reach beyond what was reviewed, and only one has the ground of both


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


def test_the_scene_itself_is_never_overwritten(open_lakes, lakes_path: Path) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    before = lakes_path.read_bytes()
    for write in (session.export, session.predict):
        with pytest.raises(errors.WriteError, match="the scene itself"):
            write(lakes_path)
    assert lakes_path.read_bytes() == before


def test_labels_file_that_cannot_be_replaced_loses_nothing(open_lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_lakes()
    heard: list[str] = []
    session.subscribe(lambda s, what: heard.append(what))
    session.click(*LAKE[:2], crs="pixel")

    def busy(*_: object) -> None:
        raise errors.WriteError("labels.gpkg is open in another program")

    with monkeypatch.context() as patched:
        patched.setattr(session.project, "write_labels", busy)
        patched.setattr(session.project, "change_labels", lambda *_: False)
        with pytest.raises(errors.WriteError, match="another program"):
            session.accept("water")
    assert len(session.objects) == 1 and session.mask is None
    assert heard == ["mask", "labels", "mask"]
    session.add_class("road")
    assert len(session.project.read_labels()) == 1


def test_a_damaged_round_leaves_the_labels_reachable(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    session.retrain(steps=1).result()
    (weights,) = (tmp_path / "lakes.seglab" / "rounds").glob("*/*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.warns(UserWarning, match="round 1 is not in use"):
        again = open_lakes()
    assert again.round == 0 and len(again.objects) == 1 and "round 1" in again.problem
    again.rollback(0)
    with pytest.raises(errors.SegLabError):
        again.undo()  # would need the damaged round; nothing is recorded
    assert open_lakes().round == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("project.json", '{"schema": 1, "created": "now"}', "project.json"),
        ("events.jsonl", '{"id":1,"time":"","author":"","kind":"class","data":{}}\n', "event 1"),
    ],
)
def test_a_damaged_project_is_named_and_kept(open_lakes, tmp_path: Path, name: str, content: str, says: str) -> None:
    open_lakes()
    damaged = tmp_path / "lakes.seglab" / name
    damaged.write_text(content)
    with pytest.raises(errors.ProjectDamagedError, match=says):
        open_lakes()
    assert damaged.read_text() == content


def test_bands_and_places_stay_with_the_project(open_lakes) -> None:
    assert open_lakes(bands=(3, 2, 1), adapt_from="all").scene.bands == (3, 2, 1)
    again = open_lakes()
    assert again.scene.bands == (3, 2, 1)
    assert again.project.manifest["adapt_from"] == "all"
    again.click(*LAKE[:2], crs="pixel")
    again.accept("water")
    assert again.retrain(steps=1).result().card["adapt_from"] == 0


def test_a_moved_project_keeps_its_map(open_lakes, tmp_path: Path) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    session.predict().result()
    (tmp_path / "lakes.seglab").rename(tmp_path / "moved.seglab")
    moved = open_lakes(project=tmp_path / "moved.seglab")
    assert moved.prediction.path.is_relative_to(tmp_path / "moved.seglab")


def test_a_review_without_data_trains_all_the_same(open_lakes) -> None:
    session = open_lakes()
    session.click(*LAKE[:2], crs="pixel")
    session.accept("water")
    session.review(shapely.box(0, 0, 512, 384), crs="pixel")
    assert all(np.isfinite(session.retrain(steps=3).result().card["losses"]))


def test_class_names_are_names(open_lakes) -> None:
    assert list(open_lakes(classes="water ").classes) == ["water"]
    assert list(open_lakes(classes=["water "]).classes) == ["water"]


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
        (lambda s: s.add_class("road", "blue"), errors.WriteError, "'#rrggbb'"),
        (lambda s: s.review(shapely.Polygon([(0, 0), (9, np.nan), (9, 9)]), crs="pixel"), errors.PromptError, "finite"),
        (lambda s: s.click(float("nan"), 5, crs="pixel"), errors.OutsideSceneError, "outside the scene"),
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


def test_another_array_is_another_scene(tmp_path: Path) -> None:
    import seglab

    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    seglab.open(image, project=tmp_path / "a.seglab").close()
    seglab.open(image, project=tmp_path / "a.seglab").close()
    with pytest.raises(errors.ProjectError, match="identity"):
        seglab.open(image[::-1].copy(), project=tmp_path / "a.seglab")


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


def test_a_with_block_closes_the_session(lakes_path, tmp_path):
    import seglab

    told = []
    with seglab.open(lakes_path, classes=["water"], project=tmp_path / "w.seglab", device="cpu") as session:
        session.subscribe(lambda _, what: told.append(what))
        session.click(60, 70, crs="pixel")
        session.accept("water")
    assert told[-1] == "closed"
    with seglab.open(lakes_path, project=tmp_path / "w.seglab", device="cpu") as session:
        assert len(session.objects) == 1
