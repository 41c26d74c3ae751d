"""Where objects are asked for in a window: a click on each peak of a class's ground, and a regular grid of clicks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

PEAK_APART = 3
"""Two peaks of one ground lie farther apart than this, cells along an axis."""
SMOOTHING = 1.0
"""Of the distances before peaks are looked for (standard deviation), cells: an edge of pixels makes many tiny ones."""
THINNEST = 1.0
"""Ground has no peak where it is nowhere farther from its edge, cells."""


def peaks(likely: np.ndarray) -> np.ndarray:
    """The middles of what stands out in a class's ground: objects that touch have one each.

    They are the local maxima of the distance to the ground's edge, which watershed segmentation starts from too; where
    that is level, the class's probability decides.

    Args:
        likely: (h, w) float32 probability of the class, 0 outside its ground.

    Returns:
        (N, 2) float64 (x, y), model pixels.
    """
    ground = likely > 0
    if not ground.any():
        return np.zeros((0, 2))
    edged = ndimage.distance_transform_edt(np.pad(ground, 1))[1:-1, 1:-1]  # a window's edge is one of its ground
    distance = ndimage.gaussian_filter(edged, SMOOTHING)
    height = np.where(ground & (distance > THINNEST), distance + likely, 0)
    top = height == ndimage.maximum_filter(height, size=2 * PEAK_APART + 1)
    tops, count = ndimage.label(top & (height > 0), np.ones((3, 3)))  # a level top is one peak
    return np.array(ndimage.center_of_mass(tops > 0, tops, range(1, count + 1))).reshape(-1, 2)[:, ::-1] + 0.5


def grid(ground: np.ndarray, spacing: int) -> np.ndarray:
    """Clicks at regular distances, where there is ground.

    Args:
        ground: (h, w) bool.
        spacing: between two clicks, cells.

    Returns:
        (N, 2) float64 (x, y), model pixels.
    """
    there = np.zeros_like(ground)
    there[spacing // 2 :: spacing, spacing // 2 :: spacing] = True
    return _middles(there & ground)


def _middles(cells: np.ndarray) -> np.ndarray:
    rows, cols = np.nonzero(cells)
    return np.stack([cols, rows], axis=1) + 0.5
