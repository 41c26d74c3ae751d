"""How unsure a class map is of a window: entropy and margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TIE = 0.2
"""Two classes whose probabilities lie closer than this compete for a cell."""


def entropy_map(probabilities: np.ndarray) -> np.ndarray:
    """Shannon entropy of each cell, as a share of the most there can be (0 certain, 1 no idea).

    Settles, "Active learning literature survey", 2009, section 3.1 (Shannon 1948).

    Args:
        probabilities: (..., C, h, w), adding up to 1 over C; C is at least 2.

    Returns:
        (..., h, w).
    """
    logs = np.log(np.clip(probabilities, 1e-12, None))
    return -(probabilities * logs).sum(-3) / np.log(probabilities.shape[-3])


def mean_entropy(probabilities: np.ndarray) -> float:
    """Mean of `entropy_map` over a window.

    Args:
        probabilities: (C, h, w).
    """
    return float(entropy_map(probabilities).mean())


def margin_map(probabilities: np.ndarray) -> np.ndarray:
    """Between the two most probable classes of each cell (best versus second best).

    Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", 2001; for images Joshi,
    Porikli and Papanikolopoulos, CVPR 2009.

    Args:
        probabilities: (C, h, w); C is at least 2.

    Returns:
        (h, w), 0 for a tie.
    """
    second, first = np.partition(probabilities, -2, axis=0)[-2:]
    return first - second


@dataclass(frozen=True)
class Contest:
    """The two classes that compete most in a window."""

    first: str
    second: str
    apart: float
    """Mean difference of their probabilities where they compete."""
    share: float
    """Of the window, where they compete."""

    @property
    def words(self) -> str:
        """For a person."""
        return f"{self.first} or {self.second}: within {self.apart:.2f} on average on {self.share:.0%} of it"

    @property
    def figures(self) -> dict[str, float | str]:
        """For a machine."""
        return {"first": self.first, "second": self.second, "apart": self.apart, "share": self.share}


def contest(probabilities: np.ndarray, names: Sequence[str]) -> Contest:
    """Which two classes come closest most often: in cells whose margin is below TIE, else where it is least.

    Args:
        probabilities: (C, h, w).
        names: of the C classes.
    """
    flat = probabilities.reshape(len(probabilities), -1)
    ranked = np.argsort(flat, axis=0)[::-1]
    margin = np.take_along_axis(flat, ranked[:1], 0)[0] - np.take_along_axis(flat, ranked[1:2], 0)[0]
    unsure = margin < TIE
    unsure = unsure if unsure.any() else margin == margin.min()
    pairs = np.sort(ranked[:2], axis=0)
    code = pairs[0] * len(flat) + pairs[1]
    values, counts = np.unique(code[unsure], return_counts=True)
    winner = int(values[counts.argmax()])
    here = unsure & (code == winner)
    first, second = divmod(winner, len(flat))
    return Contest(names[first], names[second], float(margin[here].mean()), float(here.mean()))
