"""Maps: the same whatever the blocks, complete or not there, and begun ones go on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from shapely.geometry import box

from seglab.core.masks import rasterize
from seglab.core.raster import Scene
from seglab.core.windows import Window, sweep_windows
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import DamagedSceneError, JobCancelled, ProjectBusyError, SceneChangedError, WriteError
from seglab.inference import mapper
from seglab.inference.mapper import UNMAPPED, class_probabilities
from seglab.inference.plan import MappedClass, MapSettings
from seglab.inference.sweep import Prediction, predict_scene
from seglab.jobs import SilentReporter
from seglab.store.cache import ArrayCache
from seglab.store.parts import PartStore
from tests.inference.conftest import COLS, ROWS, SPEC, read
from tests.rasters import make_raster, pattern

SMALL = MapSettings(block_size=64, overlap=0.25)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """The windows that were encoded."""
    found: list[Window] = []
    logits = mapper.class_logits

    def watched(encoder, window, *args, **options):
        found.append(window)
        return logits(encoder, window, *args, **options)

    monkeypatch.setattr(mapper, "class_logits", watched)
    return found


class Stops(SilentReporter):
    """Cancels after so many reports."""

    def __init__(self, after: int) -> None:
        self.left = after

    def update(self, *args, **values) -> None:
        self.left -= 1
        if self.left < 0:
            raise JobCancelled("enough")


def mapped(encoder: WindowEncoder, classes: list[MappedClass], path: Path, settings: MapSettings = SMALL, **more):
    return predict_scene(SilentReporter(), encoder, classes, path, settings, **more)


def test_a_map_says_what_the_model_says(encoder: WindowEncoder, classes: list[MappedClass], tmp_path: Path) -> None:
    """Against the plain way: all windows at once, weighted by their distance to the middle."""
    made = mapped(encoder, classes, tmp_path / "map.tif", round_number=4)
    total, weight = np.zeros((3, ROWS, COLS)), np.zeros((ROWS, COLS))
    profile = np.sin(np.pi * (np.arange(64) + 0.5) / 64) ** 2 + 1e-3
    prompts = torch.stack([c.prompt for c in classes])
    for window in sweep_windows((ROWS, COLS), SPEC.image_size, 0.25):
        (rows, cols), place = window.overlap((ROWS, COLS))
        here = np.outer(profile, profile)[rows, cols]
        total[(slice(None), *place)] += class_probabilities(encoder, window, prompts)[:, rows, cols] * here
        weight[place] += here
    expected = total / weight
    valid = encoder.scene.read(Window(0, 0, COLS, ROWS))[1]
    found, percent = read(made.path), read(made.confidence_path)
    assert (found[~valid] == UNMAPPED).all() and (percent[~valid] == UNMAPPED).all() and not valid.all()
    clear = np.sort(expected, axis=0)[-1] - np.sort(expected, axis=0)[-2] > 1e-3
    np.testing.assert_array_equal(found[valid & clear], expected.argmax(0)[valid & clear])
    np.testing.assert_allclose(percent[valid], 100 * expected.max(0)[valid], atol=0.6)
    assert len(np.unique(found[valid])) > 1
    with rasterio.open(made.path) as file:
        assert file.tags()["seglab_round"] == "4" and file.profile["tiled"]
        assert (file.width, file.height, file.crs.to_epsg()) == (COLS, ROWS, 32632)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_blocks_leave_no_trace(encoder, classes, tmp_path: Path, scale: int) -> None:
    one = mapped(encoder, classes, tmp_path / "one.tif", MapSettings(scale=scale, overlap=0.25, block_size=4096))
    many = mapped(encoder, classes, tmp_path / "many.tif", MapSettings(scale=scale, overlap=0.25, block_size=32))
    np.testing.assert_array_equal(read(one.path), read(many.path))
    np.testing.assert_array_equal(read(one.confidence_path), read(many.confidence_path))


def test_no_window_is_encoded_twice_and_none_without_need(encoder, classes, tmp_path, counted) -> None:
    mapped(encoder, classes, tmp_path / "map.tif")
    assert len(counted) == len(set(counted)) == _needed(encoder)


@pytest.mark.parametrize("stop", [1, 4, 9, 15])
def test_a_cancelled_map_goes_on_where_it_was(encoder, classes, tmp_path, counted, stop: int) -> None:
    whole = mapped(encoder, classes, tmp_path / "whole.tif")
    all_windows = len(counted)
    counted.clear()
    path = tmp_path / "map.tif"
    with pytest.raises(JobCancelled):
        predict_scene(Stops(stop), encoder, classes, path, SMALL)
    assert not path.exists() and (tmp_path / "map.tif.parts").is_dir()
    kept = PartStore(tmp_path / "map.tif.parts").names("block")
    before = len(counted)
    again = mapped(encoder, classes, path)
    assert before <= len(counted) <= all_windows + 4  # at most one block's own windows twice
    assert len(kept) > 0 or stop < 9
    for one, other in ((whole.path, again.path), (whole.confidence_path, again.confidence_path)):
        assert one.read_bytes() == other.read_bytes()
    assert sorted(p.name for p in tmp_path.glob("map*.parts")) == []


def test_a_damaged_block_is_mapped_again(encoder, classes, tmp_path: Path) -> None:
    whole = mapped(encoder, classes, tmp_path / "whole.tif")
    with pytest.raises(JobCancelled):
        predict_scene(Stops(14), encoder, classes, tmp_path / "map.tif", SMALL)
    block = next((tmp_path / "map.tif.parts").glob("block*"))
    block.write_bytes(block.read_bytes()[:-20])
    assert whole.path.read_bytes() == mapped(encoder, classes, tmp_path / "map.tif").path.read_bytes()


def test_other_settings_start_anew(encoder, classes, tmp_path, counted) -> None:
    with pytest.raises(JobCancelled):
        predict_scene(Stops(14), encoder, classes, tmp_path / "map.tif", SMALL)
    counted.clear()
    mapped(encoder, classes[::-1], tmp_path / "map.tif")
    assert len(counted) == len(set(counted)) == _needed(encoder)


def test_mirrored_looks_are_averaged(classes, model, tmp_path: Path) -> None:
    """The average of four looks does not know left from right, or up from down; a single look does."""
    pixels = pattern(3, 64, 64)
    found = {}
    for name, turned in (("as it is", pixels), ("mirrored", pixels[:, :, ::-1]), ("upside down", pixels[:, ::-1])):
        for flips in (False, True):
            path = make_raster(tmp_path / f"{name} {flips}.tif", data=turned)
            with Scene.open(path) as scene:
                encoder = WindowEncoder(scene, model, ArrayCache(0))
                made = mapped(encoder, classes, tmp_path / f"{name} {flips} map.tif", MapSettings(flips=flips))
            found[name, flips] = read(made.confidence_path).astype(int)
    for name, back in (("mirrored", np.s_[:, ::-1]), ("upside down", np.s_[::-1])):
        assert np.abs(found[name, True][back] - found["as it is", True]).max() <= 1
        assert np.abs(found[name, False][back] - found["as it is", False]).max() > 1


def test_an_area_limits_the_map(encoder, classes, tmp_path: Path) -> None:
    area = box(100, 60, 170, 130)
    made = mapped(encoder, classes, tmp_path / "map.tif", MapSettings(block_size=64, area=area))
    inside = rasterize(area, (ROWS, COLS))
    np.testing.assert_array_equal(read(made.path) != UNMAPPED, inside)


def test_a_hole_in_the_file_names_its_block(classes, model, tmp_path: Path) -> None:
    path = make_raster(tmp_path / "scene.tif", 256, 256, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    with Scene.open(path) as scene:
        path.write_bytes(data)
        encoder = WindowEncoder(scene, model, ArrayCache(0))
        with pytest.raises(DamagedSceneError, match=r"block \d+,\d+ \(rows"):
            mapped(encoder, classes, tmp_path / "map.tif", SMALL)
    assert not (tmp_path / "map.tif").exists()
    assert PartStore(tmp_path / "map.tif.parts").names("block")


def test_a_scene_that_changes_meanwhile_makes_no_map(encoder, classes, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("seglab.core.handles.SETTLED_S", 0.0)
    path = Path(encoder.scene.path)

    class Touches(SilentReporter):
        def update(self, done: float, *args, **values) -> None:
            if done > 0:
                os.utime(path, ns=(1, 1))

    with pytest.raises(SceneChangedError, match="while it was being mapped"):
        predict_scene(Touches(), encoder, classes, tmp_path / "map.tif", SMALL)
    assert not (tmp_path / "map.tif").exists() and not (tmp_path / "map.tif.parts").exists()


def test_two_runs_of_one_map(encoder, classes, tmp_path: Path) -> None:
    class Second(SilentReporter):
        def update(self, done: float, *args, **values) -> None:
            if done == 0:
                with pytest.raises(ProjectBusyError, match=r"map\.tif"):
                    mapped(encoder, classes, tmp_path / "map.tif")

    predict_scene(Second(), encoder, classes, tmp_path / "map.tif", SMALL)
    assert (tmp_path / "map.tif").exists()


def test_a_full_disk_keeps_what_is_done(encoder, classes, tmp_path, monkeypatch) -> None:
    put, count = PartStore.put, iter(range(100))

    def full(self, name, **arrays):
        if name.startswith("block") and next(count) == 3:
            raise WriteError("no space left on the device; free some")
        put(self, name, **arrays)

    monkeypatch.setattr(PartStore, "put", full)
    with pytest.raises(WriteError, match="no space"):
        mapped(encoder, classes, tmp_path / "map.tif")
    monkeypatch.setattr(PartStore, "put", put)
    assert len(PartStore(tmp_path / "map.tif.parts").names("block")) == 3
    assert isinstance(mapped(encoder, classes, tmp_path / "map.tif"), Prediction)


def _needed(encoder: WindowEncoder) -> int:
    """How many windows show any data."""
    valid = encoder.scene.read(Window(0, 0, COLS, ROWS))[1]
    return sum(valid[window.slices].any() for window in sweep_windows((ROWS, COLS), 64, 0.25))
