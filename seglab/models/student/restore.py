"""A student from its saved tensors and card, and what a card says of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from seglab.errors import ModelNotFoundError, RoundMismatchError
from seglab.models.student.network import Student
from seglab.models.student.spec import StudentSpec

KIND = "student"
"""What a student's card says under "kind"; a round of an adapted SAM says nothing there."""


def student_identity(student: Student) -> dict[str, Any]:
    """The part of a card that says how the student is built again, JSON-serialisable."""
    return {"kind": KIND, "spec": asdict(student.spec)}


def student_tensors(student: Student) -> dict[str, np.ndarray]:
    """Its weights and running statistics by name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in student.state_dict().items()}


def restore_student(
    tensors: Mapping[str, np.ndarray], card: Mapping[str, Any], device: torch.device | None = None
) -> Student:
    """A saved student, frozen and in eval mode.

    Args:
        tensors: see `student_tensors`.
        card: with what `student_identity` gave, and "classes".
        device: where it shall be; the CPU if None.

    Raises:
        RoundMismatchError: the card is no student's, or the tensors are of another one.
    """
    if card.get("kind") != KIND:
        raise RoundMismatchError("this round is an adapted SAM and no student; use one that distillation made")
    try:
        spec = StudentSpec(**card["spec"])
        student = Student(spec, len(card["classes"]))
        student.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    except (KeyError, TypeError, RuntimeError, ModelNotFoundError) as error:
        raise RoundMismatchError(f"the student cannot be built from its file ({error}); distill it again") from error
    return student.requires_grad_(False).eval().to(device or torch.device("cpu"))
