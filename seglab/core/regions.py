"""Connected regions of equal value in a raster that is read tile by tile: memory holds one tile and the outlines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry import MultiPolygon

from seglab.core.masks import as_multipolygon, outlines_of
from seglab.core.windows import Window

TILE = 1024
"""Side of a tile, pixels: its labels and weights take some tens of megabytes."""


@dataclass(frozen=True)
class Region:
    """Pixels of one value that share edges."""

    value: int
    outline: MultiPolygon
    """On pixel edges."""
    means: tuple[float, ...]
    """Mean of each weight over its pixels."""


def tiles_of(shape: tuple[int, int], side: int = TILE) -> Iterator[Window]:
    """Windows that cover a raster of (rows, cols) once, row by row."""
    for row in range(0, shape[0], side):
        for col in range(0, shape[1], side):
            yield Window(col, row, min(side, shape[1] - col), min(side, shape[0] - row))


def find_regions(tiles: Iterable[tuple[Window, np.ndarray, np.ndarray]], least_area: int = 1) -> Iterator[Region]:
    """The connected regions of a raster; a region that goes on in the next tile is one all the same.

    Args:
        tiles: in the order of `tiles_of`, each its window, its values, (h, w) uint8 of which 0 is nothing, and its
            weights, (k, h, w) float32.
        least_area: pixels; smaller regions are left out.

    Yields:
        Each region once it is whole, in no particular order.
    """
    joined = _Joined()
    for window, values, weights in tiles:
        joined.begin(values.shape)
        for value in np.unique(values[values > 0]).tolist():
            labels, count = ndimage.label(values == value)
            yield from joined.add(window, value, labels, count, weights, least_area)
        joined.meet(window)
    yield from joined.rest(least_area)


@dataclass
class _Part:
    """What one tile holds of a region that reaches the tile's edge."""

    value: int
    outlines: list[MultiPolygon]
    area: int
    sums: np.ndarray
    whole: int | None = None
    """The part that it has been joined to."""


@dataclass
class _Joined:
    """Parts of regions that are cut by the edges of tiles."""

    parts: list[_Part] = field(default_factory=list)
    tile: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """Number of the part at each pixel of the tile at hand, from 1."""
    below: dict[int, np.ndarray] = field(default_factory=dict)
    """Parts along the bottom of the tile above, by its first column."""
    beside: tuple[int, np.ndarray] | None = None
    """The row of the tile to the left, and the parts along its right side."""

    def begin(self, shape: tuple[int, int]) -> None:
        """Go to a tile of (rows, cols)."""
        self.tile = np.zeros(shape, np.int64)

    def add(
        self, window: Window, value: int, labels: np.ndarray, count: int, weights: np.ndarray, least_area: int
    ) -> Iterator[Region]:
        """Take the regions of one value in a tile; those inside it are whole."""
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        sums = [np.bincount(labels.ravel(), weight.ravel(), minlength=count + 1) for weight in weights]
        on_edge = np.zeros(count + 1, bool)
        on_edge[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
        wanted = on_edge | (areas >= least_area)
        wanted[0] = False
        outlines = outlines_of(np.where(wanted[labels], labels, 0).astype(np.int32), window.col, window.row)
        numbers = np.zeros(count + 1, np.int64)
        for number, outline in outlines.items():
            total = np.array([one[number] for one in sums])
            if on_edge[number]:
                self.parts.append(_Part(value, [outline], int(areas[number]), total))
                numbers[number] = len(self.parts)
            else:
                yield Region(value, outline, tuple((total / areas[number]).tolist()))
        self.tile += numbers[labels]

    def meet(self, window: Window) -> None:
        """Join the parts of the tile to those of its neighbours above and to the left."""
        above = self.below.get(window.col)
        if above is not None:
            self._join(above, self.tile[0])
        if self.beside is not None and self.beside[0] == window.row:
            self._join(self.beside[1], self.tile[:, 0])
        self.below[window.col] = self.tile[-1].copy()  # not a view: it would hold the whole tile
        self.beside = window.row, self.tile[:, -1].copy()

    def rest(self, least_area: int) -> Iterator[Region]:
        """The regions that lie in several tiles, or end at the edge of one."""
        for part in self.parts:
            if part.whole is None and part.area >= least_area:
                outline = as_multipolygon(shapely.union_all(part.outlines))
                yield Region(part.value, outline, tuple((part.sums / part.area).tolist()))

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        pairs = np.unique(np.stack([one, other], axis=1)[(one > 0) & (other > 0)], axis=0)
        for first, second in pairs.tolist():
            a, b = self._whole(first - 1), self._whole(second - 1)
            if a == b or self.parts[a].value != self.parts[b].value:
                continue
            into, gone = self.parts[a], self.parts[b]
            into.outlines += gone.outlines
            into.area, into.sums, gone.whole, gone.outlines = into.area + gone.area, into.sums + gone.sums, a, []

    def _whole(self, number: int) -> int:
        while self.parts[number].whole is not None:
            number = self.parts[number].whole
        return number
