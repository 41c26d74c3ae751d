"""Views: a window turned, zoomed and recoloured, as training sees it.

A view maps a square onto a square of the same size, so that its pixels, labels and clicks stay together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TURNS = 8
"""The symmetries of the square: four quarter turns, each also mirrored."""


@dataclass(frozen=True)
class View:
    """What augmentation does to a window: first a turn, then a zoom about the middle, then a change of colour."""

    turn: int = 0
    """0 to 7: so many quarter turns counter-clockwise, from 4 on of the mirrored window."""
    zoom: float = 1.0
    """Over 1 shows the middle larger; under 1 shows the whole window smaller, with nothing around it."""
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Contrast of each band, about mid-grey (127.5)."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Brightness added to each band, of 255."""

    @property
    def is_plain(self) -> bool:
        """Whether the view changes nothing."""
        return self == View()

    def image(self, rgb: np.ndarray) -> np.ndarray:
        """The pixels of the view.

        Args:
            rgb: (S, S, 3) uint8.

        Returns:
            (S, S, 3) uint8; black where there is nothing.
        """
        shown = self._moved(rgb, cv2.INTER_LINEAR, 0)
        if self.gain == (1.0, 1.0, 1.0) and self.offset == (0.0, 0.0, 0.0):
            return shown
        coloured = (shown.astype(np.float32) - 127.5) * np.float32(self.gain) + 127.5 + np.float32(self.offset)
        coloured = np.clip(np.rint(coloured), 0, 255).astype(np.uint8)
        if self.zoom < 1:  # what lies around the window stays black
            coloured[~self._moved(np.ones(rgb.shape[:2], dtype=bool), cv2.INTER_NEAREST, 0)] = 0
        return coloured

    def labels(self, array: np.ndarray, fill: int = 0) -> np.ndarray:
        """Labels of the view: the nearest label of each pixel.

        Args:
            array: (m, m) bool or integers, of any resolution.
            fill: the label of what lies around the window.

        Returns:
            (m, m), of the same type.
        """
        return self._moved(array, cv2.INTER_NEAREST, fill)

    def layers(self, bands: np.ndarray) -> np.ndarray:
        """More bands of the view, their values as they are.

        Args:
            bands: (E, S, S) float32.

        Returns:
            (E, S, S) float32, 0 where there is nothing.
        """
        return np.stack([self._moved(band, cv2.INTER_LINEAR, 0) for band in bands]) if len(bands) else bands

    def points(self, xy: np.ndarray, size: float) -> np.ndarray:
        """Where points of the window lie in the view.

        Args:
            xy: (N, 2) continuous (x, y): the first pixel's centre is (0.5, 0.5).
            size: side of the window in the same unit.

        Returns:
            (N, 2) float32; beyond 0..size where a point is not in the view.
        """
        x, y = np.asarray(xy, dtype=np.float64).reshape(-1, 2).T
        if self.turn >= 4:
            x = size - x
        for _ in range(self.turn % 4):
            x, y = y, size - x
        turned = np.stack([x, y], axis=1)
        return ((turned - size / 2) * self.zoom + size / 2).astype(np.float32)

    def _moved(self, array: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
        """Turned and zoomed, without a change of values."""
        flipped = array[:, ::-1] if self.turn >= 4 else array
        turned = np.ascontiguousarray(np.rot90(flipped, self.turn % 4))
        if self.zoom == 1:
            return turned
        side = turned.shape[0]
        shift = (1 - self.zoom) * (side - 1) / 2  # cv2 counts from the first pixel's centre
        matrix = np.array([[self.zoom, 0, shift], [0, self.zoom, shift]])
        kind = np.uint8 if turned.dtype == bool else np.int16 if turned.dtype.kind == "i" else turned.dtype
        moved = cv2.warpAffine(
            turned.astype(kind), matrix, (side, side), flags=interpolation,
            borderMode=cv2.BORDER_CONSTANT, borderValue=(fill,) * 4,
        )  # fmt: skip
        return moved.astype(turned.dtype)
