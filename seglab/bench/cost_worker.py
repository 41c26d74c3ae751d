"""One measurement of `seglab bench cost`, in a process of its own: its memory is nobody else's.

The networks have random weights, on which neither time nor memory depends.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seglab.app.prompting.proposals import Draft
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.overlay import overlay_png
from seglab.core.prompts import Point, Prompts
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.encoders import Encoders
from seglab.models.adapters.registry import new_adapter
from seglab.models.prefix import Prefix
from seglab.models.sam import AdaptedSam
from seglab.models.spec import POSITIVE, SPECS, SamSpec
from seglab.models.torchvision_ops import ensure_torchvision_operators
from seglab.store.cache import ArrayCache
from seglab.training.embed import suffix_to_train
from seglab.training.losses import prompted_loss
from seglab.training.memory import MIB, peak_mb

ensure_torchvision_operators()

from segment_anything import SamPredictor  # noqa: E402

STEPS = {"full": "none", "late": "atl_a", "last": "atl_a", "neck": "neck"}
"""The adapter of each kind of retraining step; "full" is the naive one, of segment-anything alone."""

CACHE_BYTES = 2**30


def spec_for(name: str, chip: int) -> SamSpec:
    """The shape of a model whose input is `chip` pixels wide."""
    return replace(SPECS[name], image_size=chip)


def training_step(name: str, kind: str, chip: int) -> Callable[[], None]:
    """One retraining step on one image with one click: encoder, decoder, loss, backward pass, optimiser.

    Args:
        name: of the model.
        kind: a key of STEPS. "full" trains every parameter through segment-anything's own forward pass; the others
            train seglab's adapter there, the decoder and `no_mask_embed`, from a cached prefix in fp16.
        chip: side of the input, pixels.
    """
    torch.manual_seed(0)
    spec = spec_for(name, chip)
    model = AdaptedSam(spec).eval()
    if kind != "full":
        model.attach(new_adapter(STEPS[kind], spec, kind))
        model.freeze_base()
    encode = _own_encoder(model, spec) if kind == "full" else _cached_encoder(model, spec)
    trained = [p for p in model.sam.parameters() if p.requires_grad] if kind == "full" else _trained(model)
    optimiser = torch.optim.AdamW(trained, lr=1e-6)
    target = torch.zeros(1, spec.mask_size, spec.mask_size, dtype=torch.bool)
    target[:, spec.grid : 3 * spec.grid, spec.grid : 3 * spec.grid] = True
    decode = _own_decoder if kind == "full" else _decoder

    def step() -> None:
        logits, quality = decode(model, encode())
        optimiser.zero_grad(set_to_none=True)
        prompted_loss(logits, quality, target)[0].backward()
        optimiser.step()

    return step


def _trained(model: AdaptedSam) -> list[torch.nn.Parameter]:
    return [p for p in model.trained_parameters().values() if p.numel()]


def _own_encoder(model: AdaptedSam, spec: SamSpec) -> Callable[[], Tensor]:
    image = torch.randn(1, 3, spec.image_size, spec.image_size)
    return lambda: model.sam.image_encoder(image)


def _cached_encoder(model: AdaptedSam, spec: SamSpec) -> Callable[[], Tensor]:
    grid = (1, spec.grid, spec.grid, spec.width)
    image = torch.randn(1, 3, spec.image_size, spec.image_size)
    stored = Prefix(torch.randn(grid), torch.randn(grid), image).stored()
    return lambda: suffix_to_train(model, stored)


def _decoder(model: AdaptedSam, embedding: Tensor) -> tuple[Tensor, Tensor]:
    middle = model.spec.image_size / 2
    return model.decode(embedding, torch.tensor([[[middle, middle]]]), torch.tensor([[POSITIVE]]))


def _own_decoder(model: AdaptedSam, embedding: Tensor) -> tuple[Tensor, Tensor]:
    """segment-anything's own prompt encoder and mask decoder."""
    middle = model.spec.image_size / 2
    points = torch.tensor([[[middle, middle]]]), torch.tensor([[POSITIVE]])
    sparse, dense = model.sam.prompt_encoder(points, None, None)
    position = model.sam.prompt_encoder.get_dense_pe()
    return model.sam.mask_decoder(embedding, position, sparse, dense, multimask_output=True)


def measure_step(name: str, kind: str, chip: int, steps: int) -> dict[str, float]:
    """Seconds of a step, and the memory that steps take above what the process held before the first.

    Returns:
        seconds (median of `steps`, after one that is not counted), peak_mb (MiB above the baseline).
    """
    step = training_step(name, kind, chip)
    baseline = _resident_mb()
    step()
    seconds = statistics.median(_timed(step) for _ in range(steps))
    return {"seconds": seconds, "peak_mb": peak_mb() - baseline}


def _resident_mb() -> float:
    """Resident memory now where the system says it (Linux), else the largest so far; MiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mb()
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / MIB


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure_clicks(name: str, chip: int, repeats: int) -> dict[str, float]:
    """Interactive times in seconds, each the median of interleaved repeats.

    The scene is one chip of noise. The bytes are drawn of the same disc in both, since what random weights draw is
    no mask anyone would see; the masks are computed in full all the same.

    Returns:
        click: seglab, from the click to the overlay's bytes, window encoded before.
        predictor: SamPredictor.predict at the size that segment-anything works at, then a PNG of RGBA.
        equal: the same with its input as small as the chip is, which nobody has it: as many tokens as seglab's.
        again: a window seen before is clickable after a round: the suffix from the cached prefix.
        anew: segment-anything's encoder on the same chip; predictor_anew: SamPredictor.set_image, once.
    """
    torch.manual_seed(0)
    model = AdaptedSam(spec_for(name, chip)).eval().requires_grad_(False)
    model.attach(new_adapter("atl_a", model.spec, "late"))
    model.requires_grad_(False)
    rgb = np.random.default_rng(0).integers(0, 256, (chip, chip, 3), dtype=np.uint8)
    disc = np.hypot(*(np.mgrid[:chip, :chip] - chip / 2)) < chip / 4
    with Scene.open(rgb) as scene:
        calls = _seglab_calls(model, scene, disc)
        # Its official size, with weights of its own: a model of another input size has another table of positions.
        official, calls["predictor"] = _predictor(AdaptedSam(SPECS[name]), rgb, disc)
        _, calls["equal"] = _predictor(model, rgb, disc)
        calls["anew"] = _anew(model, rgb)
        taken: dict[str, list[float]] = {what: [] for what in calls}
        for call in calls.values():
            call()
        for _ in range(repeats):
            for what, call in calls.items():
                taken[what].append(_timed(call))
        taken["predictor_anew"] = [_timed(lambda: official.set_image(rgb))]
    return {what: statistics.median(times) for what, times in taken.items()}


def _seglab_calls(model: AdaptedSam, scene: Scene, disc: np.ndarray) -> dict[str, Callable[[], object]]:
    chip = model.spec.image_size
    encoder = WindowEncoder(scene, model, ArrayCache(CACHE_BYTES))
    current, draft = CurrentModel(0, Encoders.single(encoder), {}), Draft()
    window, corner = Window(0, 0, chip, chip), chip / 4
    places = np.random.default_rng(1).uniform(corner, 3 * corner, (1000, 2)).tolist()

    def click() -> object:
        draft.clear()
        proposal = draft.prompt(current, Prompts((Point(*places.pop()),)), 1)
        assert proposal.array.shape == disc.shape
        return overlay_png(disc, proposal.window, scene.grid, "#ff8800", plain=True)

    def again() -> object:
        with torch.inference_mode():
            prefix = encoder.prefix(window)
            return model.encode_suffix(prefix.to(model.device, torch.float32)).half()

    return {"click": click, "again": again}


def _predictor(model: AdaptedSam, rgb: np.ndarray, disc: np.ndarray) -> tuple[SamPredictor, Callable[[], object]]:
    """segment-anything's predictor, which has seen the image, and a click on it."""
    predictor = SamPredictor(model.eval().requires_grad_(False).sam)
    places = np.random.default_rng(1).uniform(len(rgb) / 4, 3 * len(rgb) / 4, (1000, 2)).tolist()

    def click() -> object:
        masks, quality, _ = predictor.predict(np.array([places.pop()]), np.array([1]), multimask_output=True)
        assert masks[quality.argmax()].shape == disc.shape
        image = np.zeros((*disc.shape, 4), dtype=np.uint8)
        image[disc] = (255, 136, 0, 115)
        stream = BytesIO()
        Image.fromarray(image).save(stream, format="PNG")
        return stream.getvalue()

    predictor.set_image(rgb)
    return predictor, click


def _anew(model: AdaptedSam, rgb: np.ndarray) -> Callable[[], object]:
    def encode() -> object:
        with torch.inference_mode():
            return model.sam.image_encoder(model.preprocess(torch.from_numpy(rgb)[None]))

    return encode


def main() -> None:
    """Measure what the command line's JSON says, and write the result to standard output as JSON."""
    asked = json.loads(sys.argv[1])
    measure = {"step": measure_step, "clicks": measure_clicks}[asked.pop("measure")]
    sys.stdout.write(json.dumps(measure(**asked)) + "\n")


if __name__ == "__main__":
    main()
