"""The pictures below the labels: the scene and the class map, as tiles or as images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipyleaflet

from seglab.app.view import TiledLayer, prediction_image, prediction_tiles, scene_image, scene_tiles
from seglab.ui.transport import TileProbe

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class Imagery:
    """Puts the scene and its class map on the map, by the route that reaches the page.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.probe: TileProbe | None = None
        """None for a plain map."""
        self.tiled: dict[str, TiledLayer] = {}
        """What is served: "imagery" and "prediction"."""

    def start(self) -> None:
        """Show the scene."""
        app = self._app
        with app.messages:
            if app.frame.is_plain:
                app.view.show_image(scene_image(app.session, app.frame))
                return
            layer = self.tiled["imagery"] = scene_tiles(app.session)
            self.probe = TileProbe(layer.candidates, layer.path, layer.probe_tile)
            self.probe.observe(self._routed, names=["result"])
            app.view.show_tiles(self.probe.url_for(layer.path))

    def close(self) -> None:
        """Serve nothing any more."""
        for layer in self.tiled.values():
            layer.remove()

    def _routed(self, _: Any) -> None:
        """The page has found out how it reaches the tiles."""
        app, probe = self._app, self.probe
        assert probe is not None
        with app.messages:
            if not probe.works:
                tried = f"Tried {probe.explain()}"
                app.messages.show(f"No imagery reaches this page; labelling goes on without. {tried}", "error")
                return
            app.view.show_tiles(probe.url_for(self.tiled["imagery"].path))
            if "prediction" in self.tiled and isinstance(app.view.prediction, ipyleaflet.TileLayer):
                app.view.prediction.url = probe.url_for(self.tiled["prediction"].path)

    def refresh_prediction(self) -> None:
        """Show the latest class map, if there is one."""
        app = self._app
        app.refresh_prediction_state()
        if app.session.prediction is None:
            return
        before = self.tiled.pop("prediction", None)
        if before is not None:
            before.remove()
        look = {"opacity": app.maps.opacity.value, "visible": app.maps.visible.value}
        if self.probe is None:
            image = prediction_image(app.session, app.frame)
            layer = ipyleaflet.ImageOverlay(url=image.url, bounds=image.bounds, pane="prediction", **look)
        else:
            tiled = self.tiled["prediction"] = prediction_tiles(app.session)
            layer = ipyleaflet.TileLayer(
                url=self.probe.url_for(tiled.path), max_zoom=24, name="class map", attribution="", **look
            )
        app.view.show_prediction(layer)

    def look(self, visible: bool, opacity: float) -> None:
        """How the class map is shown."""
        layer = self._app.view.prediction
        if layer is not None:
            layer.visible, layer.opacity = visible, opacity
