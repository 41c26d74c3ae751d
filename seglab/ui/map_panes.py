"""The panes that the map's layers lie in, one for each, and how the page shows them."""

from __future__ import annotations

import anywidget
import traitlets

from seglab.ui.page import script

LAYER_PANES = ("basemap", "imagery", "second", "prediction", "clusters", "confidence", "changed", "encoded", "labels")
"""Panes of the layers that a person shows, hides and fades, the lowest first."""

_FIRST = 301
"""Above Leaflet's own tile pane (200) and below the panes of what is being drawn (420 and more)."""

PANES = {
    **{name: {"zIndex": _FIRST + place, "pointerEvents": "none"} for place, name in enumerate(LAYER_PANES)},
    "proposed": {"zIndex": 415, "pointerEvents": "none"},
    "suggestions": {"zIndex": 420, "pointerEvents": "none"},
    "selected": {"zIndex": 425, "pointerEvents": "none"},
    "preview": {"zIndex": 428, "pointerEvents": "none"},
    "mask": {"zIndex": 430, "pointerEvents": "none"},
}
"""All panes of the map, with their style."""


class Panes(anywidget.AnyWidget):
    """Shows, hides and fades whole panes in the page, whatever lies in them, and cuts two of them at a divider.

    It draws nothing but the divider, which a person drags, or moves by the arrow keys when it has the focus.

    Args:
        map_id: model id of the ipyleaflet map.
    """

    _esm = script("leaflet.js", "panes.js")

    map_id = traitlets.Unicode().tag(sync=True)
    """Model id of the map."""
    looks = traitlets.Dict().tag(sync=True)
    """{"visible": bool, "opacity": 0 to 1} by pane."""
    swipe = traitlets.Dict().tag(sync=True)
    """{"left", "right"}: {"pane", "title"} of what is only seen on that side of the divider, pane "" for nothing. Empty
    without a divider."""
    position = traitlets.Float(0.5).tag(sync=True)
    """Of the divider, as a share of the map's width."""

    def __init__(self, map_id: str) -> None:
        super().__init__(map_id=map_id)

    def show(self, pane: str, visible: bool, opacity: float) -> None:
        """Say how a pane is shown.

        Args:
            pane: its name.
            visible: whether it is seen at all.
            opacity: 0 to 1.
        """
        self.looks = {**self.looks, pane: {"visible": visible, "opacity": opacity}}
