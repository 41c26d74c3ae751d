"""Single rows of a GeoPackage's layer changed, without GDAL, which cannot do that.

A layer's spatial index is kept by triggers that call functions which GDAL and QGIS bring along and SQLite does not
know (OGC 12-128r18, annex F.3); here they are written in Python.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas as gpd
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

_HEADER = struct.Struct("<2sBBi4d")
"""Magic, version, flags, SRS, and the envelope: min x, max x, min y, max y (OGC 12-128r18, clause 2.1.3)."""
_LITTLE_ENDIAN_WITH_ENVELOPE = 0b0000_0011
_FLAGS = 3
"""Which byte holds them: 1 for little-endian, 2 to 8 the kind of envelope, if there is one."""
_FIXED_BYTES = 8
"""Of the header before the envelope."""
_CHANGE_COUNTER = slice(24, 28)
"""Bytes of an SQLite file that every transaction changes."""


def stamp(path: Path) -> tuple[int, int, int, bytes] | None:
    """Equal as long as nobody writes to a GeoPackage or replaces it; None where that cannot be told: there is no
    file, or somebody is in the middle of writing (or died there).
    """
    if any(path.with_name(path.name + ending).exists() for ending in ("-wal", "-journal")):
        return None
    try:
        with path.open("rb") as file:
            start = file.read(_CHANGE_COUNTER.stop)
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, start[_CHANGE_COUNTER]


def index_rows(database: sqlite3.Connection, layer: str, key: str) -> None:
    """Make rows of a layer quick to find by a column."""
    database.execute(f"CREATE INDEX {_name(f'{layer}_{key}')} ON {_name(layer)} ({_name(key)})")


def change_rows(path: Path, layer: str, key: str, changed: gpd.GeoDataFrame, gone: Sequence[object]) -> None:
    """Put rows into a layer, in place of those of the same key, and take others out.

    Args:
        path: of the GeoPackage; a copy that nobody else knows, since whoever dies in here leaves half of the work.
        layer: of polygons.
        key: the column that tells rows apart.
        changed: polygons and multipolygons with the layer's columns, in its CRS.
        gone: keys of the rows to be taken out.

    Raises:
        sqlite3.Error: it is not such a GeoPackage.
    """
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        _add_functions(database)
        found = database.execute(
            "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        if found is None:
            raise sqlite3.DatabaseError(f"there is no layer {layer!r}")
        geometry, srs = found
        table, where = _name(layer), f"WHERE {_name(key)} = ?"
        database.executemany(f"DELETE FROM {table} {where}", [(value,) for value in gone])
        columns = [name for name in changed.columns if name != changed.geometry.name]
        names = [_name(name) for name in (*columns, geometry)]
        update = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names)} {where}"
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        place = columns.index(key)
        for row in _rows(changed, columns, srs):
            if database.execute(update, (*row, row[place])).rowcount == 0:
                database.execute(insert, row)
        _widen(database, layer, changed)


def _rows(changed: gpd.GeoDataFrame, columns: Sequence[str], srs: int) -> Iterator[tuple[object, ...]]:
    values = [changed[name].tolist() for name in columns]  # plain Python values, which SQLite takes
    shapes = (_encode(outline, srs) for outline in changed.geometry)
    return zip(*values, shapes, strict=True)


def _encode(outline: BaseGeometry, srs: int) -> bytes:
    outline = outline if outline.geom_type == "MultiPolygon" else MultiPolygon([outline])
    left, bottom, right, top = outline.bounds
    header = _HEADER.pack(b"GP", 0, _LITTLE_ENDIAN_WITH_ENVELOPE, srs, left, right, bottom, top)
    return header + shapely.to_wkb(outline, byte_order=1)


def _bounds(blob: bytes) -> tuple[float, float, float, float]:
    """(min x, min y, max x, max y) of a geometry as GeoPackages hold it; NaN where it is empty."""
    if not blob[_FLAGS] >> 1 & 0b111:  # no envelope: a point, or somebody spared it
        return shapely.from_wkb(blob[_FIXED_BYTES:]).bounds
    order = "<" if blob[_FLAGS] & 1 else ">"
    left, right, bottom, top = struct.unpack_from(order + "4d", blob, _FIXED_BYTES)
    return left, bottom, right, top


def _add_functions(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA trusted_schema = ON")  # else the file's own triggers may not call them
    for place, name in enumerate(("ST_MinX", "ST_MinY", "ST_MaxX", "ST_MaxY")):
        database.create_function(name, 1, lambda blob, place=place: _bounds(blob)[place], deterministic=True)
    database.create_function("ST_IsEmpty", 1, lambda blob: math.isnan(_bounds(blob)[0]), deterministic=True)


def _widen(database: sqlite3.Connection, layer: str, changed: gpd.GeoDataFrame) -> None:
    """Keep up what the GeoPackage says of its layer: when it was changed, and a rectangle that holds all of it."""
    database.execute(
        "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE table_name = ?", (layer,)
    )
    if changed.empty:
        return
    left, bottom, right, top = (float(value) for value in changed.total_bounds)
    for name, least, value in (
        ("min_x", "min", left),
        ("min_y", "min", bottom),
        ("max_x", "max", right),
        ("max_y", "max", top),
    ):
        database.execute(
            f"UPDATE gpkg_contents SET {name} = {least}(coalesce({name}, :value), :value) WHERE table_name = :layer",
            {"value": value, "layer": layer},
        )


def _name(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'
