"""What people use without a network: OpenCV's flood fill and GrabCut, in the same protocol as a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from seglab.evaluation.cases import Case
from seglab.evaluation.clicks import Method, measure
from seglab.models.spec import PAD, POSITIVE

DISC = 1 / 12
"""Radius of the probable foreground around a + click that GrabCut starts from, as a share of the image's side: a disc
a sixth of the image wide."""
GRABCUT_ROUNDS = 3
"""Iterations of GrabCut."""
TOLERANCES = (8, 12, 16, 20, 26, 34, 44)
"""Flood fill's tolerances that are tried on training ground, 8-bit values per band."""
TOLERANCE = 26
"""The best of them on the training ground of splits.json; for data that has no training split."""
JUDGED = (1, 3, 5)
"""Numbers of clicks over which the best tolerance is judged."""

FromClicks = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(rgb (S, S, 3), coords (K, 2), labels (K,)) to a mask (S, S) bool."""
FromBox = Callable[[np.ndarray, tuple[int, int, int, int]], np.ndarray]
"""(rgb (S, S, 3), (left, top, right, bottom)) to a mask (S, S) bool."""


@dataclass(frozen=True)
class PlainAnswers:
    """A method that needs no training, in one image."""

    rgb: np.ndarray
    """(S, S, 3) uint8."""
    from_clicks: FromClicks
    from_box: FromBox

    def to_clicks(self, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """See evaluation.clicks.Answers."""
        pairs = [(c[kinds != PAD], kinds[kinds != PAD]) for c, kinds in zip(coords, labels, strict=True)]
        return np.stack([self.from_clicks(self.rgb, *pair) for pair in pairs])

    def to_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """See evaluation.clicks.Answers."""
        return np.stack([self.from_box(self.rgb, tuple(int(x) for x in box)) for box in boxes])


def floodfill(tolerance: int) -> Method:
    """Flood fill: + clicks add a region of like colour, - clicks take one away; of a box, from its middle, within it.

    Args:
        tolerance: how far a pixel's bands may be from the clicked pixel's, 8-bit values.
    """

    def fill(rgb: np.ndarray, col: int, row: int) -> np.ndarray:
        canvas = np.zeros((rgb.shape[0] + 2, rgb.shape[1] + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
        cv2.floodFill(rgb.copy(), canvas, (col, row), 0, (tolerance,) * 3, (tolerance,) * 3, flags)
        return canvas[1:-1, 1:-1].astype(bool)

    def from_clicks(rgb: np.ndarray, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mask = np.zeros(rgb.shape[:2], bool)
        for (col, row), label in zip(coords, labels, strict=True):
            region = fill(rgb, int(col), int(row))
            mask = mask | region if label == POSITIVE else mask & ~region
        return mask

    def from_box(rgb: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
        left, top, right, bottom = box
        region, inside = fill(rgb, (left + right) // 2, (top + bottom) // 2), np.zeros(rgb.shape[:2], bool)
        inside[top:bottom, left:right] = True
        return region & inside

    return lambda rgb: PlainAnswers(rgb, from_clicks, from_box)


def grabcut(rgb: np.ndarray) -> PlainAnswers:
    """GrabCut (Rother et al., 2004) from a probable foreground: a disc around each + click, or the box."""
    return PlainAnswers(rgb, _cut_clicks, _cut_box)


def best_tolerance(cases: Iterable[Case], told: Callable[[int], None] | None = None) -> int:
    """The tolerance with the highest IoU, as a mean over datasets and over 1, 3 and 5 clicks.

    Args:
        cases: of training ground.
        told: called before each tolerance is tried, with its index in TOLERANCES; may raise to stop.
    """
    known, scores = list(cases), []
    for index, tolerance in enumerate(TOLERANCES):
        if told is not None:
            told(index)
        by_dataset: dict[str, list[float]] = {}
        for result in measure(floodfill(tolerance), known, max(JUDGED)):
            by_dataset.setdefault(result.dataset, []).append(np.mean([result.ious[k - 1] for k in JUDGED]))
        scores.append(np.mean([np.mean(values) for values in by_dataset.values()]))
    return TOLERANCES[int(np.argmax(scores))]


def _cut_clicks(rgb: np.ndarray, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
    state = np.full(rgb.shape[:2], cv2.GC_PR_BGD, np.uint8)
    points = [(int(col), int(row), label) for (col, row), label in zip(coords, labels, strict=True)]
    for col, row, label in points:
        if label == POSITIVE:
            cv2.circle(state, (col, row), round(DISC * rgb.shape[0]), int(cv2.GC_PR_FGD), -1)
    for col, row, label in points:
        cv2.circle(state, (col, row), 2, int(cv2.GC_FGD if label == POSITIVE else cv2.GC_BGD), -1)
    return _cut(rgb, state)


def _cut_box(rgb: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    state = np.full(rgb.shape[:2], cv2.GC_BGD, np.uint8)
    state[top:bottom, left:right] = cv2.GC_PR_FGD
    return _cut(rgb, state)


def _cut(rgb: np.ndarray, state: np.ndarray) -> np.ndarray:
    cv2.setRNGSeed(0)
    # Where one of the two groups becomes empty (a flat image, say), the marks themselves are the answer.
    with contextlib.suppress(cv2.error):
        cv2.grabCut(rgb, state, None, np.zeros((1, 65)), np.zeros((1, 65)), GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
