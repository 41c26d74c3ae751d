"""How sure a mean is: percentile bootstrap (Efron, 1979), over groups where values of one group go together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

RESAMPLES = 2000
"""Draws behind an interval: enough for the ends of a 95 % interval to be steady to a few per cent of its width."""
CONFIDENCE = 0.95
"""Share of intervals that hold the true mean, where values are many enough."""


def bootstrap_mean(
    values: Sequence[float] | np.ndarray, groups: Sequence[Hashable] | np.ndarray | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """A mean with its 95 % interval.

    Objects of one image are alike, so whole groups are drawn with replacement, not single values; an interval over
    single values would be too narrow. The mean is that of all values (each counts the same).

    Args:
        values: numbers; NaN is left out.
        groups: which group each value belongs to (its image, block or dataset); None: each is its own.
        seed: of the draws.

    Returns:
        (mean, low, high). Low and high are NaN when all values are of one group (nothing is known about how groups
        differ), all three when there is no value. Under about ten groups the interval is somewhat too narrow.

    Raises:
        ValueError: groups and values differ in number.
    """
    known = np.asarray(values, dtype=np.float64).ravel()
    labels = _group_numbers(groups, len(known))
    kept = ~np.isnan(known)
    if not kept.any():
        return (float("nan"),) * 3
    known = known[kept]
    _, labels = np.unique(labels[kept], return_inverse=True)
    mean, count = float(known.mean()), int(labels.max()) + 1
    if count == 1:
        return mean, float("nan"), float("nan")
    sums, sizes = np.bincount(labels, known, count), np.bincount(labels, minlength=count)
    # How often each group is drawn is all that a resample's mean depends on.
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    means = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return mean, float(low), float(high)


def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The mean of a - b with its 95 % interval, where a[i] and b[i] are of the same object.

    Pairing takes out what makes objects easy or hard, so that a small difference shows with few objects.

    Args:
        a, b: numbers of one length; a pair with a NaN is left out.
        groups: see `bootstrap_mean`.
        seed: of the draws.

    Returns:
        (mean, low, high): a is better where low is above 0, worse where high is below 0. See `bootstrap_mean`.

    Raises:
        ValueError: a, b and groups differ in number.
    """
    first, second = (np.asarray(x, dtype=np.float64).ravel() for x in (a, b))
    if len(first) != len(second):
        raise ValueError(f"pairs are needed: {len(first)} values against {len(second)}")
    return bootstrap_mean(first - second, groups, seed)


def _group_numbers(groups: Sequence[Hashable] | np.ndarray | None, count: int) -> np.ndarray:
    if groups is None:
        return np.arange(count)
    numbers: dict[Hashable, int] = {}
    labels = np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)
    if len(labels) != count:
        raise ValueError(f"a group for each value is needed: {len(labels)} groups for {count} values")
    return labels
