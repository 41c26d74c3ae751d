"""A STAC item beside a class map, by which catalogues and other programs find it and know its classes."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shapely

from seglab.core.class_map import ClassMap, confidence_path
from seglab.core.grid import LONLAT
from seglab.errors import MissingCRSError
from seglab.store import atomic

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
)
OUTLINE_SEGMENTS = 8
"""Straight pieces of each side of the map's outline, which is a curve in longitude and latitude."""


def write_stac_item(
    path: str | Path,
    when: datetime.datetime | None = None,
    names: Mapping[int, str] | None = None,
    confidence: Path | None = None,
) -> Path:
    """Write NAME.json beside a class map NAME.tif: a STAC 1.0 item with the map and its confidence as assets.

    Args:
        path: the class map: see ClassMap.
        when: of the imagery, with a time zone; the time at which the map was written if None.
        names: class by value, the file's own if None.
        confidence: see ClassMap; a file in the map's folder.

    Returns:
        The item's path.

    Raises:
        MissingCRSError: the map lies nowhere.
        WriteError: it could not be written; what stood there still does.
        SegLabError: as ClassMap raises.
    """
    path = Path(path)
    with ClassMap(path, confidence) as class_map:
        item = _item(class_map, when, class_map.names if names is None else names, confidence)
    target = path.with_suffix(".json")
    atomic.write_bytes(target, (json.dumps(item, indent=2) + "\n").encode())
    return target


def _item(
    class_map: ClassMap, when: datetime.datetime | None, names: Mapping[int, str], confidence: Path | None
) -> dict[str, Any]:
    grid, path = class_map.grid, class_map.path
    if grid.crs is None:
        raise MissingCRSError(f"{str(path)!r} has no CRS, and a STAC item needs a place on the Earth; georeference it")
    when = when or datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    side = max(grid.shape) / OUTLINE_SEGMENTS
    outline = grid.geometry_from_pixel(shapely.box(0, 0, grid.width, grid.height, ccw=False), LONLAT, side)
    code = grid.crs.to_epsg()
    properties: dict[str, Any] = {
        "datetime": when.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z"),
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform[:6]),
        **({"proj:code": f"EPSG:{code}"} if code else {"proj:code": None, "proj:wkt2": grid.crs.to_wkt()}),
    }
    if class_map.round is not None:
        properties["seglab:round"] = class_map.round
    classes = [
        {
            "value": value,
            "name": re.sub(r"[^0-9A-Za-z_-]+", "-", name),
            "title": name,
            "color_hint": class_map.colour(value)[1:].upper(),
        }
        for value, name in sorted(names.items())
    ]
    assets = {"map": {"href": f"./{path.name}", "type": COG, "roles": ["data"], "title": "Classes"}}
    if classes:
        assets["map"]["classification:classes"] = classes
    if class_map.has_confidence:
        beside = confidence or confidence_path(path)
        title = "Confidence, percent"
        assets["confidence"] = {"href": f"./{beside.name}", "type": COG, "roles": ["metadata"], "title": title}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(EXTENSIONS),
        "id": path.stem,
        "geometry": shapely.geometry.mapping(outline),
        "bbox": list(outline.bounds),
        "properties": properties,
        "links": [],
        "assets": assets,
    }
