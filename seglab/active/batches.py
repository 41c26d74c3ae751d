"""Several windows at once: not twice the same ground, different from each other, and near where the person is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seglab.core.windows import Window

SAME_GROUND = 0.1
"""Windows that have more than this share of the smaller one in common are of the same ground."""
LABEL_SECONDS = 20.0
"""Assumed for labelling a window, not measured; only its ratio to PAN_SECONDS counts."""
PAN_SECONDS = 0.5
"""Assumed for panning the map by one window's width."""


def conflicts(windows: Sequence[Window]) -> np.ndarray:
    """Which windows are of the same ground.

    Returns:
        (N, N) bool; every window conflicts with itself.
    """
    left, top, width, height = np.array([(w.col, w.row, w.width, w.height) for w in windows]).reshape(-1, 4).T

    def common(start: np.ndarray, size: np.ndarray) -> np.ndarray:
        end = start + size
        return np.clip(np.minimum(end[:, None], end) - np.maximum(start[:, None], start), 0, None)

    area = width * height
    return common(left, width) * common(top, height) > SAME_GROUND * np.minimum(area[:, None], area)


def best_first(scores: np.ndarray, clash: np.ndarray, count: int) -> list[int]:
    """The windows that score highest, no two of the same ground.

    Args:
        scores: (N,); of equals the first wins.
        clash: (N, N): see `conflicts`.
        count: at most so many.
    """
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if len(chosen) == count:
            break
        if not clash[i, chosen].any():
            chosen.append(int(i))
    return chosen


def cosine_distance(looks: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """1 less the cosine between rows.

    Args:
        looks: (N, D).
        centres: (M, D).

    Returns:
        (N, M), 0 to 2.
    """
    return 1 - _unit(looks) @ _unit(centres).T


def k_centre(
    looks: np.ndarray, clash: np.ndarray, count: int, labelled: np.ndarray | None = None
) -> tuple[list[int], list[float]]:
    """Windows that leave none far from a labelled one: each is the farthest from all labelled and chosen before it.

    The greedy core set of Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach",
    ICLR 2018 (k-centre: Gonzalez 1985), by cosine distance. With nothing labelled it begins with the most typical one.

    Args:
        looks: (N, D).
        clash: (N, N): see `conflicts`.
        count: at most so many.
        labelled: (L, D); None or empty where nothing is.

    Returns:
        Indices in the order of choice, and how far each was from its nearest centre when it was chosen.
    """
    chosen: list[int] = []
    far: list[float] = []
    free = np.ones(len(looks), dtype=bool)
    if labelled is not None and len(labelled):
        distance = cosine_distance(looks, labelled).min(1)
    else:
        distance = np.full(len(looks), np.inf)
    while free.any() and len(chosen) < count:
        if np.isinf(distance).all():
            pick = int((_unit(looks) @ _unit(looks).mean(0)).argmax())
        else:
            pick = int(np.where(free, distance, -np.inf).argmax())
        far.append(float(distance[pick]))
        chosen.append(pick)
        free &= ~clash[pick]
        distance = np.minimum(distance, cosine_distance(looks, looks[pick : pick + 1])[:, 0])
    return chosen, far


def doubt_vectors(probabilities: Sequence[np.ndarray], looks: np.ndarray) -> np.ndarray:
    """What labels would change most, per window: how much doubt there is in each predicted class, times the look.

    After BADGE's gradient embedding (Ash et al., "Deep batch active learning by diverse, uncertain gradient lower
    bounds", ICLR 2020): of (p - one-hot of the most probable class) x features, the predicted class's part, summed over
    the window's cells with the window's mean embedding in place of each cell's.

    Args:
        probabilities: per window (C, h, w).
        looks: (N, D).

    Returns:
        (N, C * D).
    """
    found = []
    for p, look in zip(probabilities, _unit(looks), strict=True):
        best, doubt = p.argmax(0).ravel(), 1 - p.max(0).ravel()
        found.append(np.outer(np.bincount(best, doubt, minlength=len(p)) / best.size, look).ravel())
    return np.array(found)


def k_means_pp(vectors: np.ndarray, clash: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Windows drawn with a chance proportional to the squared distance from those drawn before.

    k-means++ seeding (Arthur and Vassilvitskii 2007) as BADGE uses it: the first is the longest vector.

    Args:
        vectors: (N, D).
        clash: (N, N): see `conflicts`.
        count: at most so many.
        rng: of the draws.
    """
    chosen: list[int] = []
    free = np.ones(len(vectors), dtype=bool)
    distance = np.full(len(vectors), np.inf)
    while free.any() and len(chosen) < count:
        if not chosen:
            pick = int((vectors**2).sum(1).argmax())
        else:
            chance = np.where(free, distance, 0)
            even = free.astype(float)
            chance = chance if chance.sum() > 0 else even
            pick = int(rng.choice(len(vectors), p=chance / chance.sum()))
        chosen.append(pick)
        free &= ~clash[pick]
        distance = np.minimum(distance, ((vectors - vectors[pick]) ** 2).sum(1))
    return chosen


def by_return(
    scores: np.ndarray, windows: Sequence[Window], clash: np.ndarray, count: int, start: tuple[float, float] | None
) -> tuple[list[int], list[float]]:
    """Windows in the order of what they are worth per second, the way to each included.

    Return on investment: Settles, Craven and Friedland, "Active learning with real annotation costs", 2008; the cost
    here is LABEL_SECONDS and PAN_SECONDS for each window's width that the map is panned from the window before.

    Args:
        scores: (N,), at least 0.
        windows: N.
        clash: (N, N): see `conflicts`.
        count: at most so many.
        start: (col, row) where the person is, scene pixels; None: the first window costs no way.

    Returns:
        Indices in the order of visit, and the length of the way to each, window widths.
    """
    places, widths = np.array([w.center for w in windows]), np.array([w.width for w in windows])
    chosen: list[int] = []
    ways: list[float] = []
    free, here = np.ones(len(windows), dtype=bool), start
    while free.any() and len(chosen) < count:
        way = np.zeros(len(windows)) if here is None else np.hypot(*(places - here).T) / widths
        worth = scores / (LABEL_SECONDS + PAN_SECONDS * way)
        pick = int(np.where(free, worth, -np.inf).argmax())
        chosen.append(pick)
        ways.append(float(way[pick]))
        free &= ~clash[pick]
        here = windows[pick].center
    return chosen, ways


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)
