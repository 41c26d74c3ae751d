"""The optimiser's loop: draws chips, takes steps, and halves what it takes at once when the memory is too small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.device import compute
from seglab.training.job import RoundConfig, TrainingChip

LossOf = Callable[[Sequence[TrainingChip], np.random.Generator], tuple[Tensor, list[float]]]
"""The sum of some chips' losses, and the IoU of each prompted mask."""

CLIP = 1.0
"""Largest norm of a step's gradient."""
LAST_RATE = 0.05
"""Where the cosine of the learning rate ends, of its top."""
RECENT = 10
"""Steps that the live figures are means of."""


@dataclass(frozen=True)
class Course:
    """How training went."""

    losses: tuple[float, ...]
    """Mean loss over the chips of each step."""
    ious: tuple[float, ...]
    """Mean IoU over the prompted masks of each step that had any."""
    notes: tuple[str, ...]
    """What a person should know."""


class Optimiser:
    """Takes the steps of one training.

    Args:
        reporter: told step, loss and IoU; may cancel between steps.
        parameters: what is trained; they require gradients.
        loss_of: see LossOf.
        config: the recipe.
        device: where the parameters are.
    """

    def __init__(
        self,
        reporter: Reporter,
        parameters: Sequence[nn.Parameter],
        loss_of: LossOf,
        config: RoundConfig,
        device: torch.device,
    ) -> None:
        self._reporter = reporter
        self._parameters = list(parameters)
        self._loss_of = loss_of
        self._config = config
        self._device = device
        self._at_once = config.batch
        self._notes: list[str] = []

    def run(self, chips: Sequence[TrainingChip], steps: int, message: str, counted: bool = True) -> Course:
        """Take `steps` steps.

        Args:
            chips: at least one.
            steps: how many.
            message: what the reporter says meanwhile.
            counted: whether the steps are the job's progress.

        Raises:
            TrainingError: not even one chip at a time fits the device.
        """
        config = self._config
        rng = np.random.default_rng(config.seed)
        optimiser = torch.optim.AdamW(self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, config.warmup))
        losses: list[float] = []
        ious: list[float] = []
        for step, drawn in enumerate(_batches(chips, steps, config.batch, rng)):
            loss, found = self._gradients(optimiser, drawn, rng)
            nn.utils.clip_grad_norm_(self._parameters, CLIP)
            optimiser.step()
            schedule.step()
            losses.append(loss)
            if found:
                ious.append(float(np.mean(found)))
            live = {"loss": float(np.mean(losses[-RECENT:]))}
            if ious:
                live["iou"] = float(np.mean(ious[-RECENT:]))
            self._reporter.update(step + 1 if counted else 0, config.steps, message=message, **live)
        return Course(tuple(losses), tuple(ious), tuple(self._notes))

    def _gradients(
        self, optimiser: torch.optim.Optimizer, drawn: Sequence[TrainingChip], rng: np.random.Generator
    ) -> tuple[float, list[float]]:
        """The step's gradients, taken in parts that fit the memory; its mean loss and IoUs."""
        state = rng.bit_generator.state
        while True:
            optimiser.zero_grad(set_to_none=True)
            rng.bit_generator.state = state
            try:
                return self._in_parts(drawn, rng)
            except torch.cuda.OutOfMemoryError as error:
                if self._at_once == 1:
                    raise TrainingError(
                        f"{self._device} has too little memory for one window at a time ({error}); close what else "
                        "uses it, train with device='cpu', or use a smaller model"
                    ) from error
            self._at_once = (self._at_once + 1) // 2
            self._notes.append(f"out of memory on {self._device}: batch halved to {self._at_once}")
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _in_parts(self, drawn: Sequence[TrainingChip], rng: np.random.Generator) -> tuple[float, list[float]]:
        total, ious = 0.0, []
        for first in range(0, len(drawn), self._at_once):
            part = drawn[first : first + self._at_once]
            with compute(self._device):
                loss, found = self._loss_of(part, rng)
            loss = loss / len(drawn)
            loss.backward()
            total += float(loss.detach())
            ious += found
        return total, ious


def _rate(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine to LAST_RATE."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + float(np.cos(np.pi * min(1.0, share))))


def _batches(
    chips: Sequence[TrainingChip], steps: int, size: int, rng: np.random.Generator
) -> Iterator[list[TrainingChip]]:
    """`steps` lists of `size` chips, every chip once before any comes again."""
    order: list[int] = []
    for _ in range(steps):
        while len(order) < size:
            order = [*(int(i) for i in rng.permutation(len(chips))), *order]
        yield [chips[order.pop()] for _ in range(size)]
