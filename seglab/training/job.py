"""What goes into a round of training and what comes out: plain arrays that can cross to another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seglab.training.losses import PixelLoss

if TYPE_CHECKING:
    from seglab.models.spec import ModelOrigin
    from seglab.training.validation import Validation

RecordedPrompts = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""(N, 2) float32 points (x, y), (N,) int64 labels and (4,) float32 box, in model pixels: see Prompts.in_model."""


@dataclass(frozen=True)
class RoundConfig:
    """How a round is trained. Every field is a number, a bool or a str."""

    steps: int = 80
    """Optimiser steps. 120 brought no more IoU by clicks, one point more of class mIoU, and took half as long again."""
    batch: int = 1
    """Chips per step."""
    learning_rate: float = 1.5e-4
    """AdamW's, reached after the warm-up. With 4e-4, right for an earlier and weaker tiny, rounds of the present one
    brought less (README: what rounds bring)."""
    warmup: int = 5
    """Steps of linear warm-up."""
    weight_decay: float = 1e-4
    """AdamW's."""
    objects_per_step: int = 6
    """Prompted objects per chip, at most."""
    recorded_share: float = 0.5
    """How often the person's own prompts are replayed instead of simulated ones."""
    class_weight: float = 1.0
    """Weight of the class map's loss against the prompted loss."""
    bce: PixelLoss = "bce"
    """Pixel loss of prompted masks: "bce", or "focal" (Lin et al., 2017), as SAM was trained."""
    augment: bool = True
    """Whether windows are also seen turned, zoomed and recoloured."""
    preview_steps: int = 20
    """Steps of the preview, which trains behind the encoder's neck only, never more than `steps`; 0 for none."""
    seed: int = 0


@dataclass(frozen=True)
class TrainingChip:
    """One window in one view, with what is known of it. S model pixels a side, m mask pixels, E extra bands."""

    key: str
    """The prefix cache's key of the window in this view."""
    rgb: np.ndarray
    """(S, S, 3) uint8."""
    extra: np.ndarray | None
    """(E, S, S) float32, or None without extra bands."""
    masks: np.ndarray
    """(N, m, m) bool: the objects to prompt for, none of them empty."""
    prompts: tuple[RecordedPrompts | None, ...]
    """Per object, the recorded prompts; None where they do not fit it."""
    class_target: np.ndarray
    """(m, m) int64: IGNORE, 0 background, 1..C."""
    group: str
    """The ground it shows: chips of one group are not independent."""


@dataclass(frozen=True)
class TrainingJob:
    """A round to train."""

    origin: ModelOrigin
    """How to load the base model."""
    weights: str
    """Its base_hash, for the file may have been changed meanwhile."""
    adapt_from: int
    """k, where the frozen prefix ends."""
    adapter: str
    """Name of the adapter's family."""
    extra_bands: int
    """How many bands enter by the side branch."""
    parent: dict[str, np.ndarray]
    """Tensors of the round to start from, by parameter name; {} for the base model."""
    classes: tuple[str, ...]
    class_prompts: np.ndarray
    """(C, prompt_dim) float32: what each class's prompt starts from."""
    chips: tuple[TrainingChip, ...]
    """To train on."""
    held_out: tuple[TrainingChip, ...]
    """To judge by, in plain views; () where there is nothing."""
    config: RoundConfig
    cache_folder: Path | None
    """Folder of the prefix cache; None to keep prefixes in memory."""
    cache_bytes: int
    """Budget of the prefix cache."""
    device: str | None
    """See choose_device."""


@dataclass(frozen=True)
class RoundOutcome:
    """A trained round."""

    tensors: dict[str, np.ndarray]
    """Trained values by parameter name."""
    losses: tuple[float, ...]
    """Loss of every step."""
    fit_iou: float | None
    """Mean IoU of the prompted masks over the last fifth of the steps, on the training objects themselves; None
    where no object was prompted for."""
    validation: Validation | None
    """How the round and its parent do on held-out ground; None where too little is labelled there."""
    seconds: float
    config: dict[str, float | int | bool | str]
    """The recipe, as it was run."""
    peak_mb: float
    """The training process's peak memory, MiB; without one, this process's."""
    notes: tuple[str, ...]
    """What a person should know: "GPU out of memory: batch halved to 4"."""
