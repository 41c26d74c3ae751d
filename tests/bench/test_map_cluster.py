"""Maps by one and by two Dask workers of one thread: efficiency, and bytes that a task carries."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from distributed import Client, LocalCluster
from distributed.protocol import serialize_bytes

from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.inference.cluster import DaskWorkers, map_block
from seglab.inference.plan import MappedClass, MapSettings
from seglab.inference.sweep import predict_scene
from seglab.jobs import SilentReporter
from seglab.models.registry import load_model
from seglab.store.cache import ArrayCache
from tests.rasters import make_raster

SETTINGS = MapSettings(block_size=768)
COLS, ROWS = 3072, 1536
"""Eight blocks, 128 windows."""


def test_two_workers(tmp_path: Path, table: list[str]) -> None:
    model = load_model("tiny", device="cpu")
    prompt = torch.randn(model.spec.prompt_dim, generator=torch.Generator().manual_seed(1))
    classes = [MappedClass(1, "field", "#00ff00", prompt)]
    seconds, maps = {}, {}
    with Scene.open(make_raster(tmp_path / "scene.tif", COLS, ROWS)) as scene:
        encoder = WindowEncoder(scene, model, ArrayCache(0))
        for count in (1, 2):
            options = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": None}
            with LocalCluster(**options) as cluster, Client(cluster) as client:
                for name in ("warm", "timed"):  # workers load Python and the model once
                    target = tmp_path / f"{name}_{count}.tif"
                    started = time.monotonic()
                    predict_scene(SilentReporter(), encoder, classes, target, SETTINGS, workers=DaskWorkers(client))
                    seconds[count] = time.monotonic() - started
                maps[count] = target.read_bytes()
    assert maps[1] == maps[2]
    identity = "0" * 64
    task = len(serialize_bytes((map_block, str(tmp_path / "map.tif.parts"), identity, 0, 0)))
    table.append(
        f"{COLS} x {ROWS} pixels: one worker {seconds[1]:.1f} s, two {seconds[2]:.1f} s, efficiency "
        f"{seconds[1] / seconds[2] / 2:.2f} (asked 0.85); a task's call is {task} bytes (asked: at most 1,000)"
    )
    assert task <= 1000
