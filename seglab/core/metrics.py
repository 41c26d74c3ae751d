"""How well a map agrees with a reference: measures of the pixel confusion.

With TP, FP and FN the pixels rightly found, wrongly found and missed of a class:

    IoU       = TP / (TP + FP + FN)
    precision = TP / (TP + FP)
    recall    = TP / (TP + FN)
    F1        = 2 TP / (2 TP + FP + FN)
    accuracy  = pixels on the diagonal / all pixels
    FWIoU     = sum over classes of share of the reference's pixels x IoU
    kappa     = (accuracy - chance) / (1 - chance), chance = sum over classes of row total x column total /
    all²
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

IGNORE = 255
"""Class index of pixels that count for nothing."""


def iou(a: np.ndarray, b: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Intersection over union of two masks; 1 when both are empty.

    Args:
        a, b: bool, of one shape.
        valid: bool, of the same shape; other pixels do not count. None: all do.
    """
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if valid is not None:
        a, b = a & valid, b & valid
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def confusion(pred: np.ndarray, target: np.ndarray, n: int, ignore: int = IGNORE) -> np.ndarray:
    """Pixels counted by reference and by predicted class; sum the tables of several scenes.

    Args:
        pred: class indexes 0..n-1, any shape; other values count as missed.
        target: reference class indexes of the same shape; other values than 0..n-1, such as `ignore`, do not
            count.
        n: number of classes.
        ignore: value in either array of pixels that do not count.

    Returns:
        (n, n + 1) int64: rows are the reference, columns the prediction; the last column holds pixels
        predicted as none of the classes.
    """
    pred, target = np.asarray(pred).ravel(), np.asarray(target).ravel()
    counted = (target >= 0) & (target < n) & (target != ignore) & (pred != ignore)
    pred, target = pred[counted].astype(np.int64), target[counted].astype(np.int64)
    pred = np.where((pred >= 0) & (pred < n), pred, n)
    return np.bincount(target * (n + 1) + pred, minlength=n * (n + 1)).reshape(n, n + 1)


def _counts(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(TP, FP, FN) per class."""
    n = table.shape[0]
    true = np.diagonal(table[:, :n]).astype(float)
    return true, table[:, :n].sum(axis=0) - true, table.sum(axis=1) - true


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def iou_per_class(table: np.ndarray) -> np.ndarray:
    """IoU = TP / (TP + FP + FN) of each class.

    Args:
        table: from `confusion`.

    Returns:
        (n,) float64; NaN for a class that is in neither the reference nor the prediction.
    """
    true, false, missed = _counts(table)
    return _ratio(true, true + false + missed)


def mean_iou(table: np.ndarray) -> float:
    """Mean of `iou_per_class` over the classes that occur; NaN when none does."""
    values = iou_per_class(table)
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if seen.size else float("nan")


def frequency_weighted_iou(table: np.ndarray) -> float:
    """IoU of each class weighted by its share of the reference's pixels; NaN when nothing counts."""
    share, values = table.sum(axis=1), iou_per_class(table)
    seen = share > 0
    return float((share[seen] * values[seen]).sum() / share.sum()) if seen.any() else float("nan")


def precision_per_class(table: np.ndarray) -> np.ndarray:
    """TP / (TP + FP) of each class, (n,) float64; NaN for a class never predicted."""
    true, false, _ = _counts(table)
    return _ratio(true, true + false)


def recall_per_class(table: np.ndarray) -> np.ndarray:
    """TP / (TP + FN) of each class, (n,) float64; NaN for a class that the reference does not have."""
    true, _, missed = _counts(table)
    return _ratio(true, true + missed)


def f1_per_class(table: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of each class, (n,) float64; NaN for a class that does not occur."""
    true, false, missed = _counts(table)
    return _ratio(2 * true, 2 * true + false + missed)


def accuracy(table: np.ndarray) -> float:
    """Share of the counted pixels that have the right class; NaN when none is counted."""
    total = table.sum()
    return float(np.trace(table[:, : table.shape[0]]) / total) if total else float("nan")


def kappa(table: np.ndarray) -> float:
    """Cohen's kappa (1960): agreement beyond chance; NaN when chance explains all or nothing counts."""
    total = float(table.sum())
    if not total:
        return float("nan")
    n = table.shape[0]
    chance = float((table.sum(axis=1) * table[:, :n].sum(axis=0)).sum()) / total**2
    return (accuracy(table) - chance) / (1 - chance) if chance < 1 else float("nan")


def boundary_f(pred: np.ndarray, target: np.ndarray, tolerance: float = 2.0) -> float:
    """F score of two masks' borders (Csurka et al., BMVC 2013).

    F = 2 P R / (P + R), where P is the share of the prediction's border pixels within `tolerance` of the
    target's border, and R the share of the target's within `tolerance` of the prediction's.

    Args:
        pred, target: (h, w) bool.
        tolerance: pixels, between pixel centres.

    Returns:
        0 to 1; 1 when both masks are empty, 0 when one is.
    """
    first, second = _border(pred), _border(target)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    precision = float((ndimage.distance_transform_edt(~second)[first] <= tolerance).mean())
    recall = float((ndimage.distance_transform_edt(~first)[second] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _border(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask with an edge neighbour outside it; the end of the array is outside."""
    mask = np.asarray(mask, dtype=bool)
    return mask & ~ndimage.binary_erosion(mask)
