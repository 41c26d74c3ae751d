"""One round of training: adapter, mask decoder and class prompts on what was accepted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.adapters.registry import new_adapter
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.training.embed import embed_to_train
from seglab.training.job import TrainingChip, TrainingJob
from seglab.training.losses import PixelLoss
from seglab.training.optimise import Optimiser
from seglab.training.preview import train_preview
from seglab.training.step import batch_loss


@dataclass(frozen=True)
class Trained:
    """What a round's training gave."""

    tensors: dict[str, np.ndarray]
    """Trained values by parameter name."""
    losses: tuple[float, ...]
    """Loss of every step, mean over its chips."""
    fit_iou: float | None
    """Mean IoU of the prompted masks over the last fifth of the steps; None where no object was prompted for."""
    seconds: float
    notes: tuple[str, ...]
    """What a person should know."""


def train(
    reporter: Reporter,
    model: AdaptedSam,
    job: TrainingJob,
    prefixes: ArrayCache,
    on_preview: Callable[[dict[str, np.ndarray]], None] | None = None,
) -> Trained:
    """Train a model's adapter, decoder and class prompts in place.

    Args:
        reporter: told step, loss and IoU; may cancel between steps.
        model: the job's parent: a model of its own (see AdaptedSam.branch_off), on its device. It is given the job's
            class prompts, and a new adapter where it has none.
        job: chips and recipe; at least one chip.
        prefixes: the cache of the chips' frozen prefixes.
        on_preview: told the preview's tensors as soon as they are there.

    Raises:
        TrainingError: there is nothing to train on, the recipe is none, or the device has too little memory.
    """
    _check(job)
    started = time.monotonic()
    model.class_prompts = nn.Parameter(torch.from_numpy(np.array(job.class_prompts)).float().to(model.device))
    if job.config.preview_steps and model.adapt_from < model.spec.depth:
        preview = train_preview(reporter, model, job.chips, prefixes, job.config)
        if on_preview is not None:
            on_preview(preview)
    if model.adapter is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.config.seed)
            model.attach(new_adapter(job.adapter, model.spec, job.adapt_from))
    model.freeze_base()

    def loss_of(drawn: Sequence[TrainingChip], rng: np.random.Generator) -> tuple[Tensor, list[float]]:
        return batch_loss(model, embed_to_train(model, prefixes, drawn), drawn, job.config, rng)

    parameters = model.trained_parameters()
    optimiser = Optimiser(reporter, list(parameters.values()), loss_of, job.config, model.device)
    course = optimiser.run(job.chips, job.config.steps, "training")
    model.requires_grad_(False)
    last = course.ious[-max(1, len(course.ious) // 5) :]
    return Trained(
        {name: p.detach().cpu().numpy() for name, p in parameters.items()},
        course.losses,
        float(np.mean(last)) if last else None,
        time.monotonic() - started,
        course.notes,
    )


def _check(job: TrainingJob) -> None:
    config = job.config
    if config.steps < 1 or config.batch < 1 or not job.chips:
        raise TrainingError(
            f"{config.steps} steps of {config.batch} from {len(job.chips)} windows is no training; ask for at least "
            "one step of one window, and label something where the scene has data"
        )
    if config.bce not in get_args(PixelLoss):
        raise TrainingError(f"no pixel loss is called {config.bce!r}; use one of {', '.join(get_args(PixelLoss))}")
