"""Where a map is sure of something that an older, weaker source contradicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SURE = 0.8
"""A class map is sure of a cell from this probability on."""


@dataclass(frozen=True)
class Contradiction:
    """Confident errors of a window, if the reference is right."""

    share: float
    """Of the cells that the reference knows."""
    says: str
    """What the map is most often sure of there."""
    reference: str
    """What the reference says of it; equal to `says` where nothing contradicts."""


def confident_errors(probabilities: np.ndarray, reference: np.ndarray, names: Sequence[str]) -> Contradiction:
    """Cells of which the map is sure and the reference says something else: one of both is wrong.

    The off-diagonal of confident learning's joint counts, with one threshold for all classes: Northcutt, Jiang and
    Chuang, "Confident learning", JAIR 2021. Weak labels of land cover as the reference: LandSegmenter (2511.08156).

    Args:
        probabilities: (C, h, w).
        reference: (h, w) int, index of a class; -1 where nothing is known.
        names: of the C classes.
    """
    known = reference >= 0
    sure = known & (probabilities.max(0) >= SURE)
    table = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(table, (probabilities.argmax(0)[sure], reference[sure]), 1)
    np.fill_diagonal(table, 0)
    says, other = divmod(int(table.argmax()), len(names))
    share = float(table.sum() / known.sum()) if known.any() else 0.0
    return Contradiction(share, names[says], names[other])
