"""The mark around a pixel that is checked, at its true size."""

from __future__ import annotations

from typing import Any

import ipyleaflet
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.ui.map_view import HEIGHT, MapView

AROUND = 24
"""Scene pixels on each side of the pixel that are seen with it, at least: what it is shows in its surroundings."""
LEAST_PIXEL = 4
"""CSS pixels that a scene pixel fills at least, so that its outline can be told from a dot."""
TICKS = (2.0, 5.0)
"""Where the lines that point at the pixel begin and end, scene pixels from its edge."""

_DARK = {"color": "#222222", "weight": 4, "fill": False, "opacity": 0.9}
_LIGHT = {"color": "#ffffff", "weight": 1.5, "fill": False, "opacity": 1}  # thin: the pixel must be seen in it


class PlaceMarker:
    """Outlines a pixel, and takes the map there.

    Args:
        view: the map.
    """

    def __init__(self, view: MapView) -> None:
        self._view = view
        self.layer = ipyleaflet.GeoJSON(data=_collection([]), pane="selected", name="place to check")
        view.map.add(self.layer)

    def show(self, outline: BaseGeometry | None) -> None:
        """Mark a pixel, by its outline in scene pixels; None takes the mark away."""
        if outline is None:
            self.layer.data = _collection([])
            return
        shapes = [self._view.frame.geojson(part, simplify=False) for part in (outline, _ticks(outline))]
        self.layer.data = _collection(
            [
                {"type": "Feature", "properties": {"style": style | {"pane": self.layer.pane}}, "geometry": shape}
                for style in (_DARK, _LIGHT)
                for shape in shapes
            ]
        )

    def look_at(self, outline: BaseGeometry) -> None:
        """Bring a pixel to the middle of the map; the zoom that a person has chosen stays, unless it is lost there."""
        view = self._view
        if view.view is None or HEIGHT / view.frame.view_pixels(view.view) < LEAST_PIXEL:
            view.fly_to(outline, AROUND)
            return
        view.map.center = view.frame.to_map(*outline.centroid.coords[0])


def _ticks(outline: BaseGeometry) -> BaseGeometry:
    """Lines from four sides that point at a pixel without touching it."""
    left, top, right, bottom = outline.bounds
    col, row = (left + right) / 2, (top + bottom) / 2
    near, far = TICKS
    return shapely.MultiLineString(
        [
            [(left - far, row), (left - near, row)],
            [(right + near, row), (right + far, row)],
            [(col, top - far), (col, top - near)],
            [(col, bottom + near), (col, bottom + far)],
        ]
    )


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features}
