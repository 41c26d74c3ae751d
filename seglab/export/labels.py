"""Export of accepted labels: one function, the suffix chooses the format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import geopandas as gpd

from seglab.core.grid import Grid
from seglab.errors import MissingCRSError, NoLabelsError, UnknownClassError, UnknownFormatError
from seglab.export import geotiff, vector
from seglab.store.geopackage import CLASS_COLUMN

_WRITERS = MappingProxyType(
    {
        **vector.WRITERS,
        ".tif": geotiff.write_geotiff,
        ".tiff": geotiff.write_geotiff,
    }
)

SUFFIXES = tuple(_WRITERS)
"""The suffixes that `export_labels` knows."""


def export_labels(
    labels: gpd.GeoDataFrame,
    path: str | Path,
    *,
    grid: Grid,
    classes: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Write labels to a file; an existing file is replaced only when the new one is complete.

    - `.gpkg`: GeoPackage with styles that QGIS applies by itself, in the scene's CRS.
    - `.geojson`: RFC 7946, longitude and latitude; pixel coordinates, and no claim to be more, without a CRS.
    - `.parquet`, `.fgb`: GeoParquet (needs pyarrow) and FlatGeobuf, in the scene's CRS.
    - `.tif`, `.tiff`: class numbers on the scene's grid (0 is unlabelled, 1 the first class), with colours
      and names.

    Args:
        labels: Polygons in the scene's CRS (pixel coordinates (col, row) when it has none), with a `class`
            column. Where they overlap, the later row wins in a raster.
        path: Where to; its folder must exist.
        grid: The scene's grid: `width`, `height`, `transform`, `crs` (None: pixel space).
        classes: By name, in the order of the class numbers: '#rrggbb', or an object or mapping with `colour`.
        tags: Tags of a GeoTIFF.

    Returns:
        The path.

    Raises:
        UnknownFormatError: The suffix is none of the above.
        NoLabelsError: There is nothing to export.
        UnknownClassError: A label is of a class that is not in `classes`.
        MissingPackageError: The format needs a package that is not installed.
        MissingCRSError: Labels and grid do not agree on having a CRS.
        WriteError: The file could not be written; what stood there still does.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        known = ", ".join(SUFFIXES)
        raise UnknownFormatError(f"no format is known for {path.name!r}: end the name in one of {known}")
    if labels.empty:
        raise NoLabelsError(f"nothing to write to {path.name!r}: accept a mask first")
    unknown = sorted(set(labels[CLASS_COLUMN]) - set(classes), key=str)
    if unknown:
        raise UnknownClassError(
            f"some labels are of class {unknown[0]!r}, and the classes are {list(classes)}: add it to them"
        )
    labels = _in_grid_crs(labels, grid)
    colours = {name: _colour(style) for name, style in classes.items()}
    if writer is geotiff.write_geotiff:
        return writer(labels, path, grid=grid, colours=colours, tags=tags)
    return writer(labels, path, colours=colours)


def _in_grid_crs(labels: gpd.GeoDataFrame, grid: Grid) -> gpd.GeoDataFrame:
    if (labels.crs is None) != (grid.crs is None):
        has, lacks = ("the labels have", "the scene has none") if grid.crs is None else ("the scene has", "they do not")
        raise MissingCRSError(
            f"{has} a coordinate reference system and {lacks}: set it with labels.set_crs(...), or give the "
            "labels in the coordinates of the scene"
        )
    return labels if labels.crs is None or labels.crs == grid.crs else labels.to_crs(grid.crs)


def _colour(style: Any) -> str:
    if isinstance(style, Mapping):
        return style["colour"]
    return getattr(style, "colour", style)
