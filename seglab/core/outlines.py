"""Regions of a class map as polygons on pixel edges: all outlines at once, strip by strip.

Pixels of one value that share an edge belong to a region; pixels that only touch at a corner do not. An outline is
made of corners, and where they are can be seen in 2 x 2 pixels; so a raster of any size is gone through in strips, and
memory grows with the outlines and not with the pixels. Borders along a row or a column of the lattice of pixel corners
join two corners each, which makes rings of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy import sparse
from scipy.sparse import csgraph
from shapely import Polygon

from seglab.core.regions import RegionLabels
from seglab.core.windows import Window

STRIP_PIXELS = 2**22
"""Pixels that are gone through at a time: some tens of megabytes."""

_KINDS = 8
"""Of corners, by what the region has of the four pixels around it: 0 only the upper left, 1 only the lower left, 2 all
but the upper left, 3 all but the lower left, 4 all but the upper right, 5 only the upper right, 6 only the lower right,
7 all but the lower right."""

_ALONG_ROWS = (((0, 3), (5, 7)), ((4, 6), (1, 2)))
"""Kinds at which an outline (with its region on its right hand, as seen on a screen) leaves along the row, and those at
which it arrives: first borders below a region, which it follows to the left, then those above, to the right."""
_ALONG_COLUMNS = (((1, 7), (0, 4)), ((2, 5), (3, 6)))
"""The same along columns: borders to the right of a region, downwards; those to its left, upwards."""

_OUTER_HEAD = 6
_PINCHED = ((0, 6, (3, 4)), (1, 5, (2, 7)))
"""Kinds of two corners of one region that has two opposite pixels, and what they become: inward corners, so that its
rings touch there and do not cross."""


@dataclass(frozen=True)
class Corners:
    """Corners of region outlines, row by row and from left to right."""

    col: np.ndarray
    """(N,) int32, lattice of pixel corners."""
    row: np.ndarray
    """(N,) int32."""
    kind: np.ndarray
    """(N,) uint8, place in the table of types."""
    region: np.ndarray
    """(N,) int32, number of the region."""


class OutlineTracer:
    """Finds the corners of regions strip by strip, then their outlines."""

    def __init__(self) -> None:
        self._row = 0
        self._last = np.zeros((1, 0), dtype=np.int32)
        self._found: list[Corners] = []

    def add(self, numbers: np.ndarray) -> None:
        """Go through the next rows.

        Args:
            numbers: (1 + rows, width) region numbers as `RegionLabels.add` gives them: the row above, and the rows.
        """
        self._found.append(_corners(np.pad(numbers, ((0, 0), (1, 1))), self._row))
        self._row += len(numbers) - 1
        self._last = numbers[-1:]

    def polygons(self, number_of: np.ndarray) -> np.ndarray:
        """The outlines, when all rows have been added.

        Args:
            number_of: (M,) final number of each region, in 1..R without gaps, or 0 for those that are left out: regions
                of two strips may turn out to be one.

        Returns:
            (R,) valid shapely polygons with their holes, by final number.
        """
        self.add(np.concatenate([self._last, np.zeros_like(self._last)]))
        parts, self._found = self._found, []
        region = number_of[np.concatenate([p.region for p in parts])]
        kept = region > 0
        col, row, kind = (np.concatenate([getattr(p, name) for p in parts])[kept] for name in ("col", "row", "kind"))
        corners = Corners(col, row, kind, region[kept])
        if len(parts) > 2:  # in one strip it is seen at once which pixels belong together
            _unpinch(corners)
        del parts
        return _polygons(corners, int(number_of.max(initial=0)))


def _corners(padded: np.ndarray, top: int) -> Corners:
    """Corners between the rows of an array whose first row is lattice row `top` - 1."""
    across, down = padded[:, :-1] != padded[:, 1:], padded[:-1] != padded[1:]
    place = np.flatnonzero((across[:-1] | across[1:]) & (down[:, :-1] | down[:, 1:]))
    row, col = np.divmod(place, padded.shape[1] - 1)
    flat, at = padded.ravel(), row * padded.shape[1] + col
    around = np.array([0, 1, padded.shape[1], padded.shape[1] + 1])  # upper left and right, lower left and right
    a, b, c, d = (flat[at + step] for step in around)
    equal = np.zeros(len(at), dtype=np.uint8)
    for bit, same in enumerate((a == b, a == c, b == d, c == d, a == d, b == c)):
        equal |= same.view(np.uint8) << bit
    vertex, kind = np.nonzero(_HAS[equal])
    owner = flat[at[vertex] + around[_OWNER[kind]]]
    kept = owner > 0
    vertex, kind = vertex[kept], kind[kept]
    return Corners(
        col[vertex].astype(np.int32), (row[vertex] + top).astype(np.int32), kind.astype(np.uint8), owner[kept]
    )


def _kinds_of_equals() -> np.ndarray:
    """(64, 8) bool: the kinds of corners by which of four pixels are equal, bit by bit as `_corners` sets them.

    A region that has two opposite pixels gets two inward corners: its rings touch and do not cross.
    """
    ab, ac, bd, cd, ad, bc = (np.arange(64)[None] >> np.arange(6)[:, None] & 1).astype(bool)
    return np.stack(
        [~(ab | ac | ad), ~(ac | cd | bc), bc & ~ab, ad & ~ac, ad & ~ab, ~(ab | bd | bc), ~(bd | cd | ad), bc & ~bd],
        axis=1,
    )


_HAS = _kinds_of_equals()
_OWNER = np.array([0, 2, 1, 0, 0, 1, 3, 1])
"""Which of the four pixels the region of each kind has."""


def _unpinch(corners: Corners) -> None:
    """Turn corners inwards where opposite pixels have turned out to be of one region in a later strip."""
    for first, second, inward in _PINCHED:
        for apart in (1, 2, 3):  # corners of other regions may stand between them
            one, other = slice(None, -apart), slice(apart, None)
            found = (corners.kind[one] == first) & (corners.kind[other] == second)
            for values in (corners.col, corners.row, corners.region):
                found &= values[one] == values[other]
            places = np.flatnonzero(found)
            corners.kind[places], corners.kind[places + apart] = inward


def _polygons(corners: Corners, count: int) -> np.ndarray:
    order, starts = _rings(_following(corners))
    heads = order[starts]
    sizes = np.diff(starts, append=len(order))
    # a ring's first corner is its leftmost in its topmost row: there an outer ring has its region below on the right
    by_polygon = np.lexsort((corners.kind[heads] != _OUTER_HEAD, corners.region[heads]))
    starts, sizes, region = starts[by_polygon], sizes[by_polygon], corners.region[heads[by_polygon]]
    ends = np.cumsum(sizes + 1)  # every ring comes back to its first corner
    pick = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes - 1), sizes + 1)
    pick[ends - 1] = starts
    corner = order[pick]
    coordinates = np.empty((len(corner), 2))
    coordinates[:, 0], coordinates[:, 1] = corners.col[corner], corners.row[corner]
    rings = np.concatenate([[0], ends])
    polygons = np.concatenate([[0], np.cumsum(np.bincount(region, minlength=count + 1)[1:])])
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, coordinates, (rings, polygons))


def _following(corners: Corners) -> np.ndarray:
    """(N,) the corner that comes after each on its outline.

    Borders on one side of a row of the lattice do not overlap: the k-th that begins is the k-th that ends.
    """
    after = np.empty(len(corners.kind), dtype=np.int32)
    for leaving, arriving in _ALONG_ROWS:
        after[_of_kinds(corners.kind, leaving)] = _of_kinds(corners.kind, arriving)
    by_column = _sorted_by(corners.col)
    kind = corners.kind[by_column]
    for leaving, arriving in _ALONG_COLUMNS:
        after[by_column[_of_kinds(kind, leaving)]] = by_column[_of_kinds(kind, arriving)]
    return after


def _of_kinds(kind: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    return np.flatnonzero(np.isin(np.arange(_KINDS), wanted)[kind])


def _sorted_by(column: np.ndarray) -> np.ndarray:
    """The stable order of columns; NumPy counts where 16 bits hold them, which is much faster than comparing."""
    fits = column.max(initial=0) < 2**16
    return np.argsort(column.astype(np.uint16) if fits else column, kind="stable").astype(np.int32)


def _rings(after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cycles of a permutation one after the other, each from its smallest member on.

    Args:
        after: (N,) int32, which corner follows each.

    Returns:
        (N,) int32 the corners, ring by ring; (K,) the place of each ring's first corner among them.
    """
    count = len(after)
    if count == 0:
        return after, after
    pointers, ones = np.arange(count + 1, dtype=np.int32), np.ones(count, dtype=np.int8)
    places = np.arange(count, dtype=np.int32)
    graph = sparse.csr_array((ones, after, pointers), shape=(count, count))
    rings, ring = csgraph.connected_components(graph, directed=True, connection="strong")
    heads = np.empty(rings, dtype=np.int32)
    heads[ring[::-1]] = places[::-1]  # the smallest is written last
    # one path through all rings, along which SciPy walks in one call
    before = np.empty_like(after)
    before[after] = places
    after[before[heads]] = np.roll(heads, -1)
    graph = sparse.csr_array((ones, after, pointers), shape=(count, count))
    order = csgraph.breadth_first_order(graph, int(heads[0]), directed=True, return_predecessors=False)
    lengths = np.bincount(ring, minlength=rings)
    return order, np.cumsum(lengths) - lengths


@dataclass(frozen=True)
class Region:
    """Pixels of one value that share edges."""

    value: int
    outline: Polygon
    """On pixel edges; valid."""
    means: tuple[float, ...]
    """Mean of each weight over its pixels."""


def find_regions(
    strips: Iterable[tuple[np.ndarray, Sequence[np.ndarray]]], ignored: int | None = 0, least_area: int = 1
) -> list[Region]:
    """The regions of a raster that comes in strips, in bounded memory but for the outlines.

    Args:
        strips: of rows from top to bottom, each its values, (rows, width) integers, and k weights of that shape.
        ignored: value of pixels that belong to no region; None: there is none.
        least_area: pixels; smaller regions are left out.
    """
    labels, tracer = RegionLabels(ignored), OutlineTracer()
    for values, weights in strips:
        tracer.add(labels.add(values, weights))
    regions = labels.finish().at_least(least_area)
    polygons = tracer.polygons(regions.number_of)
    return [
        Region(int(value), polygon, tuple(means))
        for value, polygon, means in zip(regions.values, polygons, regions.means.T.tolist(), strict=True)
    ]


def strips_of(shape: tuple[int, int], pixels: int = STRIP_PIXELS) -> Iterator[Window]:
    """Windows of whole rows that cover a raster of (rows, cols) once, of about so many pixels each."""
    height = max(1, pixels // max(1, shape[1]))
    for row in range(0, shape[0], height):
        yield Window(0, row, shape[1], min(height, shape[0] - row))


def outlines_of(values: np.ndarray, ignored: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The regions of a class map that fits into memory.

    Args:
        values: (h, w) integers.
        ignored: value of pixels that belong to no region; None: there is none.

    Returns:
        (R,) value of each region; (R,) its polygon in pixels, valid, with holes.
    """
    labels, tracer = RegionLabels(ignored), OutlineTracer()
    tracer.add(labels.add(values))
    regions = labels.finish()
    return regions.values, tracer.polygons(regions.number_of)
