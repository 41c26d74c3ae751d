"""Regions of a class map that are too small, given to the neighbour with which they share the longest border.

That is what QGIS calls eliminating and GRASS `rmarea`: the ground of a speck goes to the class that mostly surrounds
it, and the map has no holes where specks were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph


class Borders:
    """How long a border each two regions share, counted strip by strip."""

    def __init__(self) -> None:
        self._pairs: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []

    def add(self, numbers: np.ndarray) -> None:
        """Go through the next rows.

        Args:
            numbers: (1 + rows, width) region numbers as `RegionLabels.add` gives them.
        """
        found = []
        for one, other in ((numbers[1:, :-1], numbers[1:, 1:]), (numbers[:-1], numbers[1:])):
            border = (one != other) & (one > 0) & (other > 0)
            found.append(np.stack([one[border], other[border]]))
        pairs = np.concatenate(found, axis=1)
        pairs, lengths = _summed(pairs, np.ones(pairs.shape[1], dtype=np.int64))
        self._pairs.append(pairs)
        self._lengths.append(lengths)

    def of(self, number_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The borders, when all rows have been added.

        Args:
            number_of: see `Regions.number_of`.

        Returns:
            (2, K) places of two regions, the smaller first (region r of 1..R has place r - 1); (K,) the length of their
            border, in pixel edges.
        """
        pairs = np.concatenate([np.zeros((2, 0), dtype=np.int32), *self._pairs], axis=1)
        lengths = np.concatenate([np.zeros(0, dtype=np.int64), *self._lengths])
        return _summed(number_of[pairs] - 1, lengths)


@dataclass(frozen=True)
class Merged:
    """Groups of regions that have become one."""

    group_of: np.ndarray
    """(R,) the group of each region, 0..G-1."""
    values: np.ndarray
    """(G,) the class map's value."""
    small: np.ndarray
    """(G,) bool: still too small, since it has no neighbour."""


def merge_small(
    values: np.ndarray, areas: np.ndarray, pairs: np.ndarray, lengths: np.ndarray, least_area: float
) -> Merged:
    """Give each region that is too small to the neighbour with which it shares the longest border, smallest first.

    What has grown large enough by that stays as it is. Regions of one value that come to touch become one.

    Args:
        values: (R,) of the regions.
        areas: (R,) in any unit.
        pairs, lengths: see `Borders.of`.
        least_area: in the same unit.
    """
    group_of = np.arange(len(values))
    while True:
        parent = _chosen(areas, pairs, lengths, least_area)
        if (parent == np.arange(len(parent))).all():
            return Merged(group_of, values, areas < least_area)
        while ((above := parent[parent]) != parent).any():
            parent = above
        values = values[parent]  # a region takes the value of the one that it was given to
        alike = np.concatenate(
            [pairs[:, values[pairs[0]] == values[pairs[1]]], [np.arange(len(parent)), parent]], axis=1
        )
        graph = sparse.coo_array((np.ones(alike.shape[1], dtype=bool), tuple(alike)), shape=(len(parent),) * 2)
        count, joined = csgraph.connected_components(graph, directed=False)
        group_of, areas = joined[group_of], np.bincount(joined, areas, count)
        fewer = np.empty(count, dtype=values.dtype)
        fewer[joined] = values
        values = fewer
        pairs, lengths = _summed(joined[pairs], lengths)


def _chosen(areas: np.ndarray, pairs: np.ndarray, lengths: np.ndarray, least_area: float) -> np.ndarray:
    """(R,) the region that each is given to now: itself, for those that are large enough or have to wait until a
    smaller neighbour has chosen."""
    rank = np.empty(len(areas), dtype=np.int64)
    rank[np.argsort(areas, kind="stable")] = np.arange(len(areas))
    parent = np.arange(len(areas))
    one, other = np.concatenate([pairs, pairs[::-1]], axis=1)
    length = np.concatenate([lengths, lengths])
    wanted = areas[one] < least_area
    one, other, length = one[wanted], other[wanted], length[wanted]
    order = np.lexsort((rank[other], length, one))
    last = np.append(np.flatnonzero(np.diff(one[order])), len(order) - 1)[: len(order)]  # the best of each
    one, best = one[order][last], other[order][last]
    up = rank[best] > rank[one]  # of two small ones that want each other the smaller goes: no cycles
    parent[one[up]] = best[up]
    return parent


def _summed(pairs: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths by pair: each pair once, the smaller number first, none with itself."""
    low, high = pairs.min(axis=0, initial=np.iinfo(pairs.dtype).max), pairs.max(axis=0, initial=0)
    apart = low != high
    keys = low[apart].astype(np.int64) << 32 | high[apart]
    keys, places = np.unique(keys, return_inverse=True)
    found = np.stack([keys >> 32, keys & 0xFFFFFFFF]).astype(np.int32)
    return found, np.bincount(places.ravel(), lengths[apart], len(keys)).astype(np.int64)
