"""Class maps of several scenes as one raster: where they overlap, the surer one counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow

from seglab.core.class_map import ClassMap, confidence_path
from seglab.core.gdal_errors import told
from seglab.core.handles import open_dataset
from seglab.errors import DamagedSceneError, MissingCRSError, RoundMismatchError
from seglab.jobs import Reporter
from seglab.store.rasters import RasterWriter

BLOCK = 2048
"""Side of what is in memory at once, pixels."""
NO_DATA = 255
"""Of class maps and their confidence."""
SLACK = 0.01
"""Pixels: a rounding error of so much is no further pixel."""


@dataclass(frozen=True)
class _Frame:
    """Where the mosaic lies."""

    crs: rasterio.crs.CRS
    transform: Affine
    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float], ...]
    """Of each map: first column and row, last column and row, pixels of the mosaic."""


@dataclass(frozen=True)
class _Sheet:
    """A map as it lies on the mosaic's grid."""

    path: Path
    classes: WarpedVRT
    confidence: WarpedVRT
    box: tuple[float, float, float, float]

    def read(self, window: RasterWindow) -> tuple[np.ndarray, np.ndarray]:
        """Classes and percent of a window, (rows, cols) uint8.

        Raises:
            DamagedSceneError: they cannot be read.
        """
        try:
            return self.classes.read(1, window=window), self.confidence.read(1, window=window)
        except RasterioError as error:
            raise DamagedSceneError(
                f"{str(self.path)!r} or its confidence cannot be read ({told(error)}); make that map again"
            ) from error

    def touches(self, window: RasterWindow) -> bool:
        left, top, right, bottom = self.box
        return (
            left < window.col_off + window.width
            and right > window.col_off
            and top < window.row_off + window.height
            and bottom > window.row_off
        )


def mosaic(reporter: Reporter, maps: Sequence[Path], path: Path) -> Path:
    """Put class maps together, in the CRS and with the pixels of the first one; the others are resampled by the nearest
    pixel where they do not lie on its grid.

    Args:
        reporter: told megapixels done.
        maps: of one round, with their confidence beside them.
        path: the mosaic; its confidence goes beside it.

    Returns:
        The path.

    Raises:
        MissingCRSError: a map has no place.
        RoundMismatchError: the maps are of other classes.
        DamagedSceneError: a map cannot be read.
        WriteError: it could not be written; what stood there still does.
        SegLabError: as ClassMap raises.
    """
    names, colours, tags = _common(maps)
    with ExitStack() as files:
        frame = _frame([files.enter_context(open_dataset(str(one))) for one in maps])
        place = {"crs": frame.crs, "transform": frame.transform, "width": frame.width, "height": frame.height}
        sheets = [_sheet(files, one, place, bounds) for one, bounds in zip(maps, frame.boxes, strict=True)]
        writing = (frame.width, frame.height, frame.transform, frame.crs, "uint8", NO_DATA)
        classes = files.enter_context(RasterWriter(path, *writing, colours=colours, names=names, tags=tags))
        confidence = files.enter_context(RasterWriter(confidence_path(path), *writing, tags=tags))
        total, done = frame.width * frame.height / 1e6, 0.0
        for window in _windows(frame):
            best, percent = _surest([sheet for sheet in sheets if sheet.touches(window)], window)
            if (best != NO_DATA).any():
                classes.write(best, window.row_off, window.col_off)
                confidence.write(percent, window.row_off, window.col_off)
            done += window.width * window.height / 1e6
            reporter.update(done, total, message="putting the maps together")
        classes.complete()  # before its confidence gets its name
    return path


def _common(maps: Sequence[Path]) -> tuple[dict[int, str], dict[int, str], dict[str, str]]:
    """Class names and colours, which all maps must share, and the tags of the mosaic."""
    first: tuple[Mapping[int, str], int | None] | None = None
    colours: dict[int, str] = {}
    for path in maps:
        with ClassMap(path) as one:
            if not one.grid.is_georeferenced:
                raise MissingCRSError(f"{str(path)!r} has no CRS, so it has no place in a mosaic; leave it out")
            if first is None:
                first = one.names, one.round
                colours = {value: one.colour(value) for value in one.names if value}
            if (one.names, one.round) != first:
                raise RoundMismatchError(
                    f"{str(path)!r} was made by another round, or of other classes, than {str(maps[0])!r}; map all "
                    "scenes with one round first"
                )
    assert first is not None
    return dict(first[0]), colours, {"seglab_round": str(first[1])}


def _frame(files: Sequence[rasterio.DatasetReader]) -> _Frame:
    """The grid of the first map, stretched over all of them."""
    first = files[0]
    found = []
    for file in files:
        west, south, east, north = transform_bounds(file.crs, first.crs, *file.bounds, densify_pts=21)
        corners = [~first.transform @ (x, y) for x in (west, east) for y in (south, north)]
        cols, rows = zip(*corners, strict=True)
        found.append((min(cols), min(rows), max(cols), max(rows)))
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    left, top = math.floor(min(lefts) + SLACK), math.floor(min(tops) + SLACK)
    width, height = math.ceil(max(rights) - SLACK) - left, math.ceil(max(bottoms) - SLACK) - top
    boxes = tuple((a - left, b - top, c - left, d - top) for a, b, c, d in found)
    return _Frame(first.crs, first.transform @ Affine.translation(left, top), width, height, boxes)


def _sheet(files: ExitStack, path: Path, place: Mapping[str, object], box: tuple[float, float, float, float]) -> _Sheet:
    laid = []
    for file in (path, confidence_path(path)):
        source = files.enter_context(open_dataset(str(file)))
        warped = WarpedVRT(source, resampling=Resampling.nearest, src_nodata=NO_DATA, nodata=NO_DATA, **place)
        laid.append(files.enter_context(warped))
    return _Sheet(path, laid[0], laid[1], box)


def _windows(frame: _Frame) -> Iterator[RasterWindow]:
    for row in range(0, frame.height, BLOCK):
        for col in range(0, frame.width, BLOCK):
            yield RasterWindow(col, row, min(BLOCK, frame.width - col), min(BLOCK, frame.height - row))


def _surest(sheets: Sequence[_Sheet], window: RasterWindow) -> tuple[np.ndarray, np.ndarray]:
    """Classes and percent of a window, (rows, cols) uint8: of each pixel from the map that is surest there."""
    best = np.full((window.height, window.width), NO_DATA, dtype=np.uint8)
    percent = best.copy()
    for sheet in sheets:
        values, sure = sheet.read(window)
        better = (values != NO_DATA) & ((best == NO_DATA) | (sure > percent))
        best[better], percent[better] = values[better], sure[better]
    return best, percent
