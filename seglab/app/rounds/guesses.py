"""What a teacher takes ground for that nobody labelled: labels for its student, where it is sure (pseudo-labels)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from seglab.datasets.folder import IGNORE as UNKNOWN
from seglab.jobs import Reporter
from seglab.models.student.teachers import SamTeacher

SURE = 0.9
"""Probability from which the teacher's class counts as a label where nobody has labelled."""


def teacher_guesses(
    reporter: Reporter,
    teacher: SamTeacher,
    windows: Iterable[np.ndarray],
    sure: float = SURE,
    prompts: torch.Tensor | None = None,
) -> list[np.ndarray]:
    """What a teacher takes the pixels of windows for, where it is sure.

    Args:
        reporter: told which window it is at; may cancel.
        teacher: a round's.
        windows: (S, S, 3) uint8 each, S the side that its model is made for.
        sure: least probability.
        prompts: (C, prompt_dim), one per class; the round's own if None.

    Returns:
        (S, S) uint8 each: 0 background, 1..C, UNKNOWN where it is not sure.
    """
    found = []
    for done, rgb in enumerate(windows, start=1):
        reporter.check()
        best, place = teacher.chances(torch.from_numpy(rgb)[None], prompts)[0].max(0)
        found.append(torch.where(best >= sure, place, UNKNOWN).to(torch.uint8).cpu().numpy())
        reporter.update(0, message=f"the teacher looks at window {done}")
    return found
