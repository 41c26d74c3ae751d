"""A student behind supervised training's face: KTDA's losses (arXiv 2412.06664)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.encoding.teaching import CachedTeacher
from seglab.models.baselines import SMALLEST_BATCH
from seglab.models.student.alignment import resized
from seglab.models.student.network import Student, StudentOutput
from seglab.training.losses import IGNORE
from seglab.training.supervised.pair_batches import PairBatch
from seglab.training.transfer import TransferConfig, transfer_loss

AUXILIARY_WEIGHT = 0.4
"""Of the auxiliary head's cross-entropy, as published."""


class Pupil(nn.Module):
    """A student and, where its levels are not as wide as its teacher's, the way to the teacher's width.

    That way serves in training only. As published there is none: the alignment itself has the teacher's width.

    Args:
        student: to train.
        width: channels of the teacher; None without one.
    """

    def __init__(self, student: Student, width: int | None) -> None:
        super().__init__()
        self.student = student
        self.widen: nn.ModuleList | None = None
        own = student.spec.width
        if width is not None and width != own:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(own)
                self.widen = nn.ModuleList(nn.Conv2d(own, width, 1) for _ in student.spec.channels)

    def compared(self, aligned: tuple[Tensor, ...]) -> list[Tensor]:
        """The student's levels, (B, teacher's width, rows, cols) each."""
        if self.widen is None:
            return list(aligned)
        return [widen(level) for widen, level in zip(self.widen, aligned, strict=True)]


class StudentSegmenter:
    """A student that learns from labels where there are some, and from its teacher everywhere.

    Args:
        student: on its device; all of it is trained.
        teacher: None, or a transfer of weight 0, trains it on labels alone.
        transfer: how it learns from the teacher.
    """

    smallest_batch = SMALLEST_BATCH

    def __init__(self, student: Student, teacher: CachedTeacher | None, transfer: TransferConfig) -> None:
        self._student = student
        self._teacher = teacher if transfer.weight else None
        self._transfer = transfer
        width = None if self._teacher is None else self._teacher.teacher.width
        self.module = Pupil(student, width).to(student.device)
        self.input_size = student.spec.image_size

    def describe(self) -> dict[str, Any]:
        """Student, teacher and transfer."""
        spec = self._student.spec
        return {
            "model": spec.name,
            "encoder": spec.encoder,
            "modulation": spec.modulation,
            "teacher": None if self._teacher is None else self._teacher.teacher.name,
            "parameters_trained": sum(p.numel() for p in self._student.parameters()),
        }

    def begin(self, batches: Iterable[PairBatch]) -> None:
        """Nothing to prepare."""

    def features(self, batch: PairBatch) -> StudentOutput:
        """All that the student makes of the images."""
        return self._student.outputs(self._student.preprocess(torch.from_numpy(batch.rgb)))

    def logits(self, features: StudentOutput) -> Tensor:
        """(B, C, h, w)."""
        return features.logits

    def loss(self, features: StudentOutput, logits: Tensor, batch: PairBatch, rng: np.random.Generator) -> Tensor:
        """Cross-entropy + 0.4 cross-entropy of the auxiliary head + the transfer loss."""
        target = torch.from_numpy(batch.target).to(logits.device)
        auxiliary = resized(features.auxiliary.float(), tuple(target.shape[-2:]))
        loss = cross_entropy(logits, target) + AUXILIARY_WEIGHT * cross_entropy(auxiliary, target)
        if self._teacher is None:
            return loss
        goal = self._teacher.features(batch.plain, tuple(features.aligned[0].shape[-2:]))
        own = self.module.compared(features.aligned)
        return loss + self._transfer.weight * transfer_loss(own, goal, self._transfer)

    def state(self) -> dict[str, Tensor]:
        """Weights and running statistics, of the student and of its way to the teacher's width."""
        return self.module.state_dict()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Softmax cross-entropy of the classes against a background of logit 0, over labelled pixels.

    Args:
        logits: (B, C, H, W).
        target: (B, H, W) int64: IGNORE, 0 background, 1..C.

    Returns:
        A scalar; 0 where nothing is labelled.
    """
    scores = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
    summed = F.cross_entropy(scores, target, ignore_index=IGNORE, reduction="sum")
    return summed / (target != IGNORE).sum().clamp(min=1)
