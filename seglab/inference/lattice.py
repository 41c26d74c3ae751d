"""Where a map's windows and blocks lie: planned once, from the scene's size alone, so that every process agrees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from seglab.core.windows import Window, sweep_origins

STEP_UNIT = 64
"""Windows begin at multiples of so many cells, where they are large enough: some number of steps then fills whole
tiles of a raster file."""
FILE_TILE = 512
"""Larger blocks are a multiple of this many scene pixels where that is possible: tiles of 256 and 512 are common."""
MOST_TRIES = 8
"""A block is at most so many steps larger than it must be in order to be a multiple of FILE_TILE."""


@dataclass(frozen=True)
class Place:
    """One window of a lattice."""

    row: int
    """Counted in windows, from the top."""
    col: int
    """Counted in windows, from the left."""
    cells: Window
    """What it covers, in cells."""
    window: Window
    """The same in scene pixels, at the lattice's scale."""
    shared: bool
    """Whether it reaches into more than one block."""


@dataclass(frozen=True)
class Block:
    """A part of a map that is finished on its own."""

    row: int
    col: int
    cells: Window
    """What it covers, in cells, inside the scene."""
    pixels: Window
    """The same in scene pixels, inside the scene."""

    @property
    def name(self) -> str:
        """For a person."""
        p = self.pixels
        return f"block {self.row},{self.col} (rows {p.row} to {p.row + p.height}, cols {p.col} to {p.col + p.width})"


@dataclass(frozen=True)
class Lattice:
    """Overlapping windows over a scene, and the blocks in which their scores are put together."""

    shape: tuple[int, int]
    """(rows, cols) of the scene, pixels."""
    size: int
    """Side of a window, cells: the model's input."""
    scale: int = 1
    """Side of a cell, scene pixels."""
    overlap: float = 0.125
    """Share of a window that it has in common with the next one, at least."""
    block_size: int = 1536
    """Side of a block, scene pixels, at least: by itself 64 windows of the embedded model."""

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, cols) of the scene in cells."""
        return -(-self.shape[0] // self.scale), -(-self.shape[1] // self.scale)

    @property
    def step(self) -> int:
        """From one window to the next, cells."""
        wanted = max(1, math.floor(self.size * (1 - self.overlap)))
        return wanted if wanted < STEP_UNIT else wanted // STEP_UNIT * STEP_UNIT

    @cached_property
    def side(self) -> int:
        """Of a block, cells."""
        step = self.step * self.scale
        least = -(-self.block_size // step)
        tries = MOST_TRIES if self.block_size >= FILE_TILE else 0
        whole = (n for n in range(least, least + tries) if n * step % FILE_TILE == 0)
        return next(whole, least) * self.step

    @property
    def counts(self) -> tuple[int, int]:
        """(rows, cols) of windows."""
        rows, cols = self._origins
        return len(rows), len(cols)

    def blocks(self) -> list[Block]:
        """All blocks, row by row."""
        rows, cols = (range(-(-extent // self.side)) for extent in self.cells)
        return [self.block(row, col) for row in rows for col in cols]

    def block(self, row: int, col: int) -> Block:
        """One block."""
        cells = Window(col * self.side, row * self.side, self.side, self.side)
        s = self.scale
        pixels = Window(cells.col * s, cells.row * s, self.side * s, self.side * s).clip(self.shape)
        return Block(row, col, cells.clip(self.cells), pixels)

    def places(self, block: Block) -> Iterator[Place]:
        """The windows that reach into a block, row by row."""
        reach = block.cells
        for row in self._reaching(0, reach.row, reach.row + reach.height):
            for col in self._reaching(1, reach.col, reach.col + reach.width):
                yield self.place(row, col)

    def rows(self) -> Iterator[list[Place]]:
        """All windows, row by row."""
        tops, lefts = self._origins
        for row in range(len(tops)):
            yield [self.place(row, col) for col in range(len(lefts))]

    def place(self, row: int, col: int) -> Place:
        """One window."""
        top, left, s = self._origins[0][row], self._origins[1][col], self.scale
        cells = Window(left, top, self.size, self.size)
        window = Window(left * s, top * s, self.size * s, self.size * s, s)
        return Place(row, col, cells, window, self._is_shared(0, top) or self._is_shared(1, left))

    @cached_property
    def _origins(self) -> tuple[list[int], list[int]]:
        """Where the windows begin, from the top and from the left, cells."""
        rows, cols = (sweep_origins(extent, self.size, self.step) for extent in self.cells)
        return rows, cols

    def _reaching(self, axis: int, first: int, end: int) -> list[int]:
        return [i for i, at in enumerate(self._origins[axis]) if at < end and at + self.size > first]

    def _is_shared(self, axis: int, origin: int) -> bool:
        last = min(origin + self.size, self.cells[axis]) - 1
        return origin // self.side != last // self.side
