"""Where to label next: a simple, honest ranking of windows.

With a class map, a window's score is the mean entropy of its class probabilities. Without one, windows are spread over
the scene by how different they look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from shapely.geometry.base import BaseGeometry

from seglab.core.windows import Window


@dataclass(frozen=True)
class Suggestion:
    """A window worth labelling."""

    window: Window
    geometry: BaseGeometry
    """The window's outline inside the scene, scene pixels."""
    score: float
    """Higher is more worth labelling; only comparable within one call."""
    reason: str
    """Why, for a person."""


def mean_entropy(probabilities: np.ndarray) -> float:
    """Mean Shannon entropy of the pixels, as a share of the most there can be (0 certain, 1 no idea).

    Args:
        probabilities: (C, H, W), summing to 1 over C.
    """
    entropy = -(probabilities * np.log(np.clip(probabilities, 1e-12, None))).sum(0)
    return float(entropy.mean() / np.log(len(probabilities)))


def by_uncertainty(
    windows: Sequence[Window], probabilities: Sequence[np.ndarray], names: Sequence[str], count: int
) -> list[Suggestion]:
    """The windows whose class map is least certain, with the two classes that compete most.

    Args:
        windows: candidates.
        probabilities: per window, (C, H, W).
        names: of the C classes, background first.
        count: how many to return.
    """
    found = []
    for window, p in zip(windows, probabilities, strict=True):
        score = mean_entropy(p)
        ranked = np.argsort(p, axis=0)[::-1]
        margin = np.take_along_axis(p, ranked[:1], 0)[0] - np.take_along_axis(p, ranked[1:2], 0)[0]
        unsure = margin < 0.2
        pairs = np.sort(ranked[:2, unsure] if unsure.any() else ranked[:2, margin == margin.min()], axis=0)
        values, counts = np.unique(pairs, axis=1, return_counts=True)
        first, second = (names[i] for i in values[:, counts.argmax()])
        reason = f"uncertainty {score:.0%}: {first} or {second}; {unsure.mean():.0%} of it is nearly a tie"
        found.append(Suggestion(window, window.polygon, score, reason))
    return sorted(found, key=lambda s: -s.score)[:count]


def by_difference(windows: Sequence[Window], looks: np.ndarray, count: int) -> list[Suggestion]:
    """Windows that look different from each other (greedy k-centre: Gonzalez 1985).

    Args:
        windows: candidates.
        looks: (N, D) one embedding per window.
        count: how many to return.
    """
    unit = looks / np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-9)
    typical = int((unit @ unit.mean(0)).argmax())
    chosen, distance = [typical], 1 - unit @ unit[typical]
    while len(chosen) < min(count, len(windows)):
        distance[chosen] = -np.inf
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, 1 - unit @ unit[chosen[-1]])
    reasons = ["the most typical look of this scene"] + ["looks unlike the windows before it"] * len(chosen)
    return [
        Suggestion(windows[i], windows[i].polygon, 1.0 - rank / len(chosen), reasons[rank])
        for rank, i in enumerate(chosen[:count])
    ]
