"""Areas that a person draws: reviewed extents, and ground that is kept out of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.core.grid import Grid
from seglab.core.masks import as_multipolygon
from seglab.errors import OutsideSceneError, PromptError


def area_in_scene(polygon: BaseGeometry, grid: Grid, crs: Any) -> dict[str, Any]:
    """The data of an event that marks an area; see `part_in_scene`."""
    return {"geometry": shapely.to_wkb(part_in_scene(polygon, grid, crs), hex=True)}


def part_in_scene(polygon: BaseGeometry, grid: Grid, crs: Any) -> BaseGeometry:
    """The part of a drawn area inside the scene, in scene pixels (MultiPolygon).

    Args:
        polygon: in longitude/latitude, or in `crs`.
        grid: the scene's.
        crs: anything pyproj takes, or "pixel"; the grid's default if None.

    Raises:
        PromptError: the polygon is not finite.
        OutsideSceneError: the polygon does not touch the scene.
    """
    try:
        pixels = grid.geometry_to_pixel(polygon, crs)
    except shapely.errors.GEOSException as error:  # a ring that reaches where the scene's CRS has no place
        raise PromptError("the polygon reaches beyond the scene's CRS; draw it over the imagery") from error
    if not np.isfinite(shapely.get_coordinates(pixels)).all():
        raise PromptError("the polygon's coordinates are not finite; draw it over the imagery")
    scene = shapely.box(0, 0, grid.width, grid.height)
    inside = as_multipolygon(shapely.make_valid(pixels).intersection(scene))
    if inside.is_empty:
        raise OutsideSceneError("the polygon lies outside the scene; draw it over the imagery")
    return inside
