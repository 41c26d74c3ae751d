"""Images in memory, written once and block by block to a tiled GeoTIFF."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterWindow

from seglab.errors import UnsupportedSceneError, WriteError

MAX_BANDS = 13
"""Bands an array may have; also how its band axis is told from its rows and columns."""

_BLOCK = 1024  # pixels; a block is read and written in one go
_LARGEST_BLOCK = 4096
_TILE = 512
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class Pixels:
    """An image whose pixels are asked for block by block."""

    name: str
    """For a person."""
    count: int
    """Bands."""
    height: int
    """Rows."""
    width: int
    """Columns."""
    dtype: str
    """NumPy name of the data type it is written in."""
    read: Callable[[slice, slice], np.ndarray]
    """(rows, cols) to (count, h, w)."""
    transform: Affine = field(default_factory=Affine.identity)
    """(col, row) to (x, y) in `crs`."""
    crs: str | None = None
    """WKT; None in pixel space."""
    nodata: float | None = None
    """Value of a pixel that holds nothing."""
    names: tuple[str, ...] = ()
    """Of the bands, "" where one has none; () if none has."""
    colours: tuple[ColorInterp, ...] = ()
    """Colour tags of the bands; () for none."""
    row_chunks: tuple[int, ...] = ()
    """Heights of the source's own blocks; () if it has none."""
    col_chunks: tuple[int, ...] = ()
    """Widths of the source's own blocks."""


# -- NumPy


def pixels_of_array(source: Any) -> Pixels:
    """An image given as an array.

    Args:
        source: (H, W), (H, W, C) or (C, H, W) numbers, C at most 13, or what NumPy makes one of (a PIL
            image).

    Raises:
        UnsupportedSceneError: another shape or data type.
    """
    array = source if isinstance(source, np.ndarray) else np.asarray(source)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise UnsupportedSceneError(f"an image of shape {array.shape!r} is not (H, W), (H, W, C) or (C, H, W)")
    first, last = array.shape[0], array.shape[2]
    if last <= MAX_BANDS and (first > MAX_BANDS or last in (1, 3, 4)):
        array = np.moveaxis(array, -1, 0)
    if array.shape[0] > MAX_BANDS:
        raise UnsupportedSceneError(
            f"an image of shape {array.shape!r} has no axis of at most {MAX_BANDS} bands; select bands first"
        )
    is_masked = isinstance(array, np.ma.MaskedArray)
    dtype = raster_dtype(np.dtype(np.float32) if is_masked and array.dtype.kind != "f" else array.dtype)

    def read(rows: slice, cols: slice) -> np.ndarray:
        block = array[:, rows, cols]
        if is_masked:
            block = np.ma.filled(block.astype(dtype), np.nan)
        return np.asarray(block, dtype=dtype)

    count, height, width = array.shape
    return Pixels(
        name="image",
        count=count,
        height=height,
        width=width,
        dtype=dtype,
        read=read,
        nodata=np.nan if dtype.startswith("float") else None,
        colours=_RGB if count == 3 and dtype == "uint8" else (),
    )


def raster_dtype(dtype: np.dtype) -> str:
    """The data type to write an array in.

    Raises:
        UnsupportedSceneError: complex numbers, text, dates.
    """
    if dtype.kind == "c":
        raise UnsupportedSceneError(f"complex pixels ({dtype}) cannot be shown; open their magnitude: abs(image)")
    if dtype.kind not in "buif":
        raise UnsupportedSceneError(f"pixels of type {dtype} are not numbers; convert them to uint8 or float32")
    if dtype.kind == "b":
        return "uint8"
    if dtype.kind == "f":
        return "float32" if dtype.itemsize <= 4 else "float64"
    return "float64" if dtype.itemsize == 8 else dtype.name


# -- writing


def _cuts(extent: int, chunks: Sequence[int]) -> list[int]:
    """Where to cut an axis into blocks, at the source's own chunk borders where it has some."""
    cuts, position = [0], 0
    for size in chunks:
        position += size
        if position - cuts[-1] >= _BLOCK:
            cuts.append(position)
    if cuts[-1] < extent:
        cuts.append(extent)
    step = _LARGEST_BLOCK if chunks else _BLOCK
    fine = [start for a, b in pairwise(cuts) for start in range(a, b, step)]
    return [*fine, extent]


def _blocks(pixels: Pixels) -> Iterator[tuple[slice, slice]]:
    rows, cols = _cuts(pixels.height, pixels.row_chunks), _cuts(pixels.width, pixels.col_chunks)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            yield slice(top, bottom), slice(left, right)


def write_pixels(pixels: Pixels, folder: Path) -> tuple[Path, str]:
    """Write an image to a tiled GeoTIFF with overviews, named by its content; nothing is kept twice.

    Returns:
        (path, content hash).

    Raises:
        WriteError: the folder cannot be written, or the image cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    header = (pixels.count, pixels.height, pixels.width, pixels.dtype, pixels.transform[:6], pixels.crs)
    digest.update(repr((header, pixels.nodata, pixels.names, pixels.colours)).encode())
    part = folder / f".scene-{os.getpid()}-{id(pixels):x}.tif"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            _write_file(pixels, part, digest)
        path = folder / f"scene-{digest.hexdigest()}.tif"
        if not path.exists():  # the same content is already there, perhaps open
            os.replace(part, path)
    except OSError as error:
        raise WriteError(
            f"the image could not be written to {str(folder)!r} ({error}); free some space or give another workdir"
        ) from error
    finally:
        with suppress(OSError):  # it was moved, or never made
            part.unlink()
    return path, digest.hexdigest()


def _write_file(pixels: Pixels, path: Path, digest: hashlib._Hash) -> None:
    is_rgb = pixels.colours[:3] == _RGB
    profile = {
        "driver": "GTiff",
        "count": pixels.count,
        "height": pixels.height,
        "width": pixels.width,
        "dtype": pixels.dtype,
        "crs": pixels.crs,
        "transform": pixels.transform if pixels.crs else None,
        "nodata": pixels.nodata,
        "tiled": True,
        "blockxsize": _TILE,
        "blockysize": _TILE,
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
        "photometric": "rgb" if is_rgb else "minisblack",  # GDAL would call any three 8-bit bands RGB
        "alpha": "yes" if ColorInterp.alpha in pixels.colours else "no",
    }
    with rasterio.open(path, "w", **profile) as file:
        for index, name in enumerate(pixels.names, start=1):
            if name:
                file.set_band_description(index, name)
        for rows, cols in _blocks(pixels):
            block = np.ascontiguousarray(pixels.read(rows, cols))
            digest.update(block)
            file.write(block, window=RasterWindow.from_slices(rows, cols))
    factors = [2**i for i in range(1, 12) if max(pixels.height, pixels.width) / 2**i >= _TILE]
    if factors:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(factors, Resampling.average)
