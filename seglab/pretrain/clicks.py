"""Prompts as people give them: a click, a loose box, then corrections where the mask is wrong."""

from __future__ import annotations

import cv2
import numpy as np

from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE


def depth(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel of a mask to its border, the image's edge counted as border; (rows, cols) float32."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]


def pick(rng: np.random.Generator, distance: np.ndarray, centred: float) -> tuple[float, float]:
    """A pixel's centre (col, row): the deepest with probability `centred`, else any that is not close to the border."""
    deepest = distance.max()
    if rng.random() < centred:
        at = int(distance.argmax())
    else:
        inside = np.flatnonzero(distance >= min(max(1.0, 0.25 * deepest), deepest))
        at = int(inside[rng.integers(len(inside))])
    row, col = divmod(at, distance.shape[1])
    return col + 0.5, row + 0.5


def loose_box(rng: np.random.Generator, mask: np.ndarray) -> tuple[float, float, float, float]:
    """A box around a mask as drawn by hand: (left, top, right, bottom) pixels, each side off by up to a tenth."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top, right, bottom = cols[0], rows[0], cols[-1] + 1.0, rows[-1] + 1.0
    wide, high = right - left, bottom - top
    slack = rng.uniform(0, 0.1) + rng.normal(0, 0.03, 4)
    size = mask.shape[0]
    box = np.array([left - slack[0] * wide, top - slack[1] * high, right + slack[2] * wide, bottom + slack[3] * high])
    return tuple(np.clip(box, 0, size))


def first_prompts(rng: np.random.Generator, masks: np.ndarray, boxes: float) -> tuple[np.ndarray, np.ndarray]:
    """First prompts for objects.

    Args:
        rng: random generator.
        masks: (N, S, S) bool.
        boxes: share of boxes among the prompts.

    Returns:
        coords (N, 2, 2) float32 (x, y) pixels and labels (N, 2) int64: a box, or a point and a padding point, as
        a session passes them.
    """
    n = len(masks)
    boxed = rng.random(n) < boxes
    coords, labels = np.zeros((n, 2, 2), np.float32), np.full((n, 2), PAD, np.int64)
    for i, mask in enumerate(masks):
        if boxed[i]:
            coords[i] = np.reshape(loose_box(rng, mask), (2, 2))
            labels[i] = (BOX_TOP_LEFT, BOX_BOTTOM_RIGHT)
        else:
            coords[i, 0], labels[i, 0] = pick(rng, depth(mask), 0.6), POSITIVE
    return coords, labels


def more_clicks(rng: np.random.Generator, masks: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Clicks that a person may have given already: inside the object, or outside but near it.

    Args:
        rng: random generator.
        masks: (N, S, S) bool.
        count: clicks per object.

    Returns:
        coords (N, count, 2) float32 (x, y) pixels, labels (N, count) int64.
    """
    n, size = len(masks), masks.shape[-1]
    coords, labels = np.zeros((n, count, 2), np.float32), np.full((n, count), POSITIVE, np.int64)
    for i, mask in enumerate(masks):
        away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
        near = np.flatnonzero((away >= 3) & (away <= size / 5))
        for j in range(count):
            if len(near) and rng.random() < 0.4:
                row, col = divmod(int(near[rng.integers(len(near))]), size)
                coords[i, j], labels[i, j] = (col + 0.5, row + 0.5), NEGATIVE
            else:
                coords[i, j] = pick(rng, depth(mask), 0.0)
    return coords, labels


def corrections(
    rng: np.random.Generator, target: np.ndarray, predicted: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """One more click per object, where the mask is most wrong.

    Args:
        rng: random generator.
        target: (N, h, w) bool.
        predicted: (N, h, w) bool.
        scale: input pixels per mask pixel.

    Returns:
        coords (N, 1, 2) float32 in input pixels, labels (N, 1) int64.
    """
    n = len(target)
    coords, labels = np.zeros((n, 1, 2), np.float32), np.full((n, 1), POSITIVE, np.int64)
    for i in range(n):
        missed, extra = depth(target[i] & ~predicted[i]), depth(predicted[i] & ~target[i])
        if missed.max() >= extra.max():
            worst = missed if missed.max() > 0 else depth(target[i])
        else:
            worst, labels[i, 0] = extra, NEGATIVE
        if worst.max() > 0:
            coords[i, 0] = np.array(pick(rng, worst, 0.7)) * scale
        else:
            labels[i, 0] = PAD
    return coords, labels
