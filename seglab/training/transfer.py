"""KTDA's transfer loss: a student's levels become like those of its teacher (arXiv 2412.06664)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.errors import TrainingError

Softmax = Literal["width", "channels"]
"""Over what the features become a distribution: the image's width, as in the authors' code, or the channels."""
Levels = Literal["all", "last"]


@dataclass(frozen=True)
class TransferConfig:
    """How a student learns from its teacher's features. `alpha` 1 is KL alone, 0 is the squared error alone.

    Raises:
        TrainingError: a value makes no loss.
    """

    weight: float = 1.0
    """Of the transfer loss beside that of the labels; 0 for none."""
    alpha: float = 0.5
    """Share of the KL divergence; the rest is the squared error's."""
    temperature: float = 1.0
    """T: features are divided by it before the softmax."""
    softmax: Softmax = "channels"
    """"width" is the authors' form: softmax over the last axis of (B, C, h, w), KL summed and divided by B (PyTorch's
    "batchmean"). "channels" is the usual one: a distribution over channels at every cell, KL averaged over cells."""
    levels: Levels = "all"
    """Whether all levels are compared, or the last alone."""

    def __post_init__(self) -> None:
        """Refuse what makes no loss."""
        if self.softmax not in get_args(Softmax) or self.levels not in get_args(Levels):
            raise TrainingError(
                f"no transfer is called {self.softmax!r} with levels {self.levels!r}; use {get_args(Softmax)} and "
                f"{get_args(Levels)}"
            )
        if self.weight < 0 or not 0 <= self.alpha <= 1 or self.temperature <= 0:
            raise TrainingError(
                f"a transfer of weight {self.weight}, alpha {self.alpha} and temperature {self.temperature} is none; "
                "use a weight of 0 or more, an alpha between 0 and 1, and a temperature above 0"
            )


def transfer_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], config: TransferConfig) -> Tensor:
    """alpha T^2 KL(teacher || student) + (1 - alpha) MSE, averaged over the levels.

    Args:
        student: per level, (B, C, h, w).
        teacher: the same shapes, without gradient.
        config: which form.

    Returns:
        A scalar, without the config's weight.
    """
    pairs = list(zip(student, teacher, strict=True))
    if config.levels == "last":
        pairs = pairs[-1:]
    return sum(_level(own.float(), goal.float(), config) for own, goal in pairs) / len(pairs)


def _level(student: Tensor, teacher: Tensor, config: TransferConfig) -> Tensor:
    loss = student.new_zeros(())
    if config.alpha > 0:
        loss = loss + config.alpha * config.temperature**2 * _divergence(student, teacher, config)
    if config.alpha < 1:
        loss = loss + (1 - config.alpha) * F.mse_loss(student, teacher)
    return loss


def _divergence(student: Tensor, teacher: Tensor, config: TransferConfig) -> Tensor:
    axis = -1 if config.softmax == "width" else 1
    student, teacher = (x / config.temperature for x in (student, teacher))
    summed = F.kl_div(student.log_softmax(axis), teacher.log_softmax(axis), reduction="sum", log_target=True)
    batch, _, rows, cols = student.shape
    return summed / (batch if config.softmax == "width" else batch * rows * cols)
