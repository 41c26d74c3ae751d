"""Polygons as vector files: GeoPackage with QGIS styles, GeoJSON after RFC 7946, GeoParquet and FlatGeobuf."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
from shapely.geometry import mapping

from seglab.errors import MissingPackageError, UnknownFormatError, WriteError
from seglab.store import atomic, geopackage

LAYER = "labels"
PIXEL_MEMBER = {
    "coordinates": "pixel",
    "description": "Positions are (column, row) in pixels of the image, from its top-left corner, not "
    "longitude and latitude: the image has no georeference.",
}
"""The foreign member `seglab` of a GeoJSON file in pixel coordinates; RFC 7946 has no other place for it."""

_DEGREE_DIGITS = 8
"""About 1 mm."""


def write_geopackage(labels: gpd.GeoDataFrame, path: Path, *, colours: Mapping[str, str], layer: str = LAYER) -> Path:
    """Write a GeoPackage that opens in QGIS with the colours of its classes.

    Args:
        labels: Polygons with a `class` column, in any CRS or in pixel coordinates.
        path: Its name.
        colours: '#rrggbb' per class, in the order of the legend.
        layer: The name of the layer.

    Raises:
        WriteError: It could not be written; what stood there still does.
    """
    geopackage.write(labels, path, layer, colours)
    return path


def write_geojson(labels: gpd.GeoDataFrame, path: Path, *, colours: Mapping[str, str], layer: str = LAYER) -> Path:
    """Write a GeoJSON feature collection.

    With a CRS the positions are longitude and latitude on WGS 84, outer rings counter-clockwise, polygons cut
    at the antimeridian (RFC 7946). Without one they are pixel coordinates and the member `seglab` says so.

    Args:
        labels: Polygons with any columns; `id` becomes the id of the feature too.
        path: Its name.
        colours: '#rrggbb' per class; written as `fill` of each feature, which viewers show (simplestyle).
        layer: Not used: the file has no place for it.

    Raises:
        WriteError: It could not be written; what stood there still does.
    """
    if labels.crs is None:
        geometries = [mapping(item) for item in labels.geometry]
        head: dict[str, Any] = {"type": "FeatureCollection", "seglab": PIXEL_MEMBER}
    else:
        geometries = _lon_lat(labels)
        head = {"type": "FeatureCollection"}
    attributes = pd.DataFrame(labels.drop(columns=labels.geometry.name)).to_dict("records")
    features = [
        _feature(row, geometry, colours.get(row.get(geopackage.CLASS_COLUMN)))
        for row, geometry in zip(attributes, geometries, strict=True)
    ]
    text = json.dumps({**head, "features": features}, ensure_ascii=False, allow_nan=False)
    atomic.write_bytes(path, text.encode("utf-8"))
    return path


def write_geoparquet(labels: gpd.GeoDataFrame, path: Path, *, colours: Mapping[str, str], layer: str = LAYER) -> Path:
    """Write GeoParquet, with the bounds of each polygon, by which readers skip what they do not need.

    Args:
        labels: Polygons in any CRS; without one the file says that it has none.
        path: Its name.
        colours, layer: Not used: the file has no place for them.

    Raises:
        MissingPackageError: pyarrow is not installed.
        WriteError: It could not be written; what stood there still does.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingPackageError("GeoParquet needs pyarrow: pip install 'seglab[parquet]'; or write .gpkg or .fgb")
    with atomic.replacing(path) as temp:
        labels.to_parquet(temp, compression="zstd", write_covering_bbox=True)
    return path


def write_flatgeobuf(labels: gpd.GeoDataFrame, path: Path, *, colours: Mapping[str, str], layer: str = LAYER) -> Path:
    """Write FlatGeobuf, with its spatial index.

    Args:
        labels: Polygons in any CRS or in pixel coordinates.
        path: Its name.
        colours: Not used: the file has no place for them.
        layer: The name of the layer.

    Raises:
        WriteError: It could not be written; what stood there still does.
    """
    with atomic.replacing(path) as temp, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)  # pixel coordinates have none
        try:
            pyogrio.write_dataframe(
                labels, temp, layer=layer, driver="FlatGeobuf", geometry_type="MultiPolygon", promote_to_multi=True
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise WriteError(f"cannot write {str(path)!r}: {error}; check free space") from error
    return path


WRITERS = MappingProxyType(
    {
        ".gpkg": write_geopackage,
        ".geojson": write_geojson,
        ".parquet": write_geoparquet,
        ".fgb": write_flatgeobuf,
    }
)
"""By suffix."""


def writer_for(path: Path) -> Callable[..., Path]:
    """The function that writes a file of a name's suffix.

    Raises:
        UnknownFormatError: nothing does.
    """
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        suffixes = ", ".join(WRITERS)
        raise UnknownFormatError(f"no format is known for {path.name!r}: end the name in one of {suffixes}")
    return write


def _lon_lat(labels: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """The geometries after RFC 7946, through GDAL, which knows about the antimeridian and the poles."""
    buffer = io.BytesIO()
    bare = gpd.GeoDataFrame(geometry=labels.geometry.array, crs=labels.crs)
    try:
        pyogrio.write_dataframe(
            bare,
            buffer,
            driver="GeoJSON",
            layer_options={"RFC7946": "YES", "COORDINATE_PRECISION": str(_DEGREE_DIGITS)},
        )
    except pyogrio.errors.DataSourceError as error:
        raise WriteError(f"cannot express the labels in longitude and latitude: {error}; export to .gpkg") from error
    return [feature["geometry"] for feature in json.loads(buffer.getvalue())["features"]]


def _feature(row: dict[str, Any], geometry: dict[str, Any], colour: str | None) -> dict[str, Any]:
    feature: dict[str, Any] = {"type": "Feature"}
    if "id" in row:
        feature["id"] = _plain(row["id"])
    feature["properties"] = {name: _plain(value) for name, value in row.items()}
    if colour is not None:
        feature["properties"]["fill"] = colour
    feature["geometry"] = geometry
    return feature


def _plain(value: Any) -> Any:
    """A table cell as JSON has it."""
    if hasattr(value, "isoformat"):
        return None if pd.isna(value) else value.isoformat()
    if hasattr(value, "item"):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
