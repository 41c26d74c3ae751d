"""Windows: the squares of a scene that the model looks at.

A window's plan is separate from its pixels: nothing here reads a raster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from shapely.geometry import Polygon, box


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of a scene in pixels, which may stick out of the scene."""

    col: int
    """Left edge, scene pixels."""
    row: int
    """Top edge, scene pixels."""
    width: int
    """Scene pixels."""
    height: int
    """Scene pixels."""
    scale: int = 1
    """Scene pixels per model pixel, along one axis."""

    def to_json(self) -> list[int]:
        """A value for JSON: what `Window` takes, in order."""
        return [self.col, self.row, self.width, self.height, self.scale]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in scene pixels."""
        return self.height, self.width

    @property
    def model_shape(self) -> tuple[int, int]:
        """(height, width) in model pixels."""
        return self.height // self.scale, self.width // self.scale

    @property
    def center(self) -> tuple[float, float]:
        """(col, row) of the middle, scene pixels."""
        return self.col + self.width / 2, self.row + self.height / 2

    @property
    def polygon(self) -> Polygon:
        """The window's outline in scene pixels."""
        return box(self.col, self.row, self.col + self.width, self.row + self.height)

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, cols) slices of a scene-sized array; only for a window inside the scene."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def contains(self, col: float, row: float) -> bool:
        """Whether a scene pixel coordinate lies in the window."""
        return self.col <= col < self.col + self.width and self.row <= row < self.row + self.height

    def clip(self, shape: tuple[int, int]) -> Window:
        """The part of the window inside a scene of `shape` (rows, cols)."""
        top, left = max(0, self.row), max(0, self.col)
        bottom, right = min(shape[0], self.row + self.height), min(shape[1], self.col + self.width)
        return Window(left, top, max(0, right - left), max(0, bottom - top), self.scale)

    def overlap(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Slices that pair the window's array with a scene's array where both are defined.

        Returns:
            (slices into a window-sized array, slices into a scene-sized array).
        """
        inside = self.clip(shape)
        rows = slice(inside.row - self.row, inside.row - self.row + inside.height)
        cols = slice(inside.col - self.col, inside.col - self.col + inside.width)
        return (rows, cols), inside.slices

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Scene pixels to model pixels.

        Args:
            points: (N, 2) float, (col, row) in scene pixels.

        Returns:
            (N, 2) float64, (x, y) in model pixels.
        """
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return (points - (self.col, self.row)) / self.scale

    def from_model(self, points: np.ndarray) -> np.ndarray:
        """Model pixels to scene pixels: the inverse of `to_model`."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return points * self.scale + (self.col, self.row)


def lattice_window(col: float, row: float, size: int, scale: int, shape: tuple[int, int]) -> Window:
    """The window of a half-overlapping lattice whose centre is nearest to a point.

    Neighbouring clicks share a window, so its embedding is computed once; a point is never nearer than a quarter
    of the window to its edge, unless the scene ends there.

    Args:
        col, row: scene pixels.
        size: side of the model's input, model pixels.
        scale: scene pixels per model pixel.
        shape: (rows, cols) of the scene.

    Returns:
        A square window, shifted to lie inside the scene wherever the scene is large enough.
    """
    side = size * scale
    places = ((col, shape[1]), (row, shape[0]))
    left, top = (_on_lattice(_lattice_step(position, side), extent, side) for position, extent in places)
    return Window(left, top, side, side, scale)


def lattice_windows(
    bounds: tuple[float, float, float, float], size: int, scale: int, shape: tuple[int, int]
) -> list[Window]:
    """The windows that `lattice_window` gives for the points of a rectangle, row by row.

    Args:
        bounds: (left, top, right, bottom), scene pixels; what lies outside the scene does not count.
        size, scale, shape: see `lattice_window`.
    """
    side = size * scale
    left, top, right, bottom = bounds
    if right < left or bottom < top or right < 0 or bottom < 0 or left > shape[1] or top > shape[0]:
        return []

    def origins(first: float, last: float, extent: int) -> list[int]:
        low, high = (_lattice_step(min(max(0.0, place), float(extent)), side) for place in (first, last))
        return sorted({_on_lattice(step, extent, side) for step in range(low, high + 1)})

    rows, cols = origins(top, bottom, shape[0]), origins(left, right, shape[1])
    return [Window(col, row, side, side, scale) for row in rows for col in cols]


def _lattice_step(position: float, side: int) -> int:
    """The place on the endless lattice of the window whose centre is nearest."""
    return round((position - side / 2) / (side // 2))


def _on_lattice(step: int, extent: int, side: int) -> int:
    """Where that window begins, shifted into the scene; scene pixels."""
    return 0 if extent <= side else min(max(0, step * (side // 2)), extent - side)


def blocks(shape: tuple[int, int], side: int) -> Iterator[Window]:
    """Windows that cover a scene of (rows, cols) without overlap, row by row; smaller where it ends."""
    for row in range(0, shape[0], side):
        for col in range(0, shape[1], side):
            yield Window(col, row, side, side).clip(shape)


def common_scale(windows: Iterable[Window]) -> int:
    """The scale that most of the windows have, scene pixels per model pixel; the finest of equals, 1 for none."""
    scales = sorted(window.scale for window in windows)
    return max(scales, key=scales.count, default=1)


def sweep_origins(extent: int, side: int, step: int) -> list[int]:
    """Where windows of a side begin along an axis, a step apart; the last one is shifted to end where the axis ends."""
    if extent <= side:
        return [0]
    count = math.ceil((extent - side) / step) + 1
    return sorted({min(i * step, extent - side) for i in range(count)})


def sweep_windows(shape: tuple[int, int], size: int, overlap: float = 0.25, scale: int = 1) -> Iterator[Window]:
    """Windows that cover a scene, row by row, each shifted to lie inside it.

    Args:
        shape: (rows, cols) of the scene.
        size: side of the model's input, model pixels.
        overlap: share of a window that it has in common with the next one, 0 to under 1.
        scale: scene pixels per model pixel.
    """
    side = size * scale
    step = max(1, round(side * (1 - overlap)))
    for row in sweep_origins(shape[0], side, step):
        for col in sweep_origins(shape[1], side, step):
            yield Window(col, row, side, side, scale)


def pieces_inside(start: int, scale: int, count: int, extent: int) -> Iterator[tuple[slice, int, int]]:
    """Cut one axis of a window where it leaves the scene, so that output pixels stay aligned with scene
    pixels.

    GDAL shrinks an area to a shape evenly. Where the scene ends inside an output pixel, that pixel is read on
    its own.

    Args:
        start: scene pixel of the window's edge; scale: scene pixels per output pixel; count: output pixels;
        extent: scene pixels.

    Yields:
        (output slice, first scene pixel, last scene pixel + 1).
    """
    low, high = max(0, start), min(extent, start + count * scale)
    if high <= low:
        return
    first, last = -((start - low) // scale), (high - start) // scale  # whole output pixels: first..last
    if (low - start) % scale:
        edge = (low - start) // scale
        yield slice(edge, edge + 1), low, min(high, start + (edge + 1) * scale)
    if last > first:
        yield slice(first, last), start + first * scale, start + last * scale
    if (high - start) % scale and last >= first:
        yield slice(last, last + 1), start + last * scale, high
