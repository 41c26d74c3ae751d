"""The true area of every pixel of a grid, from which areas of regions are summed."""

from __future__ import annotations

import math

import numpy as np
import pyproj

from seglab.core.grid import LONLAT, Grid
from seglab.core.windows import Window

LATTICE_M = 20_000.0
"""Metres between the places where pixels are measured, at most: the cosine of the latitude bends by 1e-6 in between."""
LATTICE_PX = 64
"""The same, pixels."""


class PixelAreas:
    """Areas of pixels on the WGS 84 ellipsoid. They change slowly: measured on a lattice, and interpolated in between.

    Args:
        grid: of a scene with a CRS.
    """

    def __init__(self, grid: Grid) -> None:
        step = int(min(max(LATTICE_M / (grid.pixel_size_m or 1.0), 1), LATTICE_PX))
        self._cols, self._rows = (_places(extent, step) for extent in (grid.width, grid.height))
        self._lattice = _measured(grid, self._cols, self._rows)

    def of(self, window: Window) -> np.ndarray:
        """(rows, cols) float64, square metres, of a window inside the scene."""
        rows = np.arange(window.row, window.row + window.height) + 0.5
        cols = np.arange(window.col, window.col + window.width) + 0.5
        at = np.clip(np.searchsorted(self._rows, rows, "right") - 1, 0, len(self._rows) - 2)
        share = ((rows - self._rows[at]) / (self._rows[at + 1] - self._rows[at]))[:, None]
        used = slice(at[0], at[-1] + 2)  # the rows of the lattice around the window
        along = np.stack([np.interp(cols, self._cols, row) for row in self._lattice[used]])
        at = at - used.start
        return along[at] * (1 - share) + along[at + 1] * share


def _places(extent: int, step: int) -> np.ndarray:
    """Places along an axis, `step` apart or less, the first and the last pixel's centres among them."""
    return np.linspace(0.5, max(extent - 0.5, 1.5), max(2, math.ceil(extent / step) + 1))


def _measured(grid: Grid, cols: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(rows, cols) area of the pixel around each place, square metres; 0 where there is no ground."""
    x, y = np.meshgrid(cols, rows)
    northwest, northeast, southeast, southwest = (
        _in_space(*grid.from_pixel((x + dx).ravel(), (y + dy).ravel(), LONLAT))
        for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    )
    area = np.linalg.norm(np.cross(southeast - northwest, southwest - northeast), axis=1) / 2
    return np.nan_to_num(area, posinf=0.0, neginf=0.0).reshape(x.shape)


def _in_space(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(N, 3) places on the ellipsoid, metres from its centre: there neither poles nor the antimeridian are special."""
    geod = pyproj.Geod(ellps="WGS84")
    lon, lat = np.radians(lon), np.radians(lat)
    normal = geod.a / np.sqrt(1 - geod.es * np.sin(lat) ** 2)
    return np.stack(
        [normal * np.cos(lat) * np.cos(lon), normal * np.cos(lat) * np.sin(lon), normal * (1 - geod.es) * np.sin(lat)],
        axis=1,
    )
