"""The layers of the map: which are seen, how strongly, and two of them side by side."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import ipywidgets as widgets
from xyzservices import TileProvider, providers

from seglab.ui.keys import tip
from seglab.ui.look_editor import LookEditor
from seglab.ui.panels import faint, row, section
from seglab.ui.toolbar import set_shown

NO_BASEMAP = "None"
BASEMAPS: dict[str, TileProvider | None] = {
    NO_BASEMAP: None,
    "OpenStreetMap": providers.OpenStreetMap.Mapnik,
    "Esri World Imagery": providers.Esri.WorldImagery,
    "OpenTopoMap": providers.OpenTopoMap,
    "Esri Topographic": providers.Esri.WorldTopoMap,
}
"""Maps of services on the network, to lie below the scene; without one the app needs no network."""

NOTHING = "Nothing"
"""Side of the divider that shows no more than the other layers do."""


@dataclass(frozen=True)
class Layer:
    """A row of the panel."""

    pane: str
    title: str
    words: str
    """What it is, for the tooltip."""
    visible: bool
    opacity: float
    """At first."""


LAYERS = (
    Layer("labels", "Labels", "the accepted and proposed objects", True, 1.0),
    Layer("encoded", "Encoded", "windows in which a click is answered at once", False, 1.0),
    Layer("changed", "Changed", "pixels whose class differs between the two latest maps", False, 0.9),
    Layer("confidence", "Confidence", "how sure the class map is", False, 0.8),
    Layer("clusters", "Clusters", "what looks alike and has no label yet", True, 0.6),
    Layer("prediction", "Class map", "the latest map of the scene", True, 0.6),
    Layer("imagery", "Imagery", "the scene", True, 1.0),
    Layer("basemap", "Basemap", "a map from the network, below the scene", True, 1.0),
)
"""The layers, the topmost first."""


class LayerHandlers(Protocol):
    """What the panel sets off."""

    def show_layer(self, pane: str) -> None:
        """A layer is to be shown, hidden or faded."""

    def choose_basemap(self, provider: TileProvider | None) -> None:
        """Another map below the scene; None for none."""

    def swipe(self) -> None:
        """The divider was switched on or off, or is to divide other layers."""


class LayerRow(widgets.HBox):
    """Eye, name and opacity of a layer.

    Args:
        layer: which.
        handlers: told of every change.
    """

    def __init__(self, layer: Layer, handlers: LayerHandlers) -> None:
        self.layer = layer
        self.eye = widgets.ToggleButton(value=layer.visible)
        self.eye.add_class("seglab-eye")
        self.opacity = widgets.FloatSlider(
            value=layer.opacity, min=0, max=1, step=0.05, readout=False, tooltip=f"Opacity: {layer.title.lower()}"
        )
        name = widgets.HTML(html.escape(layer.title))
        name.add_class("seglab-layer-name")
        super().__init__([self.eye, name, self.opacity])
        self.add_class("seglab-layer")
        self.add_class(f"seglab-layer-{layer.pane}")
        self._draw()
        self.eye.observe(lambda _: (self._draw(), handlers.show_layer(layer.pane)), names=["value"])
        self.opacity.observe(lambda _: handlers.show_layer(layer.pane), names=["value"])

    def enable(self, is_there: bool) -> None:
        """Say whether there is anything to show."""
        self.eye.disabled = self.opacity.disabled = not is_there

    def _draw(self) -> None:
        seen = self.eye.value
        self.eye.icon = "eye" if seen else "eye-slash"
        words = f"{'Hide' if seen else 'Show'} {self.layer.words}"
        self.eye.tooltip = tip(words, "labels") if self.layer.pane == "labels" else words


class LayersPanel(widgets.VBox):
    """One row per layer, what the imagery and the basemap show, and the divider.

    Args:
        handlers: told of every change.
        look: chooses what the imagery shows.
        has_basemap: whether the map has a place on the Earth.
    """

    def __init__(self, handlers: LayerHandlers, look: LookEditor, has_basemap: bool) -> None:
        self._handlers = handlers
        self._filling = False
        self.rows = {layer.pane: LayerRow(layer, handlers) for layer in LAYERS}
        self.notes = {layer.pane: widgets.HTML() for layer in LAYERS}
        self.look = look
        self.basemap = widgets.Dropdown(options=list(BASEMAPS), tooltip="A map below the scene; needs the network")
        self.basemap.observe(lambda _: handlers.choose_basemap(BASEMAPS[self.basemap.value]), names=["value"])
        below = {"imagery": [look], "basemap": [row(self.basemap)]}
        parts: list[widgets.Widget] = []
        for pane, layer_row in self.rows.items():
            block = widgets.VBox([layer_row, *below.get(pane, []), self.notes[pane]])
            block.add_class("seglab-layer-block")
            parts.append(block)
        self.basemap_block = parts[-1]
        set_shown(self.basemap_block, has_basemap)
        self._make_swipe()
        super().__init__([section("Layers", *parts), section("Compare", row(self.divide), self._sides)])
        self.add_class("seglab-layers")

    def _make_swipe(self) -> None:
        self.divide = widgets.ToggleButton(
            description="Swipe", icon="columns", tooltip=tip("A divider between two layers, to be dragged", "swipe")
        )
        self.divide.add_class("seglab-wide")
        self.left = widgets.Dropdown(tooltip="Only seen on the left of the divider")
        self.right = widgets.Dropdown(tooltip="Only seen on the right of the divider")
        self._sides = widgets.VBox(
            [
                row(widgets.HTML(faint("Left")), self.left),
                row(widgets.HTML(faint("Right")), self.right),
            ]
        )
        self._sides.add_class("seglab-sides")
        set_shown(self._sides, False)
        self.divide.observe(lambda _: (set_shown(self._sides, self.divide.value), self._swiped()), names=["value"])
        for side in (self.left, self.right):
            side.observe(lambda _: self._swiped(), names=["value"])

    def _swiped(self) -> None:
        if not self._filling:
            self._handlers.swipe()

    def offer(self, left: Mapping[str, str], right: Mapping[str, str]) -> None:
        """Say what can be put on each side of the divider; what was chosen stays, where it is still there.

        Args:
            left, right: values by title, "" for nothing.
        """
        self._filling = True
        for side, choices in ((self.left, left), (self.right, right)):
            options = [(title, value) for title, value in choices.items()]
            if list(side.options) != options:
                chosen = side.value
                side.options = options
                side.value = chosen if chosen in choices.values() else options[0][1]
        self._filling = False

    def choose_sides(self, left: str, right: str) -> None:
        """Put values of `offer` on the two sides; one that is not offered is passed over."""
        self._filling = True
        for side, value in ((self.left, left), (self.right, right)):
            if value in (known for _, known in side.options):
                side.value = value
        self._filling = False
        self._swiped()

    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(value, title) of what is on the left and on the right of the divider."""
        return (self.left.value, self.left.label), (self.right.value, self.right.label)

    def note(self, pane: str, words: str) -> None:
        """Say what a layer shows.

        Args:
            pane: of the layer.
            words: HTML; "" for nothing.
        """
        self.notes[pane].value = words
        set_shown(self.notes[pane], bool(words))
