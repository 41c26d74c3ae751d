"""A simulated annotator: where a person would click next, and references made from spectral indices.

Clicks follow the protocol of the interactive segmentation literature (Sofiiuk et al., RITM, 2021): the first
in the middle of the object, each next one in the middle of the largest error.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from seglab.core.masks import largest_piece
from seglab.core.prompts import Point
from seglab.errors import PromptError, StretchError

_OTSU_BINS = 256


def first_click(target: np.ndarray) -> tuple[float, float]:
    """The pixel of an object farthest from its border; the edge of the image counts as border.

    Args:
        target: (h, w) bool, the object.

    Returns:
        (col, row) of that pixel's centre, array pixels; the topmost, then leftmost, of several.

    Raises:
        PromptError: the object is empty.
    """
    target = np.asarray(target, dtype=bool)
    if not target.any():
        raise PromptError("the object has no pixel to click on")
    depth = ndimage.distance_transform_edt(np.pad(target, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(col) + 0.5, float(row) + 0.5


def next_click(target: np.ndarray, prediction: np.ndarray, valid: np.ndarray | None = None) -> Point | None:
    """The click that corrects the largest error.

    Args:
        target: (h, w) bool, the object.
        prediction: (h, w) bool, the mask so far.
        valid: (h, w) bool; errors elsewhere do not count. None: all do.

    Returns:
        A point in array pixels, at the middle of the largest connected error: positive where the object was
        missed (also when both kinds are equally large), negative where too much was taken. None when nothing
        is wrong.
    """
    target, prediction = np.asarray(target, dtype=bool), np.asarray(prediction, dtype=bool)
    missed, extra = target & ~prediction, prediction & ~target
    if valid is not None:
        missed, extra = missed & valid, extra & valid
    missed, extra = largest_piece(missed), largest_piece(extra)
    missed_area, extra_area = np.count_nonzero(missed), np.count_nonzero(extra)
    if not missed_area and not extra_area:
        return None
    positive = bool(missed_area >= extra_area)
    return Point(*first_click(missed if positive else extra), positive=positive)


def mndwi(green: np.ndarray, swir: np.ndarray) -> np.ndarray:
    """Modified normalised difference water index (Xu, 2006): (green - swir) / (green + swir); water is high.

    Args:
        green, swir: numbers of one shape. Landsat 4 to 7: B2 and B5.

    Returns:
        float32, -1 to 1 for values that are not negative; NaN where both bands are 0.
    """
    green, swir = np.asarray(green, dtype=np.float32), np.asarray(swir, dtype=np.float32)
    total = green + swir
    return np.divide(green - swir, total, out=np.full(total.shape, np.nan, np.float32), where=total != 0)


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values into two groups with the largest variance between them (Otsu, 1979).

    Args:
        values: any shape; what is not finite is left out.

    Returns:
        The threshold: the upper group is `values > threshold`.

    Raises:
        StretchError: fewer than two different values.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        raise StretchError("no threshold parts values that are all the same; choose another band or region")
    counts, edges = np.histogram(values, bins=_OTSU_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = values.size - below
    sums = np.cumsum(counts * middles)
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))  # an empty gap scores the same throughout
    return float((edges[1:-1][best[0]] + edges[1:-1][best[-1]]) / 2)
