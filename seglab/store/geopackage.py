"""One layer of polygons in a GeoPackage that opens in QGIS with the colours of its classes."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import pyogrio

from seglab.errors import ProjectDamagedError, WriteError
from seglab.store import atomic
from seglab.store.geopackage_rows import change_rows, index_rows
from seglab.store.qgis_style import add_style, categorised_qml

CLASS_COLUMN = "class"
KEY_COLUMN = "id"
"""Tells labels apart, where it is there."""
PIXEL_NOTE = "Pixel coordinates (column, row) of an image without georeference; origin at its top-left corner"

_LOCK_WAIT_S = 1.0
_REFUSALS = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    NotImplementedError,
    sqlite3.Error,
)
"""What pyogrio and SQLite raise for a full disk, names that clash (`Class`, `fid`), and types without a column type."""


def write(labels: gpd.GeoDataFrame, path: Path, layer: str, styles: Mapping[str, str]) -> None:
    """Write a GeoPackage of one layer, replacing the file as a whole.

    Args:
        labels: Polygons and multipolygons (all become multipolygons) with a `class` column; without a CRS
            they are pixel coordinates.
        path: Its final name.
        layer: The name of the layer.
        styles: '#rrggbb' per class, in the order of the legend.

    Raises:
        WriteError: It could not be written; what stood there still does.
    """
    qml = categorised_qml(CLASS_COLUMN, styles)
    with atomic.temporary(path) as temp:
        try:
            _write_layer(labels, temp, layer)
            with contextlib.closing(sqlite3.connect(temp)) as database, database:
                add_style(database, layer, qml)
                if KEY_COLUMN in labels.columns:
                    index_rows(database, layer, KEY_COLUMN)
        except _REFUSALS as error:
            raise WriteError(
                f"cannot write {str(path)!r}: {error}; check free space, and rename or drop columns of that kind"
            ) from error
        _put_in_place(temp, path)


def change(changed: gpd.GeoDataFrame, gone: Sequence[object], path: Path, layer: str) -> bool:
    """Change some rows of a GeoPackage that `write` made; the file is replaced as a whole by its changed copy.

    Args:
        changed: as for `write`, in the layer's CRS; they replace the rows of the same `id`, or are new.
        gone: `id`s of the rows to take out.
        path, layer: see `write`.

    Returns:
        Whether it could be changed; if not, it is as it was.

    Raises:
        WriteError: see `write`.
    """
    with atomic.temporary(path) as temp:
        shutil.copyfile(path, temp)  # some milliseconds for ten thousand labels, which take 100 to write
        try:
            change_rows(temp, layer, KEY_COLUMN, changed, gone)
        except sqlite3.Error:
            return False
        _put_in_place(temp, path)
        return True


def read(path: Path, layer: str) -> gpd.GeoDataFrame:
    """Read the layer; an empty frame if the file does not exist.

    Raises:
        ProjectDamagedError: There is a file and it cannot be read.
    """
    if not path.exists():
        return gpd.GeoDataFrame({CLASS_COLUMN: []}, geometry=[])
    try:
        return pyogrio.read_dataframe(path, layer=layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ProjectDamagedError(
            f"{str(path)!r} cannot be read ({error}): move it out of the folder; it is written anew from "
            "the saved actions after the next one. Nothing was changed."
        ) from error


def _write_layer(labels: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    polygonal = labels.geom_type.isin(["Polygon", "MultiPolygon"]).all()
    options = {} if labels.crs is not None else {"DESCRIPTION": PIXEL_NOTE}
    with warnings.catch_warnings():
        # pixel coordinates have none
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_dataframe(
            labels,
            path,
            layer=layer,
            driver="GPKG",
            geometry_type="MultiPolygon" if polygonal else "Unknown",
            promote_to_multi=bool(polygonal),
            layer_options=options,
        )


def _put_in_place(temp: Path, path: Path) -> None:
    """Give the finished file its final name, also while QGIS has the former one open.

    QGIS keeps a write-ahead log beside the file, and whoever is killed in the middle of a transaction leaves a
    journal. A new file under that name would be read together with the old log and be damaged by it, so then (and
    where Windows refuses to replace an open file) the content is copied by SQLite in one transaction: as atomic,
    and what QGIS shows next is the new content.
    """
    if not any(path.with_name(path.name + ending).exists() for ending in ("-wal", "-journal")):
        try:
            atomic.put_in_place(temp, path)
            return
        except WriteError:
            if not path.exists():
                raise
    try:
        with (
            contextlib.closing(sqlite3.connect(temp)) as source,
            contextlib.closing(sqlite3.connect(path, timeout=0)) as target,
        ):
            source.backup(target, progress=_give_up_after(_LOCK_WAIT_S), sleep=0.05)
    except (sqlite3.Error, TimeoutError) as error:
        raise WriteError(
            f"cannot replace {str(path)!r} ({error}): close it in QGIS or other programs and try again. "
            "Saved actions are not affected."
        ) from error


def _give_up_after(seconds: float) -> Callable[[int, int, int], None]:
    """A progress callback for `backup`, which would wait for a locked file without end."""
    deadline = time.monotonic() + seconds

    def check(status: int, remaining: int, total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() > deadline:
            raise TimeoutError("another program keeps it locked")

    return check
