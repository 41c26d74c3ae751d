"""Connected regions of a class map, found strip by strip: numbers, values, areas and means.

Pixels of one value that share an edge belong together, pixels that only touch at a corner do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

MANY_VALUES = 12
"""A strip with more values than these is gone through run by run, and not once for each value."""


@dataclass(frozen=True)
class Regions:
    """All regions of a raster; region r of 1..R stands at place r - 1."""

    number_of: np.ndarray
    """(M,) int32: the region to which each number that `RegionLabels.add` gave belongs; 0 for 0."""
    values: np.ndarray
    """(R,) the class map's value."""
    areas: np.ndarray
    """(R,) pixels."""
    means: np.ndarray
    """(k, R) mean of each weight, float64."""

    def at_least(self, area: int) -> Regions:
        """Those of at least so many pixels; the others' numbers become 0."""
        return self.where(self.areas >= area)

    def where(self, kept: np.ndarray) -> Regions:
        """Some of them; the others' numbers become 0.

        Args:
            kept: (R,) bool.
        """
        place = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
        return Regions(place[self.number_of], self.values[kept], self.areas[kept], self.means[:, kept])


class RegionLabels:
    """Numbers the regions of a raster that comes in strips.

    Args:
        ignored: value of pixels that belong to no region; None: every pixel belongs to one.
    """

    def __init__(self, ignored: int | None = None) -> None:
        self._ignored = ignored
        self._count = 0
        self._values: list[np.ndarray] = []
        self._areas: list[np.ndarray] = []
        self._sums: list[np.ndarray] = []
        self._joined: list[np.ndarray] = [np.zeros((2, 0), dtype=np.int32)]
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, values: np.ndarray, weights: Sequence[np.ndarray] = ()) -> np.ndarray:
        """Number the regions of the next rows.

        Args:
            values: (rows, width) integers, all strips of one type.
            weights: k of (rows, width), of each of which regions get the mean; as many for every strip.

        Returns:
            (1 + rows, width) int32: the row above these (0 for the first strip) and these rows, 0 for ignored pixels.
            Pixels of it that are connected through what has come so far have one number; a number that another strip
            was given may be the same region under another name, which `finish` says.
        """
        numbers = np.zeros((1 + len(values), values.shape[1]), dtype=np.int32)
        first = self._count
        wanted = np.unique(values)
        wanted = wanted[wanted != self._ignored] if self._ignored is not None else wanted
        if len(wanted) > MANY_VALUES:
            numbers[1:], own = _pieces(values, self._ignored)
            self._values.append(own)
            self._count += len(own)
            wanted = wanted[:0]
        for value in wanted:
            mask = values == value
            found, pieces = cv2.connectedComponents(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
            np.add(pieces, self._count - first, out=numbers[1:], where=mask)
            self._values.append(np.full(found - 1, value, dtype=values.dtype))
            self._count += found - 1
        self._measure(numbers[1:].ravel(), self._count - first, weights)
        self._join(values, numbers, first)
        self._last = values[-1].copy(), numbers[-1].copy()
        return numbers

    def _measure(self, places: np.ndarray, count: int, weights: Sequence[np.ndarray]) -> None:
        """Areas and sums of the regions of one strip, whose numbers are 1 to `count` there."""
        self._areas.append(np.bincount(places, minlength=count + 1)[1:])
        sums = [np.bincount(places, weights=weight.ravel(), minlength=count + 1)[1:] for weight in weights]
        self._sums.append(np.stack(sums) if sums else np.zeros((0, count)))

    def _join(self, values: np.ndarray, numbers: np.ndarray, first: int) -> None:
        """Give this strip's regions their numbers: those of the row above where they go on from there."""
        if self._last is None:
            return
        above_values, above = self._last
        goes_on = (above_values == values[0]) & (above > 0) & (numbers[1] > 0)
        pairs = np.unique(np.stack([above[goes_on], numbers[1][goes_on] + first]), axis=1)
        self._joined.append(pairs.astype(np.int32))
        named, places = np.unique(pairs, return_inverse=True)
        places = places.reshape(pairs.shape)
        graph = sparse.coo_array((np.ones(pairs.shape[1], dtype=bool), tuple(places)), shape=(len(named),) * 2)
        count, group = csgraph.connected_components(graph, directed=False)
        least = np.full(count, np.iinfo(np.int32).max)
        np.minimum.at(least, group, named)
        new = np.arange(first, self._count + 1, dtype=np.int32)
        new[0] = 0
        here = named > first
        new[named[here] - first] = least[group[here]]
        numbers[1:] = new[numbers[1:]]
        numbers[0] = above
        known = np.isin(above, named)
        numbers[0, known] = least[group[np.searchsorted(named, above[known])]]

    def finish(self) -> Regions:
        """All regions, when every strip has been added."""
        size = self._count + 1
        pairs = np.concatenate(self._joined, axis=1)
        graph = sparse.coo_array((np.ones(pairs.shape[1], dtype=bool), tuple(pairs)), shape=(size, size))
        # number 0 is joined to nothing, and so is component 0: components are numbered as they are come upon
        count, number_of = csgraph.connected_components(graph, directed=False)
        members = number_of[1:] - 1
        values = np.zeros(count - 1, dtype=self._values[0].dtype if self._values else np.uint8)
        values[members] = np.concatenate([values[:0], *self._values])
        areas = np.bincount(members, np.concatenate([np.zeros(0), *self._areas]), count - 1).astype(np.int64)
        sums = np.concatenate(self._sums, axis=1) if self._sums else np.zeros((0, 0))
        means = np.stack([np.bincount(members, one, count - 1) / areas for one in sums] or [areas])[: len(sums)]
        return Regions(number_of, values, areas, means)


def _pieces(values: np.ndarray, ignored: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The connected pieces of all values at once: runs of equal pixels along rows, joined where they touch.

    Returns:
        (rows, width) int32: the piece of each pixel, from 1, 0 for ignored ones; (N,) the value of each piece.
    """
    begins = np.ones(values.shape, dtype=bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=begins[:, 1:])
    run = np.cumsum(begins, dtype=np.int32).reshape(values.shape) - 1
    meet = (values[1:] == values[:-1]) & (begins[1:] | begins[:-1])  # the first pixel that two runs have in common
    pairs, count = (run[:-1][meet], run[1:][meet]), int(run[-1, -1]) + 1
    graph = sparse.coo_array((np.ones(len(pairs[0]), dtype=bool), pairs), shape=(count, count))
    pieces, piece_of = csgraph.connected_components(graph, directed=False)
    own = np.empty(pieces, dtype=values.dtype)
    own[piece_of] = values[begins]
    kept = np.ones(pieces, dtype=bool) if ignored is None else own != ignored
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return number[piece_of][run], own[kept]
