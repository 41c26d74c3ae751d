"""Maps by a Dask cluster: byte for byte those of one thread, whatever dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from distributed import Client, LocalCluster
from distributed.protocol import dumps

from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import CheckpointError, DamagedSceneError, WorkerError
from seglab.inference.cluster import DaskWorkers, map_block
from seglab.inference.plan import WEIGHTS, MappedClass, MapSettings, keep_scene_path, plan_of
from seglab.inference.sweep import Prediction, predict_scene
from seglab.jobs import SilentReporter
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.store.parts import PartStore
from tests.rasters import make_raster

SETTINGS = MapSettings(block_size=192)
"""Blocks of one step: 400 x 250 pixels are 3 x 2 of them."""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers of one thread."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model() -> AdaptedSam:
    """tiny with an adapter that changes what it says."""
    model = load_model("tiny", device="cpu").branch_off()
    torch.manual_seed(0)
    model.attach(new_adapter("atl_a", model.spec, model.adapt_from))
    with torch.no_grad():
        for parameter in model.adapter.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def classes(model: AdaptedSam) -> list[MappedClass]:
    prompts = torch.randn(2, model.spec.prompt_dim, generator=torch.Generator().manual_seed(1))
    return [MappedClass(1, "water", "#0000ff", prompts[0]), MappedClass(2, "field", "#00ff00", prompts[1])]


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raster(tmp_path_factory.mktemp("scene") / "scene.tif", 400, 250, tiled=True)


@pytest.fixture
def encoder(scene_path: Path, model: AdaptedSam) -> Iterator[WindowEncoder]:
    with Scene.open(scene_path) as scene:
        yield WindowEncoder(scene, model, ArrayCache(0))


def mapped(encoder: WindowEncoder, classes: list[MappedClass], path: Path, workers=None) -> Prediction:
    return predict_scene(SilentReporter(), encoder, classes, path, SETTINGS, workers=workers)


class KillsAWorker(SilentReporter):
    """Kills one of the cluster's processes as soon as a block is finished."""

    def __init__(self, client: Client) -> None:
        self.pids = list(client.run(os.getpid).values())
        self.killed = False

    def update(self, done: float, *args, **values) -> None:
        if done > 0 and not self.killed:
            os.kill(self.pids[0], signal.SIGKILL)
            self.killed = True


def test_the_bytes_are_those_of_one_thread_though_a_worker_dies(client, encoder, classes, tmp_path) -> None:
    alone = mapped(encoder, classes, tmp_path / "alone.tif")
    together = mapped(encoder, classes, tmp_path / "together.tif", DaskWorkers(client))
    killer = KillsAWorker(client)
    bereft = predict_scene(killer, encoder, classes, tmp_path / "bereft.tif", SETTINGS, workers=DaskWorkers(client))
    assert killer.killed
    for made in (together, bereft):
        assert made.path.read_bytes() == alone.path.read_bytes()
        assert made.confidence_path.read_bytes() == alone.confidence_path.read_bytes()
        assert not made.path.with_name(made.path.name + ".parts").exists()


def test_a_task_is_small(tmp_path: Path) -> None:
    folder = str(tmp_path / ("a rather long name of a folder " * 3) / "map.tif.parts")
    frames = dumps((map_block, (folder, "0" * 64, 12, 34)))
    assert sum(len(frame) for frame in frames) < 1000


def test_a_damaged_block_is_said_by_name(client, classes, model, tmp_path) -> None:
    path = make_raster(tmp_path / "scene.tif", 400, 400, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with Scene.open(path) as scene:
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 9000] = bytes(9000)
        path.write_bytes(data)
        encoder = WindowEncoder(scene, model, ArrayCache(0))
        with pytest.raises(DamagedSceneError, match=r"block \d,\d \(rows"):
            mapped(encoder, classes, tmp_path / "map.tif", DaskWorkers(client))
    assert not (tmp_path / "map.tif").exists()


def test_a_worker_refuses_what_it_was_not_asked_for(encoder, classes, tmp_path) -> None:
    plan = plan_of(encoder, classes, SETTINGS)
    with PartStore.making(tmp_path / "map.tif.parts", plan.to_json()) as store:
        store.put(WEIGHTS, **plan.weights())
        keep_scene_path(store, plan.encoder.scene)
        name, message = map_block(str(store.folder), "another", 0, 0)
        assert name == WorkerError.__name__ and "another map" in message
        assert map_block(str(store.folder), store.identity, 0, 0) is None
        assert store.holds("block_0_0")
        kept = plan.to_json()
    kept["model"]["network"] = "other weights"
    with PartStore.making(tmp_path / "map.tif.parts", kept) as store:
        store.put(WEIGHTS, **plan.weights())
        keep_scene_path(store, plan.encoder.scene)
        name, message = map_block(str(store.folder), store.identity, 0, 0)
        assert name == CheckpointError.__name__ and "same checkpoint" in message
