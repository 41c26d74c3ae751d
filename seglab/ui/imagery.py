"""The pictures below the labels: rasters, as tiles by the route that reaches the page, or as images on a plain map."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import ipyleaflet

from seglab.app.maps.map_rasters import StyledRaster, image_of, tiles_of
from seglab.app.project.view import TiledLayer

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


LOOKS = ("imagery", "second", "clusters")
"""Panes that change to and fro: bands of the scene, clusters of which one is in hand. A look that was shown before has
its former address, so that the page has its tiles."""

KEPT = 16
"""Looks that are served though they are not shown, at most."""


class Imagery:
    """Puts rasters on the map, each in the pane of its name.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.tiled: dict[str, TiledLayer] = {}
        """What is served, by pane."""
        self._disconnect: dict[str, Callable[[], None]] = {}
        self._looks: OrderedDict[str, TiledLayer] = OrderedDict()

    def show(self, name: str, raster: StyledRaster) -> None:
        """Show a raster in a pane, in place of the one before.

        Args:
            name: of the pane.
            raster: what to show.
        """
        app, view = self._app, self._app.view
        if app.frame.is_plain:
            image = image_of(raster, app.frame)
            view.show_raster(name, ipyleaflet.ImageOverlay(url=image.url, bounds=image.bounds, pane=name, name=name))
            return
        tiled = self._serve(name, raster)
        self._end(name)
        self.tiled[name] = tiled
        probe = app.connection.probe or app.connection.open(tiled)
        layer = view.rasters.get(name)
        if layer is None:
            layer = ipyleaflet.TileLayer(url="", max_zoom=24, pane=name, name=name, attribution="")
            view.show_raster(name, layer)
        self._disconnect[name] = probe.connect(layer, tiled.path)

    def drop(self, name: str) -> None:
        """Show nothing in a pane."""
        self._end(name)
        self._app.view.show_raster(name, None)

    def close(self) -> None:
        """Serve nothing any more."""
        for name in list(self.tiled):
            self._end(name)
        while self._looks:
            self._looks.popitem()[1].remove()

    def _serve(self, name: str, raster: StyledRaster) -> TiledLayer:
        key = f"{raster.colormap} {raster.xml}"
        if name not in LOOKS:
            return tiles_of(raster)
        tiled = self._looks.pop(key, None) or tiles_of(raster)
        self._looks[key] = tiled
        shown = self.tiled.values()
        spare = [known for known, layer in self._looks.items() if layer is not tiled and layer not in shown]
        for known in spare[: max(0, len(spare) - KEPT)]:
            self._looks.pop(known).remove()
        return tiled

    def _end(self, name: str) -> None:
        """Stop showing what is in a pane, and serving it unless it is a look."""
        if name in self.tiled:
            self._disconnect.pop(name)()
            tiled = self.tiled.pop(name)
            if tiled not in self._looks.values():
                tiled.remove()
