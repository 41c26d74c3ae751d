"""Accepted objects as a table: what exporters and other GIS tools read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd

from seglab.app.labelled import LabelledObject
from seglab.core.grid import Grid

SQUARE_METRES = 10_000
"""In a hectare."""


def areas_table(objects: Sequence[LabelledObject], classes: Iterable[str], grid: Grid) -> pd.DataFrame:
    """How much of each class there is.

    Args:
        objects: accepted.
        classes: names, in order.
        grid: of the scene.

    Returns:
        One row per class: objects, pixels, and hectares on the ellipsoid (NaN without a CRS). Ground that two objects
        of a class share counts once.
    """
    rows = {}
    for name in classes:
        outlines = [o.geometry for o in objects if o.class_name == name]
        metres = [grid.area_m2(outline) for outline in outlines] if grid.crs is not None else [float("nan")]
        rows[name] = (len(outlines), round(sum(o.area for o in outlines)), sum(metres) / SQUARE_METRES)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["objects", "pixels", "hectares"])
    return table.rename_axis("class")


def labels_table(objects: Sequence[LabelledObject], grid: Grid) -> gpd.GeoDataFrame:
    """One row per object, in the grid's CRS (pixel coordinates where it has none).

    Args:
        objects: in order.
        grid: of the scene.

    Returns:
        Columns id, class, prompts (JSON), round, iou, author, time (UTC, ISO 8601), unsure, note, origin, geometry.
    """
    columns = {
        "id": [o.id for o in objects],
        "class": [o.class_name for o in objects],
        "prompts": [json.dumps(o.prompts.to_json()) for o in objects],
        "round": [o.round for o in objects],
        "iou": [o.iou for o in objects],
        "author": [o.author for o in objects],
        "time": [o.time for o in objects],
        "unsure": [o.unsure for o in objects],
        "note": [o.note for o in objects],
        "origin": [o.origin for o in objects],
    }
    outlines = [o.geometry for o in objects]
    if grid.crs is not None:
        outlines = grid.geometry_from_pixel(np.array(outlines, dtype=object), grid.crs)
    return gpd.GeoDataFrame(columns, geometry=outlines, crs=grid.crs)
