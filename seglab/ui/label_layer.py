"""Accepted and proposed objects on the map: some layers of many objects each, of which a change sends one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import ipyleaflet
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.core.overlay import MapFrame

BATCH = 200
"""Objects in a layer, at most: an accepted object sends so many outlines to the page, not thousands."""

SMOOTH = 0.75
"""Scene pixels that an outline may move when it is shown: takes the stairs out of diagonal edges."""

LINES = ("solid", "dashed", "dotted")
"""Outlines of the classes in turn, so that colour alone does not tell them apart; names of CSS border styles."""

PROPOSED_DASHES = "12 4 2 4"
"""Of the outlines of proposed objects, whatever their class."""

_DASHES = {"solid": None, "dashed": "9 5", "dotted": "2 4"}


def line_style(index: int) -> str:
    """The outline of the class at a place of the list: "solid", "dashed" or "dotted"."""
    return LINES[index % len(LINES)]


Drawn = tuple[int, str, dict[str, Any], dict[str, Any]]
"""Number, class, style and GeoJSON geometry of an outline."""


class Outlined(Protocol):
    """What has an outline: an accepted or a proposed object."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def class_name(self) -> str:
        """Its class."""

    @property
    def geometry(self) -> BaseGeometry:
        """Its outline, scene pixels."""


class LabelLayer:
    """Outlines of objects.

    Args:
        frame: how the scene lies on the map.
        pane: of the map, to draw them in.
        add: puts a layer on the map.
        proposed: draw them as not accepted yet: hollow, with a broken line.
    """

    def __init__(
        self, frame: MapFrame, pane: str, add: Callable[[ipyleaflet.Layer], None], proposed: bool = False
    ) -> None:
        self._frame, self._pane, self._add = frame, pane, add
        self._style = _proposed_style if proposed else _style
        self.layers: list[ipyleaflet.GeoJSON] = []
        """What the map shows."""
        self._batch_of: dict[int, int] = {}
        self._counts: list[int] = []
        self._shapes: dict[int, tuple[BaseGeometry, dict[str, Any]]] = {}
        self._drawn: list[list[Drawn]] = []

    @property
    def features(self) -> list[dict[str, Any]]:
        """Everything that is drawn, as GeoJSON."""
        return [feature for layer in self.layers for feature in layer.data["features"]]

    def show(self, objects: Sequence[Outlined], classes: Mapping[str, str]) -> None:
        """Draw objects.

        Args:
            objects: in order; the later ones are drawn above the earlier ones.
            classes: colour '#rrggbb' by name, in order.
        """
        self._measure(objects)
        batches: list[list[Outlined]] = [[] for _ in self._counts]
        for obj in objects:
            batches[self._batch(obj.id, batches)].append(obj)
        styles = {name: self._style(index, colour, self._pane) for index, (name, colour) in enumerate(classes.items())}
        for index, batch in enumerate(batches):
            # Shapes that have not changed are the same dictionaries: comparing these is quick, comparing data is not.
            drawn = [(o.id, o.class_name, styles[o.class_name], self._shapes[o.id][1]) for o in batch]
            if index == len(self.layers):
                self.layers.append(ipyleaflet.GeoJSON(data=_collection(drawn), pane=self._pane, name=self._pane))
                self._drawn.append(drawn)
                self._add(self.layers[index])
            elif self._drawn[index] != drawn:
                self.layers[index].data, self._drawn[index] = _collection(drawn), drawn

    def _batch(self, number: int, batches: list[list[Outlined]]) -> int:
        """The layer of an object, for good; new objects fill the last one."""
        if number not in self._batch_of:
            if not self._counts or self._counts[-1] == BATCH:
                self._counts.append(0)
                batches.append([])
            self._counts[-1] += 1
            self._batch_of[number] = len(self._counts) - 1
        return self._batch_of[number]

    def _measure(self, objects: Sequence[Outlined]) -> None:
        """Find the outlines that are new, or have changed: a later object may have taken some ground."""
        known = self._shapes
        new = [o for o in objects if o.id not in known or known[o.id][0] is not o.geometry]
        # One projection for all of them: each by itself takes ten times as long. Smoothing them together would take
        # the square of their number.
        smooth = shapely.simplify([o.geometry for o in new], SMOOTH)
        together = self._frame.geojson(shapely.GeometryCollection(list(smooth)), simplify=False)["geometries"]
        fresh = {o.id: (o.geometry, shape) for o, shape in zip(new, together, strict=True)}
        self._shapes = {o.id: fresh.get(o.id) or known[o.id] for o in objects}


def _collection(drawn: Sequence[Drawn]) -> dict[str, Any]:
    features = [
        {"type": "Feature", "properties": {"id": number, "class": name, "style": style}, "geometry": shape}
        for number, name, style, shape in drawn
    ]
    return {"type": "FeatureCollection", "features": features}


def _style(index: int, colour: str, pane: str) -> dict[str, Any]:
    return {
        "pane": pane,  # ipyleaflet forgets that of a layer whose data are there before it is shown
        "color": colour,
        "weight": 2,
        "opacity": 1,
        "fillColor": colour,
        "fillOpacity": 0.22,
        "dashArray": _DASHES[line_style(index)],
    }


def _proposed_style(index: int, colour: str, pane: str) -> dict[str, Any]:
    return _style(index, colour, pane) | {"fill": False, "weight": 3, "dashArray": PROPOSED_DASHES}
