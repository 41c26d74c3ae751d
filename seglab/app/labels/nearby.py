"""Which objects may touch an outline, without looking at all of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from shapely.geometry.base import BaseGeometry

CELL = 128
"""Side of a cell, scene pixels: a few objects fall into each."""

Cell = tuple[int, int]


class Nearby:
    """Numbers of objects by the cells of a coarse grid that they reach into.

    Numbers are only ever added: one whose object is gone or smaller by now does no harm, it is just looked at in vain.
    """

    def __init__(self) -> None:
        self._cells: defaultdict[Cell, list[int]] = defaultdict(list)

    def add(self, number: int, outline: BaseGeometry) -> None:
        """Note where an object lies; an empty one lies nowhere."""
        for cell in _cells(outline):
            self._cells[cell].append(number)

    def of(self, outline: BaseGeometry) -> set[int]:
        """Numbers of the objects that may touch an outline."""
        return {number for cell in _cells(outline) for number in self._cells.get(cell, ())}


def _cells(outline: BaseGeometry) -> Iterator[Cell]:
    if outline.is_empty:
        return
    left, top, right, bottom = (math.floor(value / CELL) for value in outline.bounds)
    yield from ((col, row) for col in range(left, right + 1) for row in range(top, bottom + 1))
