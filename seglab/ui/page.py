"""What only the page can do for the labeler: the mouse's modifiers, the keyboard, and strokes drawn on the map."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import shapely
import traitlets
from shapely.geometry.base import BaseGeometry

from seglab.core.overlay import MapFrame
from seglab.ui.keys import COMMANDS, keyboard_map

STATIC = Path(__file__).parent / "static"
"""Where the style sheet and the scripts are."""


def script(*names: str) -> str:
    """The scripts of these names, one after the other, as one module: a widget's module can import no other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def close_trees(roots: Iterable[widgets.Widget], kept: Collection[widgets.Widget] = ()) -> None:
    """Close widgets and all that is in them, in the kernel and in the page.

    Args:
        roots: the widgets.
        kept: those that stay, with all that is in them.
    """
    for root in (widget for widget in roots if widget not in kept):
        for name in ("children", "layers", "controls"):  # of boxes, and of maps
            close_trees(getattr(root, name, ()), kept)
        root.close()


SIZES = (4, 8, 12, 16, 24, 32, 48, 64, 96)
"""Diameters of brush and eraser, screen pixels."""


class Page(anywidget.AnyWidget):
    """An invisible part of the labeler: it keeps JupyterLab's menu away from the map, draws the box, and lets only some
    of the pointer's moves through to Leaflet."""

    _esm = STATIC / "page.js"

    tool = traitlets.Unicode("plus").tag(sync=True)
    """The tool in hand; the page draws the box of "box" and "keep_out" while it is dragged."""
    minus = traitlets.Bool(False).tag(sync=True)
    """Whether Alt or Shift was held at the latest press of the mouse button."""
    picking = traitlets.Bool(False).tag(sync=True)
    """Whether Ctrl (or Cmd) was: the click selects, whatever the tool."""


class Keyboard(anywidget.AnyWidget):
    """Turns keys pressed in the labeler, outside its text fields, into commands before the notebook sees them.

    Args:
        on_command: called with the name of a command of `keys.COMMANDS`.
    """

    _esm = STATIC / "keyboard.js"

    bindings = traitlets.Dict().tag(sync=True)
    """Command by key."""
    repeating = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Commands that a key held down gives again and again."""

    def __init__(self, on_command: Callable[[str], None]) -> None:
        super().__init__(bindings=keyboard_map(), repeating=[c.name for c in COMMANDS if c.repeats])
        self.on_msg(lambda _, content, buffers: on_command(content["command"]))

    def focus_map(self) -> None:
        """Bring the keys to the map, which took the place of another one, unless the person is elsewhere."""
        self.send({"focus": "map"})


@dataclass(frozen=True)
class Stroke:
    """What was drawn on the map in one go."""

    tool: str
    """One of the tools that draw: "scribble", "brush", "eraser", "polygon", "lasso", "cut", "area"."""
    places: tuple[tuple[float, float], ...]
    """(latitude, longitude) of its points, in order."""
    positive: bool
    """False where Alt or Shift was held."""
    reach: float
    """Half the brush's width, degrees of longitude (units of the map, on a plain map)."""

    def points(self, frame: MapFrame) -> list[tuple[float, float]]:
        """Its points as (x, y) in the frame's CRS."""
        return [frame.to_crs(lat, lon) for lat, lon in self.places]

    def area(self, frame: MapFrame) -> BaseGeometry:
        """What it covers, in the frame's CRS: what the brush swept over, or what the line encloses.

        A line that crosses itself encloses every part that it runs around; empty where it encloses nothing.
        """
        points = self.points(frame)
        if self.tool not in ("brush", "eraser"):
            if len(points) < 3:
                return shapely.Polygon()
            parts = shapely.get_parts(shapely.make_valid(shapely.Polygon(points)))
            return shapely.union_all([part for part in parts if part.geom_type.endswith("Polygon")])
        # Web Mercator shows circles as circles; in degrees they are that much narrower from north to south
        squeeze = 1.0 if frame.is_plain else math.cos(math.radians(self.places[0][0]))
        flat = [(x, y / squeeze) for x, y in points]
        line = shapely.LineString(flat) if len(flat) > 1 else shapely.Point(flat[0])
        swept = line.simplify(0.05 * self.reach).buffer(self.reach)
        return shapely.transform(swept, lambda xy: xy * (1, squeeze))


class Strokes(anywidget.AnyWidget):
    """Draws strokes in the page while they are made; only finished ones come to the kernel.

    Args:
        map_id: model id of the ipyleaflet map.
        on_stroke: called with each finished stroke.
    """

    _esm = script("leaflet.js", "strokes.js")

    tool = traitlets.Unicode("plus").tag(sync=True)
    """The tool in hand; the page acts on those that draw."""
    size = traitlets.Int(24).tag(sync=True)
    """Diameter of brush and eraser, screen pixels."""
    colour = traitlets.Unicode("#0072b2").tag(sync=True)
    """Of the class in hand, '#rrggbb'."""
    map_id = traitlets.Unicode().tag(sync=True)
    """Model id of the map."""
    answered = traitlets.Int(0).tag(sync=True)
    """Number of the latest stroke that has been dealt with; the page shows a stroke until then."""

    def __init__(self, map_id: str, on_stroke: Callable[[Stroke], None]) -> None:
        super().__init__(map_id=map_id)
        self._on_stroke = on_stroke
        self.on_msg(self._received)

    def _received(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        places = tuple((float(lat), float(lon)) for lat, lon in content["places"])
        try:
            if places:
                stroke = Stroke(content["tool"], places, bool(content["positive"]), float(content["reach"]))
                self._on_stroke(stroke)
        finally:
            self.answered = content["number"]
