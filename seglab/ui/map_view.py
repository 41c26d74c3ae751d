"""The map: imagery, the live mask, prompts, labels, the class map and suggestions, and where a person clicks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipyleaflet
import ipywidgets as widgets
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from seglab.core.overlay import LatLonBounds, MapFrame, Overlay
from seglab.core.prompts import Prompts
from seglab.ui.label_layer import PROPOSED_DASHES, LabelLayer, Outlined
from seglab.ui.map_panes import PANES

HEIGHT = 560
"""Height of the map, CSS pixels, where no style sheet gives it the window's."""

WIDTH = 570
"""Width of the map in JupyterLab in a window of 1280 CSS pixels; only the first view depends on it."""

LEAST_SHARE, LARGEST_SHARE = 0.08, 0.6
"""Share of the view that an object fills, at least and at most, so that it is seen well without another zoom."""

SURROUNDINGS = 1.5
"""How much of the ground around an object is shown when it is looked at, in sizes of the object on each side."""

LARGEST_PIXEL = 32
"""CSS pixels that a scene pixel may fill at the deepest zoom."""

PLACE_SECONDS = 0.08
"""Time between two updates of the coordinates under the pointer."""

DRAGGED = ("box", "keep_out")
"""Tools that drag a rectangle; the map stands still meanwhile."""

_PLUS = (
    '<svg width="18" height="18" viewBox="0 0 18 18"><circle cx="9" cy="9" r="8" fill="#0a7d33" stroke="#fff" '
    'stroke-width="1.5"/><path d="M9 4.5v9M4.5 9h9" stroke="#fff" stroke-width="2"/></svg>'
)
_MINUS = (
    '<svg width="18" height="18" viewBox="0 0 18 18"><rect x="1" y="1" width="16" height="16" fill="#b3261e" '
    'stroke="#fff" stroke-width="1.5"/><path d="M4.5 9h9" stroke="#fff" stroke-width="2"/></svg>'
)
_EMPTY = {"type": "FeatureCollection", "features": []}
_DEGREES_PER_PIXEL = 360 / 256
"""Of longitude, at zoom 0 of a Web Mercator map."""


class MapView:
    """An ipyleaflet map that shows a scene and reports points and boxes.

    Args:
        frame: how the scene lies on the map.
        on_point: called with (latitude, longitude, positive or None) of a click; None leaves its sign to the tool.
        on_drag: called with two corners, each (latitude, longitude).
        on_view: called after the view has changed.
        on_pointer: called with (x, y) under the pointer in the frame's CRS, some times a second.

    Attributes:
        on_hover: called with (latitude, longitude) where the pointer moves, and with None when it leaves, or presses.
    """

    def __init__(
        self,
        frame: MapFrame,
        on_point: Callable[[float, float, bool | None], None],
        on_drag: Callable[[tuple[float, float], tuple[float, float]], None],
        on_view: Callable[[], None],
        on_pointer: Callable[[float, float], None],
    ) -> None:
        self.frame = frame
        self._on_point, self._on_drag, self._on_view, self._on_pointer = on_point, on_drag, on_view, on_pointer
        self.on_hover: Callable[[tuple[float, float] | None], None] = lambda place: None
        self._tool = "plus"
        self._corner: tuple[float, float] | None = None
        self._areas: tuple[BaseGeometry, ...] = ()
        self._place_time = 0.0
        self._pressed = False
        self.map = self._make_map()
        self.rasters: dict[str, ipyleaflet.Layer] = {}
        """Tiles and images below the labels, by their pane."""
        self._attribution = ipyleaflet.AttributionControl(position="bottomright", prefix="")
        self._icons = {
            True: ipyleaflet.DivIcon(html=_PLUS, icon_size=[18, 18], icon_anchor=[9, 9]),
            False: ipyleaflet.DivIcon(html=_MINUS, icon_size=[18, 18], icon_anchor=[9, 9]),
        }
        self.labels = LabelLayer(frame, "labels", self.map.add)
        self.proposed = LabelLayer(frame, "proposed", self.map.add, proposed=True)
        self.preview = ipyleaflet.GeoJSON(data=_EMPTY, pane="preview", name="preview")
        self.encoded = ipyleaflet.GeoJSON(data=_EMPTY, pane="encoded", name="encoded windows")
        self.areas = ipyleaflet.GeoJSON(data=_EMPTY, pane="suggestions", name="areas kept out of training")
        self.interest = ipyleaflet.GeoJSON(data=_EMPTY, pane="suggestions", name="area of interest")
        self.suggestions = ipyleaflet.GeoJSON(data=_EMPTY, pane="suggestions", name="suggestions")
        self.selected = ipyleaflet.GeoJSON(data=_EMPTY, pane="selected", name="selected objects")
        self.disputed = ipyleaflet.GeoJSON(data=_EMPTY, pane="selected", name="what two annotators dispute")
        self.prompt_box = ipyleaflet.GeoJSON(data=_EMPTY, pane="mask", name="box")
        self.mask = ipyleaflet.ImageOverlay(url="", bounds=[(0, 0), (0, 0)], pane="mask", name="mask")
        self.points = ipyleaflet.LayerGroup(layers=(), name="points")
        ground = (self.encoded, self.areas, self.interest, self.suggestions)
        for layer in (*ground, self.selected, self.disputed, self.preview, self.prompt_box, self.points):
            self.map.add(layer)
        self._place = widgets.HTML()
        self.map.add(ipyleaflet.WidgetControl(widget=self._place, position="bottomright", transparent_bg=True))
        if not frame.is_plain:
            self.map.add(ipyleaflet.ScaleControl(position="bottomleft", imperial=False))
        self.map.on_interaction(self._interaction)
        self.map.observe(lambda _: self._on_view(), names=["bounds"])

    def _make_map(self) -> ipyleaflet.Map:
        center, zoom = self._fit(self.frame.bounds, (WIDTH, HEIGHT))
        options: dict[str, Any] = {}
        if self.frame.is_plain:
            options = {"crs": ipyleaflet.projections.Simple, "min_zoom": min(-1.0, zoom), "max_zoom": 5.0}
        else:
            options = {"min_zoom": 0.0, "max_zoom": self._deepest()}
        return ipyleaflet.Map(
            basemap={},
            layers=(),
            panes=PANES,
            center=center,
            zoom=zoom,
            prefer_canvas=True,
            scroll_wheel_zoom=True,
            double_click_zoom=False,  # the second click of a hasty person is not a wish to zoom
            box_zoom=False,  # Shift with a click means minus
            attribution_control=False,
            default_style={"cursor": "crosshair"},
            layout=widgets.Layout(height=f"var(--seglab-height, {HEIGHT}px)", width="100%", margin="0"),
            **options,
        )

    # -- view

    @property
    def view(self) -> LatLonBounds | None:
        """What the person sees; None before the page has drawn the map."""
        return tuple(self.map.bounds) or None  # type: ignore[return-value]

    def fly_to(self, geometry: BaseGeometry, around: float = 0.3) -> None:
        """Show a geometry of scene pixels, with some of its surroundings: a share of its size on each side."""
        left, top, right, bottom = geometry.bounds
        margin = around * max(right - left, bottom - top)
        center, zoom = self._fit(self._around(box(left - margin, top - margin, right + margin, bottom + margin)))
        with self.map.hold_sync():
            self.map.center = center
            self.map.zoom = min(zoom, self.map.max_zoom)

    def look_at(self, geometry: BaseGeometry) -> None:
        """Show a geometry of scene pixels without changing the zoom, where it can be seen well like this."""
        left, top, right, bottom = geometry.bounds
        shown = 0.0 if self.view is None else max(right - left, bottom - top) / self.frame.view_pixels(self.view)
        if not LEAST_SHARE <= shown <= LARGEST_SHARE:
            self.fly_to(geometry, SURROUNDINGS)
            return
        self.map.center = self._fit(self._around(box(left, top, right, bottom)))[0]

    def _around(self, rectangle: BaseGeometry) -> LatLonBounds:
        """What of the map a rectangle of scene pixels fills."""
        places = [self.frame.to_map(col, row) for col, row in rectangle.exterior.coords]
        lats, lons = [lat for lat, _ in places], [lon for _, lon in places]
        return (min(lats), min(lons)), (max(lats), max(lons))

    def fly_home(self) -> None:
        """Show the whole scene."""
        with self.map.hold_sync():
            self.map.center, self.map.zoom = self._fit(self.frame.bounds)

    @property
    def size(self) -> tuple[float, float]:
        """(width, height) of the map, CSS pixels; as on a common screen until the page has told."""
        (left, top), (right, bottom) = self.map.pixel_bounds or ((0, 0), (0, 0))
        return (right - left, bottom - top) if right > left and bottom > top else (WIDTH, HEIGHT)

    def _fit(self, bounds: LatLonBounds, size: tuple[float, float] | None = None) -> tuple[tuple[float, float], float]:
        """Centre and the deepest whole zoom at which bounds are seen whole, on a map of a size; None: on this one."""
        width, height = size or self.size
        (south, west), (north, east) = bounds
        if self.frame.is_plain:
            across, along = east - west, north - south
            center = ((south + north) / 2, (west + east) / 2)
        else:
            low, high = (math.asinh(math.tan(math.radians(lat))) for lat in (south, north))
            across = (east - west) / _DEGREES_PER_PIXEL
            along = math.degrees(high - low) / _DEGREES_PER_PIXEL
            center = (math.degrees(math.atan(math.sinh((low + high) / 2))), (west + east) / 2)
        return center, float(math.floor(math.log2(min(width / across, height / along))))

    def _deepest(self) -> float:
        """The zoom at which a pixel of the scene is large enough to be clicked one by one."""
        (_, west), (_, east) = self.frame.bounds
        pixels = max(self.frame.grid.width, self.frame.grid.height)
        pixel = max(east - west, 1e-9) / pixels / _DEGREES_PER_PIXEL
        return float(min(24, max(4, math.ceil(math.log2(LARGEST_PIXEL / pixel)))))

    # -- layers

    def show_raster(self, name: str, layer: ipyleaflet.Layer | None) -> None:
        """Put tiles or an image into the pane of their name, in place of what is there; None takes that away."""
        before = self.rasters.pop(name, None)
        if layer is not None:
            self.rasters[name] = layer
            self.map.add(layer)
        if before is not None:
            self.map.remove(before)

    def show_basemap(self, layer: ipyleaflet.TileLayer | None) -> None:
        """Show tiles of a service on the network below the scene, with who made them; None shows none."""
        self.show_raster("basemap", layer)
        if layer is not None and self._attribution not in self.map.controls:
            self.map.add(self._attribution)
        elif layer is None and self._attribution in self.map.controls:
            self.map.remove(self._attribution)

    def show_encoded(self, ground: BaseGeometry) -> None:
        """Outline the ground where a click is answered at once; an empty geometry for none."""
        shadow = {"color": "#222222", "weight": 4, "fill": False, "opacity": 0.6}
        style = {"color": "#ffffff", "weight": 2, "fill": False, "opacity": 1, "dashArray": "1 5"}
        self._set(self.encoded, [] if ground.is_empty else [self._feature(ground, part) for part in (shadow, style)])

    def show_mask(self, overlay: Overlay | None) -> None:
        """Show the live mask; None takes it away."""
        shown = self.mask in self.map.layers
        if overlay is None:
            if shown:
                self.map.remove(self.mask)
            return
        with self.mask.hold_sync():
            self.mask.url, self.mask.bounds = overlay.url, overlay.bounds
        if not shown:
            self.map.add(self.mask)

    def show_prompts(self, prompts: Prompts) -> None:
        """Mark the clicks and the box of the object that is being drawn."""
        wanted = [(self.frame.to_map(p.col, p.row), p.positive) for p in prompts.points]
        kept = [m for m, w in zip(self.points.layers, wanted, strict=False) if self._is_marker(m, w)]
        if len(kept) < min(len(self.points.layers), len(wanted)):
            kept = []
        new = [
            ipyleaflet.Marker(
                location=place,
                icon=self._icons[positive],
                draggable=False,
                keyboard=False,
                alt="plus point" if positive else "minus point",
            )
            for place, positive in wanted[len(kept) :]
        ]
        gone = [m for m in self.points.layers if m not in kept]
        if new or gone:
            self.points.layers = (*kept, *new)
        for marker in gone:
            marker.close()
        features = []
        if prompts.box is not None:
            b = prompts.box
            style = {"color": "#fff", "weight": 2, "dashArray": "6 4", "fill": False}
            features = [self._feature(box(b.left, b.top, b.right, b.bottom), style)]
        self._set(self.prompt_box, features)

    def _is_marker(self, marker: ipyleaflet.Marker, wanted: tuple[tuple[float, float], bool]) -> bool:
        return tuple(marker.location) == tuple(wanted[0]) and marker.icon is self._icons[wanted[1]]

    def show_labels(self, objects: Sequence[Outlined], classes: Mapping[str, str]) -> None:
        """Draw the accepted objects."""
        self.labels.show(objects, classes)

    def show_proposed(self, objects: Sequence[Outlined], classes: Mapping[str, str]) -> None:
        """Draw the proposed objects."""
        self.proposed.show(objects, classes)

    def show_preview(self, geometry: BaseGeometry | None, colour: str) -> None:
        """Draw what a click would give: a faint outline of short dashes; None takes it away."""
        if geometry is None or geometry.is_empty:
            self._set(self.preview, [])
            return
        line = {"color": "#ffffff", "weight": 1.5, "dashArray": "3 4", "fillColor": colour, "fillOpacity": 0.15}
        shadow = {"color": "#222222", "weight": 3, "opacity": 0.45, "fill": False}
        shape = self.frame.geojson(geometry)
        parts = [{"type": "Feature", "properties": {"style": style}, "geometry": shape} for style in (shadow, line)]
        self._set(self.preview, parts)

    def show_selected(self, geometries: Sequence[BaseGeometry], proposed: bool = False) -> None:
        """Outline the selected objects: a light line on a dark one, seen on any ground; broken for proposed ones."""
        self._set(self.selected, [part for one in geometries for part in self._outlined(one, proposed)])

    def show_disputed(self, first: BaseGeometry | None, second: BaseGeometry | None) -> None:
        """Outline what two annotators have otherwise: the first one's by a whole line, the second one's by a broken."""
        sides = ((first, False), (second, True))
        self._set(
            self.disputed, [part for one, broken in sides if one is not None for part in self._outlined(one, broken)]
        )

    def _outlined(self, geometry: BaseGeometry, broken: bool) -> list[dict[str, Any]]:
        shadow = {"color": "#222222", "weight": 7, "fill": False, "opacity": 0.85}
        style = {"color": "#ffffff", "weight": 3, "fill": False, "opacity": 1}
        style |= {"dashArray": PROPOSED_DASHES} if broken else {}
        shape = self.frame.geojson(geometry)
        return [{"type": "Feature", "properties": {"style": part}, "geometry": shape} for part in (shadow, style)]

    def show_areas(self, areas: Sequence[BaseGeometry]) -> None:
        """Draw the ground that rounds are judged on and never train on."""
        areas = tuple(areas)
        if areas == self._areas:
            return
        self._areas = areas
        style = {"color": "#ffffff", "weight": 2, "dashArray": "8 6", "fill": False, "opacity": 0.9}
        shadow = {"color": "#222222", "weight": 4, "fill": True, "fillColor": "#222222", "fillOpacity": 0.15}
        self._set(self.areas, [self._feature(area, part) for area in areas for part in (shadow, style)])

    def show_interest(self, area: BaseGeometry | None) -> None:
        """Frame the ground that maps and suggestions keep to; None for all of the scene."""
        shadow = {"color": "#222222", "weight": 5, "fill": False, "opacity": 0.7}
        style = {"color": "#ffffff", "weight": 2, "fill": False, "opacity": 0.95}
        self._set(self.interest, [] if area is None else [self._feature(area, part) for part in (shadow, style)])

    def show_suggestions(self, windows: Sequence[BaseGeometry], current: int | None) -> None:
        """Draw the windows that are worth labelling; the current one with a whole line."""
        features = []
        for index, window in sorted(enumerate(windows), key=lambda item: item[0] == current):
            weight, dashes = (3, None) if index == current else (2, "2 6")
            style = {"color": "#ffffff", "weight": weight, "dashArray": dashes, "fill": False, "opacity": 1}
            shadow = {"color": "#222222", "weight": weight + 3, "fill": False, "opacity": 0.6}
            features += [self._feature(window, shadow), self._feature(window, style)]
        self._set(self.suggestions, features)

    def _feature(self, geometry: BaseGeometry, style: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "Feature",
            "properties": {"style": style},
            "geometry": self.frame.geojson(geometry, simplify=False),
        }

    @staticmethod
    def _set(layer: ipyleaflet.GeoJSON, features: list[dict[str, Any]]) -> None:
        for feature in features:  # ipyleaflet forgets the pane of a layer whose data are there before it is shown
            feature["properties"]["style"] = {**feature["properties"]["style"], "pane": layer.pane}
        data = {"type": "FeatureCollection", "features": features}
        if layer.data != data:
            layer.data = data

    # -- what the person does

    @property
    def tool(self) -> str:
        """One of toolbar.TOOLS."""
        return self._tool

    @tool.setter
    def tool(self, tool: str) -> None:
        self._tool, self._corner = tool, None
        self.map.dragging = tool not in DRAGGED

    def _interaction(self, **event: Any) -> None:
        """Leaflet's mouse events; it sends no click after a drag and none from its controls."""
        kind = event.get("type")
        lat, lon = event["coordinates"]
        if kind == "mousemove":
            self._show_place(lat, lon)
            if not self._pressed:
                self.on_hover((lat, lon))
        elif kind == "mouseout":
            self._place.value = ""
        elif kind == "contextmenu":
            self._on_point(lat, lon, False)
        elif kind == "click":
            self._on_point(lat, lon, None)
        elif self._tool in DRAGGED:
            self._drag(kind, lat, lon)
        if kind in ("mousedown", "mouseup", "mouseout", "click", "contextmenu"):
            self._pressed = kind == "mousedown"
            self.on_hover(None)

    def _drag(self, kind: str | None, lat: float, lon: float) -> None:
        if kind == "mousedown":
            self._corner = (lat, lon)
        elif kind == "mouseup" and self._corner is not None:
            first, self._corner = self._corner, None
            if first != (lat, lon):
                self._on_drag(first, (lat, lon))

    def _show_place(self, lat: float, lon: float) -> None:
        now = time.monotonic()
        if now - self._place_time < PLACE_SECONDS:
            return
        self._place_time = now
        x, y = self.frame.to_crs(lat, lon)
        self._on_pointer(x, y)
        if self.frame.is_plain:
            text = f"column {math.floor(x)}, row {math.floor(y)}"
        else:
            text = f"{abs(y):.5f}° {'N' if y >= 0 else 'S'}, {abs(x):.5f}° {'E' if x >= 0 else 'W'}"
        self._place.value = f'<span class="seglab-place">{text}</span>'
