"""Clusters against classes: each cluster is matched with one class so that most pixels agree (Kuhn 1955)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class ClusterScore:
    """How well clusters fit classes."""

    accuracy: float
    """Share of the pixels whose cluster is matched with their class, 0 to 1."""
    mean_iou: float
    """Of the classes that are there, 0 to 1; a class without a cluster has 0."""
    class_of: tuple[int, ...]
    """By cluster; -1 for one that no class is left for."""


def count_matrix(clusters: np.ndarray, classes: np.ndarray, shape: tuple[int, int], ignore: int = 255) -> np.ndarray:
    """(K, C) int64 pixels of each cluster and class.

    Args:
        clusters, classes: of the same shape, numbers from 0.
        shape: (K, C).
        ignore: class of pixels that do not count.
    """
    known = classes != ignore
    joint = clusters[known].astype(np.int64) * shape[1] + classes[known]
    return np.bincount(joint.ravel(), minlength=shape[0] * shape[1]).reshape(shape)


def match_clusters(counts: np.ndarray) -> ClusterScore:
    """The best one-to-one matching, by the Hungarian method.

    Args:
        counts: from `count_matrix`, summed over all images.
    """
    rows, cols = linear_sum_assignment(counts, maximize=True)
    total, agreed = counts.sum(), counts[rows, cols]
    sizes, extents = counts.sum(1), counts.sum(0)
    iou = np.zeros(counts.shape[1])
    union = sizes[rows] + extents[cols] - agreed
    iou[cols] = np.divide(agreed, union, out=np.zeros(len(rows)), where=union > 0)
    there = extents > 0
    class_of = np.full(counts.shape[0], -1)
    class_of[rows] = cols
    return ClusterScore(
        accuracy=float(agreed.sum() / total) if total else 0.0,
        mean_iou=float(iou[there].mean()) if there.any() else 0.0,
        class_of=tuple(class_of.tolist()),
    )
