"""The pictures below the labels: the scene and the class map, as tiles or as images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipyleaflet

from seglab.app.view import TiledLayer, prediction_image, prediction_tiles, scene_image, scene_tiles

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class Imagery:
    """Puts the scene and its class map on the map, by the route that reaches the page.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.tiled: dict[str, TiledLayer] = {}
        """What is served: "imagery" and "prediction"."""
        self._disconnect: dict[str, Callable[[], None]] = {}

    def start(self) -> None:
        """Show the scene."""
        app = self._app
        with app.messages:
            if app.frame.is_plain:
                app.view.show_image(scene_image(app.session, app.frame))
                return
            layer = self.tiled["imagery"] = scene_tiles(app.session)
            tiles = app.view.show_tiles()
            self._disconnect["imagery"] = app.connection.open(layer).connect(tiles, layer.path)

    def close(self) -> None:
        """Serve nothing any more."""
        for name in list(self.tiled):
            self._end(name)

    def _end(self, name: str) -> None:
        """Stop serving what there is of a name."""
        if name in self.tiled:
            self._disconnect.pop(name)()
            self.tiled.pop(name).remove()

    def refresh_prediction(self) -> None:
        """Show the latest class map, if there is one."""
        app = self._app
        app.refresh_prediction_state()
        if app.session.prediction is None:
            return
        self._end("prediction")
        look = {"opacity": app.maps.opacity.value, "visible": app.maps.visible.value}
        probe = app.connection.probe
        if probe is None:
            image = prediction_image(app.session, app.frame)
            layer = ipyleaflet.ImageOverlay(url=image.url, bounds=image.bounds, pane="prediction", **look)
        else:
            tiled = self.tiled["prediction"] = prediction_tiles(app.session)
            layer = ipyleaflet.TileLayer(max_zoom=24, name="class map", attribution="", **look)
            self._disconnect["prediction"] = probe.connect(layer, tiled.path)
        app.view.show_prediction(layer)

    def look(self, visible: bool, opacity: float) -> None:
        """How the class map is shown."""
        layer = self._app.view.prediction
        if layer is not None:
            layer.visible, layer.opacity = visible, opacity
