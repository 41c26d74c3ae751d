"""Whether all tiles of a raster have reached the disk: GDAL writes the last of them on closing, and then says nothing
of a disk that is full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio


class WrittenTiles:
    """The tiles of a raster that must hold data.

    Args:
        side: of a tile, pixels.
        empty: the value of pixels that are never written; None: 0.
    """

    def __init__(self, side: int, empty: float | None) -> None:
        self._side = side
        self._empty = 0 if empty is None else empty
        self._held: set[tuple[int, int]] = set()

    def note(self, array: np.ndarray, row: int, col: int) -> None:
        """Remember what was written.

        Args:
            array: (rows, cols).
            row, col: of its top-left pixel.
        """
        holds = ~np.isnan(array) if np.isnan(self._empty) else array != self._empty
        for (tile_row, tile_col), part in self._parts(holds, row, col):
            if part.any():
                self._held.add((tile_row, tile_col))
            else:  # what it held may have been wiped out, and tiles without data take no place
                self._held.discard((tile_row, tile_col))

    def check(self, path: Path) -> None:
        """Look for them in a GeoTIFF.

        Raises:
            OSError: one is not there, or lies beyond the file's end.
        """
        size = path.stat().st_size
        with rasterio.open(path) as file:
            for row, col in sorted(self._held):
                offset, length = (
                    file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")
                )
                if offset is None or length is None or int(offset) + int(length) > size:
                    raise OSError(f"the tile in row {row}, column {col} has not reached the disk")

    def _parts(self, holds: np.ndarray, row: int, col: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        side = self._side
        for tile_row in range(row // side, -(-(row + holds.shape[0]) // side)):
            for tile_col in range(col // side, -(-(col + holds.shape[1]) // side)):
                top, left = tile_row * side - row, tile_col * side - col
                yield (
                    (tile_row, tile_col),
                    holds[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)],
                )
