"""Rasters written block by block that end as Cloud-Optimized GeoTIFFs, whole or not at all."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.crs
import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError  # shutil.copy lets GDAL's own errors through
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from seglab.core.gdal_errors import told
from seglab.errors import WriteError
from seglab.store import atomic
from seglab.store.colours import parse_colour
from seglab.store.tile_check import WrittenTiles

BLOCK_SIZE = 512
"""Tile size of the file, in pixels; writes that cover whole tiles are the cheapest."""

_ABANDONED_AFTER_S = 24 * 3600.0
"""A temporary raster that nobody has written to for so long belongs to a killed process."""


class RasterWriter:
    """A one-band raster that appears under its name only when `finish` has made it complete.

    Blocks go to a temporary tiled GeoTIFF beside the final one, so memory stays small whatever the scene's
    size. As a context manager it finishes on a clean exit and aborts when an exception leaves the block.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        transform: Affine,
        crs: Any,
        dtype: str | np.dtype,
        nodata: float | None,
        colours: Mapping[int, str] | None = None,
        names: Mapping[int, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Start an empty raster.

        Args:
            path: Its final name; an existing file stays as it is until `finish`.
            width: In pixels.
            height: In pixels.
            transform: Pixel (col, row) to coordinates of `crs`.
            crs: Anything that pyproj or rasterio takes, or None.
            dtype: Of the pixels.
            nodata: The value of pixels that are never written (0 when None); stored in the file.
            colours: '#rrggbb' per value (dtype uint8 or uint16): the file's colour table.
            names: Name per value: band tags `class_<value>` and GDAL category names (QGIS shows them).
            tags: More tags of the file.

        Raises:
            WriteError: The file cannot be made, or the colours do not go with the dtype.
        """
        self.path = Path(path)
        self._dtype = np.dtype(dtype)
        self._names = dict(names or {})
        self._classes = bool(colours or names)
        table = _colour_table(colours, self._dtype) if colours else None
        self._complete = False
        self._tiles = WrittenTiles(BLOCK_SIZE, nodata)
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()
        atomic.remove_leftovers(self.path.parent, self.path.name, _ABANDONED_AFTER_S)
        with contextlib.ExitStack() as stack, _refusals(self.path):
            self._temp = stack.enter_context(atomic.temporary(self.path))
            self._cog = stack.enter_context(atomic.temporary(self.path))
            profile = {
                "width": width,
                "height": height,
                "count": 1,
                "dtype": self._dtype.name,
                "nodata": nodata,
            }
            if not transform.is_identity or crs is not None:
                profile["transform"] = transform
            if crs is not None:
                profile["crs"] = rasterio.crs.CRS.from_user_input(crs)
            self._file = stack.enter_context(_create(self._temp, profile))
            self._file.update_tags(**(tags or {}))
            self._file.update_tags(1, **{f"class_{value}": name for value, name in self._names.items()})
            if table:
                self._file.write_colormap(1, table)
            self._open = stack.pop_all()

    def write(self, array: np.ndarray, row: int, col: int) -> None:
        """Write a block; later blocks win where they overlap. Safe between threads.

        Args:
            array: (rows, cols), of a dtype that fits the raster's without loss (bool counts as uint8).
            row: Of its top-left pixel.
            col: Of its top-left pixel.

        Raises:
            WriteError: The block sticks out, is of another dtype, the raster is finished, or the disk is
                full.
        """
        array = np.asarray(array)
        if array.dtype == bool:
            array = array.view(np.uint8)
        if array.ndim != 2 or not np.can_cast(array.dtype, self._dtype, "safe"):
            raise WriteError(
                f"a block of shape {array.shape} and dtype {array.dtype} does not go into a raster of "
                f"{self._dtype}: give (rows, cols), converted to that dtype"
            )
        rows, cols = array.shape
        with self._lock:
            self._check_open()
            if row < 0 or col < 0 or row + rows > self._file.height or col + cols > self._file.width:
                raise WriteError(
                    f"a block of {rows} x {cols} at row {row}, col {col} sticks out of the raster of "
                    f"{self._file.height} x {self._file.width}: crop it"
                )
            if array.size:
                with _refusals(self.path):
                    self._tiles.note(array, row, col)
                    self._file.write(array.astype(self._dtype, copy=False), 1, window=Window(col, row, cols, rows))

    def complete(self) -> None:
        """Make the Cloud-Optimized GeoTIFF with its overviews, under a temporary name: `finish` only gives it its own.
        Files that belong together are all completed before the first one is finished.

        Raises:
            WriteError: It could not be made; what stood under the name still does.
        """
        with self._lock:
            self._check_open()
            with contextlib.ExitStack() as failing:
                failing.push(self._open)
                with _refusals(self.path), _no_georeference_is_fine():
                    self._file.close()
                    self._tiles.check(self._temp)
                    rasterio.shutil.copy(self._temp, self._cog, driver="COG", **self._cog_options())
                    self._tiles.check(self._cog)
                failing.pop_all()
            self._complete = True

    def finish(self) -> Path:
        """Complete the file, where that is not done yet, and move it to its final name.

        Returns:
            The final path.

        Raises:
            WriteError: It could not be made or moved; what stood under the name still does.
        """
        if not self._complete:
            self.complete()
        with self._lock:
            self._complete = False
            with self._open, _refusals(self.path):
                atomic.put_in_place(self._cog, self.path)
                # a former file's side file (names, statistics) does not describe this one
                if self._names:
                    atomic.write_bytes(self._sidecar, _category_names(self._names))
                else:
                    self._sidecar.unlink(missing_ok=True)
        return self.path

    def abort(self) -> None:
        """Drop everything written; what stood under the name still does. Does nothing after `finish`."""
        # a full disk may refuse the last flush of what is dropped anyway
        with self._lock, contextlib.suppress(WriteError, RasterioError, CPLE_BaseError, SystemError):
            self._open.close()

    def __enter__(self) -> RasterWriter:
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish after a clean block (unless that is done already), abort after an exception."""
        if kind is not None:
            self.abort()
        elif self._complete or not self._file.closed:
            self.finish()

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(self.path.name + ".aux.xml")

    def _check_open(self) -> None:
        if self._file.closed:
            raise WriteError(f"{str(self.path)!r} is finished or was aborted: start a new writer")

    def _cog_options(self) -> dict[str, str]:
        # The mean of class numbers is no class.
        resampling = "MODE" if self._classes else "AVERAGE" if self._dtype.kind == "f" else "NEAREST"
        predictor = {"f": "FLOATING_POINT", "u": "STANDARD", "i": "STANDARD"}.get(self._dtype.kind, "NO")
        return {
            "COMPRESS": "DEFLATE",
            "PREDICTOR": "NO" if self._classes else predictor,
            "BLOCKSIZE": str(BLOCK_SIZE),
            "OVERVIEWS": "IGNORE_EXISTING",
            "OVERVIEW_RESAMPLING": resampling,
            "BIGTIFF": "IF_SAFER",
        }


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Say which file could not be written, and what to do."""
    try:
        yield
    except (OSError, RasterioError, CPLE_BaseError, SystemError) as error:  # SystemError: GDAL failed without a word
        raise WriteError(
            f"cannot write {str(path)!r}: {told(error)}; check free space and permissions, or choose another path"
        ) from error


@contextlib.contextmanager
def _no_georeference_is_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _create(path: Path, profile: dict[str, Any]) -> rasterio.io.DatasetWriter:
    # sparse: blocks that nobody writes take no space and read as nodata
    with _no_georeference_is_fine():
        return rasterio.open(
            path,
            "w",
            driver="GTiff",
            tiled=True,
            blockxsize=BLOCK_SIZE,
            blockysize=BLOCK_SIZE,
            sparse_ok=True,
            bigtiff="IF_SAFER",
            **profile,
        )


def _colour_table(colours: Mapping[int, str], dtype: np.dtype) -> dict[int, tuple[int, int, int, int]]:
    if dtype.name not in ("uint8", "uint16"):
        raise WriteError(f"a raster of {dtype} has no colour table: use uint8 or uint16, or give no colours")
    limit = np.iinfo(dtype).max
    outside = [value for value in colours if not 0 <= value <= limit]
    if outside:
        raise WriteError(f"the value {outside[0]!r} does not fit into {dtype}: use a wider dtype or smaller values")
    return {int(value): (*parse_colour(colour), 255) for value, colour in colours.items()}


def _category_names(names: Mapping[int, str]) -> bytes:
    """GDAL's side file with the names of the values of band 1; GeoTIFF itself has no place for them."""
    root = ElementTree.Element("PAMDataset")
    categories = ElementTree.SubElement(ElementTree.SubElement(root, "PAMRasterBand", band="1"), "CategoryNames")
    for value in range(max(names) + 1):
        ElementTree.SubElement(categories, "Category").text = names.get(value, "")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=False)
