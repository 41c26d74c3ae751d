"""How much several looks at the same window differ: two models, or one model several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Mean Jensen-Shannon divergence of two class maps of a window (0 equal, 1 as far apart as can be).

    Query by committee with divergence to the mean as its measure: McCallum and Nigam, "Employing EM and pool-based
    active learning for text classification", ICML 1998; the divergence is Lin's, 1991, in bits.

    Args:
        first, second: (C, h, w) probabilities.
    """
    mean = (first + second) / 2
    return float((_bits(mean) - (_bits(first) + _bits(second)) / 2).mean())


def mutual_information(samples: np.ndarray) -> float:
    """What the samples disagree about: entropy of their mean less their mean entropy (0 all say the same, 1 at most).

    BALD: Houlsby et al., 2011; with Monte-Carlo dropout as the samples Gal, Islam and Ghahramani, "Deep Bayesian active
    learning with image data", ICML 2017; with mirrored inputs as the samples Wang et al., "Aleatoric uncertainty
    estimation with test-time augmentation", Neurocomputing 2019.

    seglab's adapters have no dropout, as TransLandSeg's have none, so that its samples are mirrored views.

    Args:
        samples: (K, C, h, w) probabilities.
    """
    most = np.log2(min(samples.shape[:2])) if min(samples.shape[:2]) > 1 else 1.0
    return max(0.0, float((_bits(samples.mean(0)) - _bits(samples).mean(0)).mean() / most))


@dataclass(frozen=True)
class Change:
    """What two class maps say differently."""

    share: float
    """Of the window."""
    before: str
    after: str
    """The commonest change, by names of classes; equal where nothing changes."""


def change(before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> Change:
    """Where the most probable class differs, and how most often.

    Args:
        before, after: (C, h, w) probabilities.
        names: of the C classes.
    """
    then, now = before.argmax(0), after.argmax(0)
    table = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(table, (then.ravel(), now.ravel()), 1)
    np.fill_diagonal(table, 0)
    old, new = divmod(int(table.argmax()), len(names))
    return Change(float((then != now).mean()), names[old], names[new])


def _bits(probabilities: np.ndarray) -> np.ndarray:
    """(..., C, h, w) to (..., h, w): Shannon entropy in bits."""
    return -(probabilities * np.log2(np.clip(probabilities, 1e-12, None))).sum(-3)
