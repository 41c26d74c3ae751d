"""Tiles as a page reaches them, and the scale that fits what a person sees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from seglab.app.session import LabelSession
from seglab.serve.routes import candidates
from seglab.serve.tiles import TileLayerHandle, TileServer


@dataclass(frozen=True)
class TiledLayer:
    """A raster served as tiles, and the ways by which a page may reach them."""

    server: TileServer
    """Who serves it."""
    handle: TileLayerHandle
    candidates: tuple[Mapping[str, str], ...]
    """{"name", "url", "reason"} of each address by which a page may reach it, best first."""

    @property
    def path(self) -> str:
        """Path of the tiles below the server's root, with {z}, {x}, {y}."""
        return self.handle.path_template

    @property
    def probe_tile(self) -> tuple[int, int, int]:
        """(z, x, y) of a tile to try a route with."""
        return self.handle.probe_tile

    def render(self, path: str) -> tuple[int, bytes]:
        """A tile of this layer, or of another one of the same server, without HTTP: see `TileServer.render`."""
        return self.server.render(path)

    def remove(self) -> None:
        """Stop serving it."""
        self.server.remove(self.handle)


def fit_scale(session: LabelSession, view_pixels: float) -> int:
    """The scale at which the model's window covers about what a person sees, never coarser.

    Args:
        session: whose model looks.
        view_pixels: shorter side of the view, scene pixels.

    Returns:
        Scene pixels per model pixel, a power of two.
    """
    side = session.model_size
    if not math.isfinite(view_pixels) or view_pixels < 2 * side:
        return 1
    return 2 ** int(math.log2(view_pixels / side))


def tiled_layer(server: TileServer, handle: TileLayerHandle) -> TiledLayer:
    """A raster that is served, with the ways by which a page may reach it."""
    routes = candidates(server.port, handle.path_template)
    return TiledLayer(server, handle, tuple(vars(route) for route in routes))
