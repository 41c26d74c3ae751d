"""Training jobs without a scene: dark discs on noisy ground, in tiny's sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from seglab.models.adapters.base import first_block
from seglab.models.registry import load_model
from seglab.models.spec import SPECS, ModelOrigin
from seglab.training.job import RoundConfig, TrainingChip, TrainingJob
from seglab.training.losses import IGNORE

SPEC = SPECS["tiny"]
PIXEL = SPEC.image_size / SPEC.mask_size
"""Model pixels per mask pixel."""


def make_chip(seed: int = 0, objects: int = 2, prompts: bool = True, group: str = "") -> TrainingChip:
    """A window with discs, all of it labelled.

    Args:
        seed: of noise and places.
        objects: how many discs, each with one recorded click in its middle.
        prompts: whether the clicks are recorded.
        group: the ground's name; by default, one of its own.
    """
    rng = np.random.default_rng(seed)
    size, small = SPEC.image_size, SPEC.mask_size
    rgb = rng.normal((130, 115, 90), 12, (size, size, 3))
    masks = np.zeros((objects, small, small), dtype=bool)
    recorded: list[tuple[np.ndarray, np.ndarray, None] | None] = []
    rows, cols = np.mgrid[:small, :small] + 0.5
    for i in range(objects):
        radius = rng.uniform(8, 14)
        x, y = (i + 0.5) * small / objects, rng.uniform(30, small - 30)
        masks[i] = np.hypot(cols - x, rows - y) < radius
        point = np.array([[x, y]], dtype=np.float32) * np.float32(PIXEL)
        recorded.append((point, np.ones(1, np.int64), None) if prompts else None)
    water = masks.any(0)
    fine = np.kron(water, np.ones((2, 2), bool))
    rgb[fine] = rng.normal((25, 45, 90), 12, (int(fine.sum()), 3))
    return TrainingChip(
        key=f"chip-{seed}-{objects}",
        rgb=np.clip(rgb, 0, 255).astype(np.uint8),
        extra=None,
        masks=masks,
        prompts=tuple(recorded),
        class_target=water.astype(np.int64),
        group=group or f"ground-{seed}",
    )


@cache
def base_weights() -> str:
    """What identifies tiny's weights."""
    return load_model("tiny", device="cpu").base_hash()


def make_job(folder: Path | None = None, held_out: int = 0, **config: object) -> TrainingJob:
    """A job for tiny: four chips to train on, one class.

    Args:
        folder: of the prefix cache; None keeps it in memory.
        held_out: chips of two objects to judge by.
        config: changes to a very short recipe.
    """
    rng = np.random.default_rng(0)
    return TrainingJob(
        origin=ModelOrigin("tiny"),
        weights=base_weights(),
        adapt_from=first_block("late", SPEC.depth),
        adapter="atl_a",
        extra_bands=0,
        parent={},
        classes=("water",),
        class_prompts=rng.normal(0, 0.1, (1, SPEC.prompt_dim)).astype(np.float32),
        chips=tuple(make_chip(seed) for seed in range(4)),
        held_out=tuple(make_chip(100 + seed) for seed in range(held_out)),
        config=replace(RoundConfig(steps=2, preview_steps=1), **config),
        cache_folder=folder,
        cache_bytes=2**28,
        device="cpu",
    )


def partly_labelled(chip: TrainingChip) -> TrainingChip:
    """The same chip with the lower half unknown."""
    target = chip.class_target.copy()
    target[len(target) // 2 :] = IGNORE
    return replace(chip, class_target=target)
