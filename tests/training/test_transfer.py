"""The transfer loss, against its formula written out."""

from __future__ import annotations

import math

import pytest
import torch

from seglab.errors import TrainingError
from seglab.training.transfer import TransferConfig, transfer_loss

GENERATOR = torch.Generator().manual_seed(4)
STUDENT = [torch.randn(2, 3, 4, 5, generator=GENERATOR) for _ in range(4)]
TEACHER = [torch.randn(2, 3, 4, 5, generator=GENERATOR) for _ in range(4)]


def kl(student: torch.Tensor, teacher: torch.Tensor) -> float:
    """KL(softmax(teacher) || softmax(student)) of two vectors."""
    p, q = ([math.exp(v) for v in x.tolist()] for x in (teacher, student))
    p, q = ([v / sum(x) for v in x] for x in (p, q))
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def over_width(student: torch.Tensor, teacher: torch.Tensor) -> float:
    rows = zip(student.reshape(-1, 5), teacher.reshape(-1, 5), strict=True)
    return sum(kl(a, b) for a, b in rows) / 2  # batchmean: by the number of images


def over_channels(student: torch.Tensor, teacher: torch.Tensor) -> float:
    cells = [x.permute(0, 2, 3, 1).reshape(-1, 3) for x in (student, teacher)]
    return sum(kl(a, b) for a, b in zip(*cells, strict=True)) / (2 * 4 * 5)


@pytest.mark.parametrize(("softmax", "divergence"), [("width", over_width), ("channels", over_channels)])
def test_both_forms_are_their_formula(softmax, divergence):
    alpha, t = 0.3, 2.0
    config = TransferConfig(alpha=alpha, temperature=t, softmax=softmax)
    expected = [
        alpha * t**2 * divergence(s / t, g / t) + (1 - alpha) * float((s - g).square().mean())
        for s, g in zip(STUDENT, TEACHER, strict=True)
    ]
    assert float(transfer_loss(STUDENT, TEACHER, config)) == pytest.approx(sum(expected) / 4, rel=1e-4)


def test_the_ablations_leave_out_one_part_each():
    squared = TransferConfig(alpha=0.0)
    assert float(transfer_loss(STUDENT, TEACHER, squared)) == pytest.approx(
        sum(float((s - g).square().mean()) for s, g in zip(STUDENT, TEACHER, strict=True)) / 4, rel=1e-5
    )
    last = TransferConfig(alpha=1.0, levels="last")
    assert float(transfer_loss(STUDENT, TEACHER, last)) == pytest.approx(
        over_channels(STUDENT[-1], TEACHER[-1]), rel=1e-4
    )


@pytest.mark.parametrize("softmax", ["width", "channels"])
def test_a_student_like_its_teacher_has_nothing_to_learn(softmax):
    assert float(transfer_loss(TEACHER, TEACHER, TransferConfig(softmax=softmax))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"alpha": 1.5}, {"temperature": 0.0}, {"weight": -1.0}, {"softmax": "height"}, {"levels": "first"}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_makes_no_loss_is_refused(changes):
    with pytest.raises(TrainingError):
        TransferConfig(**changes)
