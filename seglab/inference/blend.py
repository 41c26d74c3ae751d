"""Blending overlapping windows into one map, strip by strip, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seglab.core.windows import Window


def taper(side: int) -> np.ndarray:
    """(side, side) float32 weights that fall smoothly from a window's centre to near zero at its edges.

    A squared-sine profile along each axis, with a floor so that pixels only one window sees keep a weight.
    """
    profile = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 + 1e-3
    return np.outer(profile, profile).astype(np.float32)


class Blender:
    """Weighted mean of window scores over a scene, handed out as finished strips of rows.

    Rows that no window touches are in no strip; a pixel of a strip that no window touches has zeros.

    Windows must come row by row, as `sweep_windows` plans them: when a window starts lower than the ones before it,
    all rows above it are finished.

    Args:
        channels: scores per pixel.
        shape: (rows, cols) of the scene.
    """

    def __init__(self, channels: int, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._channels = channels
        self._top = 0
        self._sum = np.zeros((channels, 0, shape[1]), dtype=np.float32)
        self._weight = np.zeros((0, shape[1]), dtype=np.float32)

    def add(self, window: Window, scores: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Add a window's scores.

        Args:
            window: where.
            scores: (channels, window.height, window.width) float32.

        Yields:
            (first row, (channels, rows, cols)) strips that no later window touches.
        """
        if window.row > self._top:
            yield from self._finish(window.row)
        self._grow(min(window.row + window.height, self._shape[0]))
        (rows, cols), (_, into) = window.overlap(self._shape)
        weight = taper(window.height)[rows, cols]
        start = max(window.row, 0) - self._top
        strip = slice(start, start + weight.shape[0])
        self._sum[:, strip, into] += scores[:, rows, cols] * weight
        self._weight[strip, into] += weight

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """The strips that are left when all windows have been added."""
        yield from self._finish(self._shape[0])

    def _grow(self, bottom: int) -> None:
        missing = bottom - self._top - self._weight.shape[0]
        if missing > 0:
            self._sum = np.pad(self._sum, ((0, 0), (0, missing), (0, 0)))
            self._weight = np.pad(self._weight, ((0, missing), (0, 0)))

    def _finish(self, row: int) -> Iterator[tuple[int, np.ndarray]]:
        if row <= self._top:
            return
        seen = min(row - self._top, self._weight.shape[0])  # no window may have come near the rows below
        if seen:
            yield self._top, self._sum[:, :seen] / np.maximum(self._weight[:seen], 1e-12)
        self._sum, self._weight = self._sum[:, seen:], self._weight[seen:]
        self._top = row
