"""How good SAM expects its own masks to be, where the class map is surest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Peak:
    """Where a class is surest in a window."""

    index: int
    """Of the class, 0 for the first after the background."""
    x: float
    """Column as a share of the window's width; of the cell's middle."""
    y: float
    """Row as a share of the window's height."""
    probability: float


def peaks(probabilities: np.ndarray) -> list[Peak]:
    """The surest cell of every class that is the most probable one somewhere: where a person would click it.

    Args:
        probabilities: (C + 1, h, w), background first.
    """
    best = probabilities.argmax(0)
    rows, cols = best.shape
    found = []
    for index in range(len(probabilities) - 1):
        if not (best == index + 1).any():
            continue
        row, col = divmod(int(np.where(best == index + 1, probabilities[index + 1], -1).argmax()), cols)
        probability = float(probabilities[index + 1, row, col])
        found.append(Peak(index, (col + 0.5) / cols, (row + 0.5) / rows, probability))
    return found


def expected_error(ious: np.ndarray) -> float:
    """1 less the mean IoU that the IoU head predicts for the masks at a window's peaks; 0 where there is no peak.

    The head is SAM's (Kirillov et al., "Segment anything", ICCV 2023, section 3), an idea of Mask Scoring R-CNN (Huang
    et al., CVPR 2019); as a measure of what to label it is least confidence (Lewis and Gale 1994).

    Args:
        ious: (C,), NaN for classes without a peak.
    """
    known = ious[~np.isnan(ious)]
    return 0.0 if known.size == 0 else float(np.clip(1 - known.mean(), 0, 1))
