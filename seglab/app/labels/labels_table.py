"""Accepted objects as a table: what exporters and other GIS tools read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd

from seglab.app.labels.labelled import LabelledObject
from seglab.core.grid import Grid

_TYPES = {"id": "int64", "round": "int64", "iou": "float64", "unsure": "bool"}
"""Of the columns that do not hold text."""


def labels_table(objects: Sequence[LabelledObject], grid: Grid) -> gpd.GeoDataFrame:
    """One row per object, in the grid's CRS (pixel coordinates where it has none).

    Args:
        objects: in order.
        grid: of the scene.

    Returns:
        Columns id, class, prompts (JSON), round, iou, author, time (UTC, ISO 8601), unsure, note, origin, date (of the
        imagery), geometry.
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
        "date": [o.date for o in objects],
    }
    # Named, since an empty column says nothing of what will be in it.
    typed = {name: pd.Series(values, dtype=_TYPES.get(name, "str")) for name, values in columns.items()}
    outlines = [o.geometry for o in objects]
    if grid.crs is not None:
        outlines = grid.geometry_from_pixel(np.array(outlines, dtype=object), grid.crs)
    return gpd.GeoDataFrame(typed, geometry=outlines, crs=grid.crs)
