"""What a sample of reference labels says of a map: per stratum, which share is which class, and how surely.

    r_ij    = share of stratum i that is of reference class j
    V(r_ij) = its variance

For pixels of one size this is r_ij = n_ij / n_i and V(r_ij) = r_ij (1 - r_ij) / (n_i - 1), the terms of which every
formula of Olofsson et al. 2014 (see core.area_estimate) is made. Two things go beyond them:

- Pixels are drawn with equal probability, but those of a geographic grid differ in area. Where areas are asked for,
  the share is one of area: r_ij = a_ij / a_i, sums of the areas of the checked pixels, a ratio estimator in each
  stratum. Its variance is that of the residuals: with w = a / mean of a in the stratum,
  V(r_ij) = [(1 - r_ij)² sum of w² over the pixels of j + r_ij² sum of w² over the others] / (n_i (n_i - 1)).
  W. G. Cochran, Sampling Techniques, 3rd ed. (1977), sections 6.4 and 6.10. For pixels of one size it is the same as
  above; counting pixels and multiplying by the area would be wrong where a class lies nearer to the pole than others.
- V is multiplied by 1 - n_i / N_i, N_i the pixels of the stratum (Cochran, section 5.4): next to 1 for a map, and 0 for
  a stratum in which every pixel was checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seglab.errors import MapCheckError

FEWEST = 2
"""Checked pixels that a stratum needs, for a variance."""


@dataclass(frozen=True)
class Stratum:
    """The pixels that a map gives to one class."""

    class_name: str
    """What the map says. Two strata may have the same, where classes were merged after the sample was drawn."""
    pixels: int
    area: float
    """Of all its pixels; in any unit, the same for all strata."""


@dataclass(frozen=True, eq=False)
class ErrorMatrix:
    """Sample counts: strata in rows, reference classes in columns. Made by one of its class methods."""

    classes: tuple[str, ...]
    """Of the map, in the order of the strata, then those that only the reference has."""
    counts: np.ndarray
    """(S, C) int, checked pixels."""
    shares: np.ndarray
    """(S, C) float, r_ij."""
    variances: np.ndarray
    """(S, C) float, V(r_ij)."""

    @classmethod
    def of_counts(
        cls, strata: Sequence[Stratum], classes: Sequence[str], counts: np.ndarray | Sequence[Sequence[int]]
    ) -> ErrorMatrix:
        """From a table of counts; the pixels of a stratum have one size.

        Args:
            strata: of the map.
            classes: of the reference, the columns; those of the map among them.
            counts: (S, C).

        Raises:
            MapCheckError: the shapes do not fit, a class of the map has no column, or a stratum has too few.
        """
        counts = np.asarray(counts, dtype=np.int64)
        if counts.shape != (len(strata), len(classes)):
            raise MapCheckError(
                f"counts of shape {counts.shape} do not fit {len(strata)} strata and {len(classes)} classes; give one "
                "row per stratum and one column per class"
            )
        missing = [stratum.class_name for stratum in strata if stratum.class_name not in classes]
        if missing:
            raise MapCheckError(f"the counts have no column for {missing[0]!r}, a class of the map; add it, of zeros")
        return cls._made(strata, tuple(classes), counts, counts.astype(float), counts.astype(float))

    @classmethod
    def of_units(
        cls,
        strata: Sequence[Stratum],
        places: Sequence[int],
        references: Sequence[str],
        areas: Sequence[float] | None = None,
    ) -> ErrorMatrix:
        """From checked pixels.

        Args:
            strata: of the map.
            places: (n,) which stratum each pixel lies in, from 0.
            references: (n,) its reference class.
            areas: (n,) its area, in any unit; None: all have the same.

        Raises:
            MapCheckError: a stratum has too few.
        """
        classes = tuple(dict.fromkeys([*(stratum.class_name for stratum in strata), *references]))
        column = {name: number for number, name in enumerate(classes)}
        at = np.asarray(places, dtype=np.int64), np.array([column[name] for name in references], dtype=np.int64)
        weights = np.ones(len(references)) if areas is None else np.asarray(areas, dtype=np.float64)
        shape = (len(strata), len(classes))
        counts, sums, squares = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)
        for table, values in ((counts, 1), (sums, weights), (squares, weights**2)):
            np.add.at(table, at, values)
        return cls._made(strata, classes, counts, sums, squares)

    @classmethod
    def _made(
        cls,
        strata: Sequence[Stratum],
        classes: tuple[str, ...],
        counts: np.ndarray,
        sums: np.ndarray,
        squares: np.ndarray,
    ) -> ErrorMatrix:
        """From sums of the pixels' areas, and of their squares, by stratum and class."""
        checked = counts.sum(axis=1)
        _require(strata, checked)
        total = sums.sum(axis=1, keepdims=True)
        shares = sums / total
        squares = squares * (checked[:, None] / total) ** 2  # areas by their mean in the stratum
        rest = squares.sum(axis=1, keepdims=True) - squares
        free = np.array([max(0.0, 1 - n / stratum.pixels) for n, stratum in zip(checked, strata, strict=True)])
        degrees = np.maximum(checked * (checked - 1), 1)  # 0 only where the one pixel of a stratum was checked
        variances = ((1 - shares) ** 2 * squares + shares**2 * rest) * (free / degrees)[:, None]
        return cls(classes, counts, shares, variances)


def _require(strata: Sequence[Stratum], checked: np.ndarray) -> None:
    """Refuse strata of which nothing can be said.

    Raises:
        MapCheckError: with what is missing.
    """
    if not strata:
        raise MapCheckError("there is no stratum: the map has no pixel with a class")
    short = [
        (stratum, int(count))
        for stratum, count in zip(strata, checked, strict=True)
        if count < min(FEWEST, stratum.pixels)
    ]
    if short:
        words = ", ".join(f"{stratum.class_name!r} ({count})" for stratum, count in short)
        raise MapCheckError(
            f"too few places are checked where the map says {words}: {FEWEST} are needed for an interval, some tens "
            "for a useful one; check more of the sample, or draw one that has more of that class"
        )
