"""What a map shows of a session: tiles, images where no tiles fit, and the scale that fits the view."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import rasterio
from rasterio.enums import Resampling

from seglab.app.mapping import map_colours
from seglab.app.session import LabelSession
from seglab.core.overlay import MapFrame, Overlay, image_png
from seglab.errors import NoPredictionError
from seglab.serve.routes import candidates
from seglab.serve.tiles import TileLayerHandle, TileServer, tile_server
from seglab.store.colours import parse_colour

PLAIN_SIZE = 2048
"""Pixels along the longer side of the image that a plain map shows, at most."""


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


def scene_tiles(session: LabelSession) -> TiledLayer:
    """Tiles of the scene as the model sees it: the same bands, the same stretch.

    Raises:
        SegLabError: as serve.tiles raises.
    """
    scene = session.scene
    server = tile_server()
    low, high = scene.stretch.low, scene.stretch.high
    return _tiled(server, server.add(scene.path, scene.bands, vmin=low, vmax=high, nodata=scene.nodata))


def prediction_tiles(session: LabelSession) -> TiledLayer:
    """Tiles of the latest class map, in the colours of the classes.

    Raises:
        NoPredictionError: there is no map yet.
    """
    server = tile_server()
    return _tiled(server, server.add(_prediction_path(session), colormap=_class_colours(session)))


def scene_image(session: LabelSession, frame: MapFrame) -> Overlay:
    """The whole scene as one image, for a plain map."""
    image, valid, _ = session.scene.preview(PLAIN_SIZE)
    alpha = np.where(valid, np.uint8(255), np.uint8(0))
    return Overlay(image_png(np.dstack([image, alpha])), frame.bounds)


def prediction_image(session: LabelSession, frame: MapFrame) -> Overlay:
    """The latest class map as one image, for a plain map.

    Raises:
        NoPredictionError: there is no map yet.
    """
    with rasterio.open(_prediction_path(session)) as source:
        factor = max(1, math.ceil(max(source.shape) / PLAIN_SIZE))
        shape = (math.ceil(source.height / factor), math.ceil(source.width / factor))
        values = source.read(1, out_shape=shape, resampling=Resampling.nearest)
    table = np.zeros((256, 4), dtype=np.uint8)
    for value, colour in _class_colours(session).items():
        table[value] = (*colour, 255)
    return Overlay(image_png(table[values]), frame.bounds)


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


def _prediction_path(session: LabelSession) -> str:
    prediction = session.prediction
    if prediction is None:
        raise NoPredictionError("the scene has not been mapped yet; accept an object, then map the scene")
    return str(prediction.path)


def _class_colours(session: LabelSession) -> dict[int, tuple[int, int, int]]:
    """Red, green, blue of each value of a class map; background and no data stay transparent."""
    return {value: parse_colour(colour) for value, colour in map_colours(session.state).items()}


def _tiled(server: TileServer, handle: TileLayerHandle) -> TiledLayer:
    routes = candidates(server.port, handle.path_template)
    return TiledLayer(server, handle, tuple(vars(route) for route in routes))
