"""Megapixels per second of a map, beside the plain way: windows that overlap by half, each given to SamPredictor.

The plain way reads, encodes and decodes window by window and adds the scores up, as notebooks do. Both look at the
scene at the same ground resolution, and their maps are compared with the reference.
Times are of the processor on one thread, so that other work on the machine does not count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

import seglab
from seglab.app.rounds.round_model import RoundModel, load_round
from seglab.bench.demo import run_demo, water_reference
from seglab.core.metrics import boundary_f, iou
from seglab.core.raster import Scene
from seglab.core.windows import Window, sweep_origins, sweep_windows
from seglab.datasets.examples import example
from seglab.encoding.encoder import WindowEncoder
from seglab.inference.ahead import encode_scene
from seglab.inference.lattice import Lattice
from seglab.inference.mapper import class_logits, probabilities
from seglab.inference.plan import MapSettings
from seglab.inference.sweep import predict_scene
from seglab.jobs import SilentReporter
from seglab.models.adapters.base import first_block
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SPECS
from seglab.models.torchvision_ops import ensure_torchvision_operators
from seglab.store.cache import ArrayCache

ensure_torchvision_operators()
from segment_anything import SamPredictor  # noqa: E402

WIDE = 10_000
"""Side of the scene for which windows are counted."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RoundModel:
    """The demo's last round: lakes of the Landsat scene."""
    folder = tmp_path_factory.mktemp("speed") / "demo.seglab"
    run_demo(folder, lambda line: None)
    return load_round(folder, device="cpu")


@pytest.fixture(scope="module")
def scene(trained: RoundModel) -> Scene:
    return trained.open(example("landsat"))


def processor_seconds(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def plainly(model: AdaptedSam, scene: Scene, prompts: torch.Tensor, size: int) -> np.ndarray:
    """(rows, cols) class by place, 0 background: half-overlapping windows, SamPredictor, the mean of scores."""
    predictor = SamPredictor(model.sam)
    rows, cols = scene.grid.shape
    total = np.zeros((len(prompts) + 1, rows, cols), dtype=np.float32)
    for window in sweep_windows((rows, cols), size, 0.5):
        total_part, place = window.overlap((rows, cols))
        total[(slice(None), *place)] += plain_window(model, predictor, scene, window, prompts)[
            (slice(None), *total_part)
        ]
    return total.argmax(0)


def plain_window(
    model: AdaptedSam, predictor: SamPredictor, scene: Scene, window: Window, prompts: torch.Tensor
) -> np.ndarray:
    """(C + 1, h, w) probabilities of one window; SamPredictor's encoder knows no adapter, so that ours is called."""
    rgb = scene.rgb(window)[0]
    with torch.inference_mode():
        image = predictor.transform.apply_image(rgb)
        tensor = torch.as_tensor(image).permute(2, 0, 1).contiguous()[None]
        features = model.encode(model.sam.preprocess(tensor.float()))
        logits = model.decode_classes(features, prompts)[0].numpy()
    return probabilities(logits, window.model_shape)


@pytest.mark.parametrize(("size", "scale"), [(224, 1), (1024, 4)])
def test_tiny_on_the_demo(
    trained: RoundModel, scene: Scene, size: int, scale: int, tmp_path: Path, table: list[str]
) -> None:
    """Windows of the model's own input size; and of 1024 pixels, which SamPredictor makes as small as the input is."""
    (only,) = trained.classes
    session = seglab.open(example("landsat"), project=tmp_path / "p", bands=trained.bands, device="cpu")
    water = water_reference(session)
    session.close()
    plain: list[np.ndarray] = []
    slow = processor_seconds(lambda: plain.append(plainly(trained.model, scene, only.prompt[None], size)))
    settings = MapSettings(scale=scale)
    encoder = WindowEncoder(scene, trained.model, ArrayCache(0), ArrayCache(2**31))

    def ours(name: str) -> float:
        path = tmp_path / f"{name}.tif"
        return processor_seconds(lambda: predict_scene(SilentReporter(), encoder, [only], path, settings))

    fast = ours("first")
    encode_scene(SilentReporter(), encoder, settings)
    again = ours("again")
    with rasterio.open(tmp_path / "first.tif") as file:
        found = file.read(1) == only.value
    half, megapixels, scores = slice(0, water.shape[0] // 2), water.size / 1e6, []
    for name, mask in (("plain", plain[0] > 0), ("ours", found)):
        scores.append(boundary_f(mask[half], water[half]))
        table.append(
            f"  {name}: IoU {iou(mask[half], water[half]):.3f}, boundary F {100 * scores[-1]:.1f} (other half)"
        )
    fewer = windows(size, Lattice((WIDE, WIDE), trained.model.spec.image_size, scale))
    table.append(
        f"tiny, windows of {size} pixels, {megapixels:.2f} Mpx: plain {megapixels / slow:.3f} Mpx/s, ours "
        f"{megapixels / fast:.3f} Mpx/s ({slow / fast:.2f}x; asked 10x), from cached prefixes {fast / again:.2f}x that "
        f"(asked 4x); a scene of {WIDE} x {WIDE} pixels takes {fewer:.2f}x fewer windows"
    )


@pytest.mark.parametrize("place", ["all", "late", "last", "neck"])
def test_a_pass_after_a_round_by_place(place: str, scene: Scene, table: list[str]) -> None:
    """tiny, one window with its class scores: from pixels, and from its cached prefix."""
    encoder = WindowEncoder(scene, model_with(load_model("tiny", device="cpu", adapt_from=place)), ArrayCache(0))
    first, again = one_window(encoder)
    table.append(
        f"tiny, adapters at {place!r}: a window {1000 * first:.0f} ms, after a round {1000 * again:.0f} ms "
        f"({first / again:.1f}x)"
    )


def test_vit_b(scene: Scene, table: list[str]) -> None:
    """Random weights: speed only. The windows are SAM's own, so that a scene takes as many times as it has windows."""
    torch.manual_seed(0)
    spec = SPECS["vit_b"]
    model = model_with(AdaptedSam(spec, first_block("late", spec.depth)).eval().requires_grad_(False))
    first, again = one_window(WindowEncoder(scene, model, ArrayCache(0)))
    predictor = SamPredictor(model.sam)
    window = Window(0, 0, spec.image_size, spec.image_size)
    plain = processor_seconds(lambda: plain_window(model, predictor, scene, window, torch.zeros(1, spec.prompt_dim)))
    fewer = windows(spec.image_size, Lattice((WIDE, WIDE), spec.image_size))
    table.append(
        f"vit_b: a window {first:.1f} s (plain {plain:.1f} s), after a round {again:.1f} s ({first / again:.1f}x); "
        f"times {fewer:.2f}x fewer windows: {fewer * plain / first:.1f}x Mpx/s (asked 7x)"
    )


def model_with(model: AdaptedSam) -> AdaptedSam:
    kind = "neck" if model.adapt_from == model.spec.depth else "atl_a"
    model.attach(new_adapter(kind, model.spec, model.adapt_from))
    return model.eval().requires_grad_(False)


def one_window(encoder: WindowEncoder, repeats: int = 3) -> tuple[float, float]:
    """Seconds from pixels to class scores, and from a cached prefix."""
    model = encoder.model
    size, prompts = model.spec.image_size, torch.zeros(1, model.spec.prompt_dim)
    window, kept = Window(0, 0, size, size), ArrayCache(2**31)
    cached = WindowEncoder(encoder.scene, model, ArrayCache(0), kept)
    cached.store_prefix(window)

    def score(one: WindowEncoder) -> np.ndarray:
        return probabilities(class_logits(one, window, prompts, keep=False), window.model_shape)

    found = []
    for one in (encoder, cached):
        found.append(min(processor_seconds(partial(score, one)) for _ in range(repeats + 1)))
    return found[0], found[1]


def windows(size: int, ours: Lattice) -> float:
    """How many times fewer windows a scene of WIDE x WIDE pixels takes than half-overlapping ones of `size` pixels."""
    count = math.prod(len(sweep_origins(extent, ours.size, ours.step)) for extent in ours.cells)
    return len(list(sweep_windows((WIDE, WIDE), size, 0.5))) / count
