"""How rare what a window shows is in the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def class_shares(probabilities: np.ndarray) -> np.ndarray:
    """The share of a window in which each class is the most probable one.

    Args:
        probabilities: (C, h, w).

    Returns:
        (C,), adding up to 1.
    """
    return np.bincount(probabilities.argmax(0).ravel(), minlength=len(probabilities)) / probabilities[0].size


def rarity(shares: np.ndarray, overall: np.ndarray) -> float:
    """Mean self-information of a window's classes, bits per cell: -log2 of how frequent its classes are overall.

    Labels of rare classes are worth more, as in Aggarwal, Popescu and Hudelot, "Active learning for imbalanced
    datasets", WACV 2020; the measure is Shannon's.

    Args:
        shares: (C,) of the window: see `class_shares`.
        overall: (C,) of all windows; above 0 wherever `shares` is.
    """
    there = shares > 0
    return float(-(shares[there] * np.log2(overall[there])).sum())


def rarest(shares: np.ndarray, overall: np.ndarray, names: Sequence[str]) -> int:
    """Index of the class that a window's rarity is mostly made of.

    Args:
        shares, overall: see `rarity`.
        names: of the C classes.
    """
    part = np.where(shares > 0, -shares * np.log2(np.where(overall > 0, overall, 1)), -1)
    return int(part[: len(names)].argmax())
