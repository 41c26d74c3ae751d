"""The last way to a picture: the kernel draws what the view shows of each layer, after every change of the view."""

from __future__ import annotations

import base64
import io
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

import ipyleaflet
import traitlets
from PIL import Image

from seglab.core.overlay import LatLonBounds
from seglab.ui.tile_bridge import RENDERERS, Render

SETTLE_SECONDS = 0.15
"""How long the view must have stood still before it is drawn."""

SIDE = 256
"""Pixels along a tile."""

MOST_TILES = 48
"""Of one picture; a larger screen gets a coarser one."""

QUALITY = 90
"""Of the WebP picture, 0 to 100: a fifth of a PNG's bytes; transparency is kept exactly."""


@dataclass(frozen=True)
class TileBlock:
    """The tiles of one zoom level that cover a view; columns are not wrapped at the date line."""

    zoom: int
    left: int
    top: int
    right: int
    bottom: int
    """Past the last row, as `right` is past the last column."""

    @classmethod
    def covering(cls, bounds: LatLonBounds, zoom: int) -> TileBlock:
        """The block for a view in degrees, at a zoom level or at a coarser one if that is too many tiles."""
        (south, west), (north, east) = bounds
        world = 2**zoom
        left, right = (math.floor((lon + 180) / 360 * world) for lon in (west, east))
        top, bottom = (math.floor(_down(lat) * world) for lat in (north, south))
        top, bottom = max(0, top), min(world - 1, bottom)
        block = cls(zoom, left, top, right + 1, bottom + 1)
        return block if block.count <= MOST_TILES or not zoom else cls.covering(bounds, zoom - 1)

    @property
    def count(self) -> int:
        """How many tiles."""
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)

    @property
    def bounds(self) -> LatLonBounds:
        """Its corners in degrees."""
        world = 2**self.zoom
        west, east = (column / world * 360 - 180 for column in (self.left, self.right))
        heights = (math.pi * (1 - 2 * row / world) for row in (self.top, self.bottom))
        north, south = (math.degrees(math.atan(math.sinh(height))) for height in heights)
        return (south, west), (north, east)

    def tiles(self) -> Iterator[tuple[int, int]]:
        """(column, row) of each."""
        for row in range(self.top, self.bottom):
            for column in range(self.left, self.right):
                yield column, row


def _down(lat: float) -> float:
    """How far down the Web Mercator world a latitude lies, 0 to 1."""
    lat = min(85.0511, max(-85.0511, lat))
    return (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2


class ViewImages:
    """Shows layers of tiles as one picture each, in the pane and with the opacity of the tiles.

    Args:
        shown: the map.
        render: draws a tile.
    """

    def __init__(self, shown: ipyleaflet.Map, render: Render) -> None:
        self._map, self._render = shown, render
        self._paths: dict[ipyleaflet.TileLayer, str] = {}
        self._images: dict[ipyleaflet.TileLayer, ipyleaflet.ImageOverlay] = {}
        self._links: dict[ipyleaflet.TileLayer, list[traitlets.dlink]] = {}
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._turn = 0
        self.is_on = False
        """Whether the pictures are shown."""

    def add(self, layer: ipyleaflet.TileLayer, path: str) -> None:
        """Draw a layer too, or one from another path than before.

        Args:
            layer: of the map.
            path: of its tiles, with {z}, {x}, {y}.
        """
        with self._lock:
            self._paths[layer] = path
        self._draw_soon()

    def discard(self, layer: ipyleaflet.TileLayer) -> None:
        """Draw a layer no more."""
        with self._lock:
            self._paths.pop(layer, None)
            self._take_away(layer)

    def start(self) -> None:
        """Show the pictures, and follow the view."""
        if not self.is_on:
            self.is_on = True
            self._map.observe(self._draw_soon, "bounds")
            self._map.observe(self._layers_changed, "layers")
        self._draw_soon()

    def stop(self) -> None:
        """Take them away."""
        if not self.is_on:
            return
        self.is_on = False
        self._map.unobserve(self._draw_soon, "bounds")
        self._map.unobserve(self._layers_changed, "layers")
        with self._lock:
            self._turn += 1
            if self._timer is not None:
                self._timer.cancel()
            for layer in list(self._images):
                self._take_away(layer)

    def _layers_changed(self, change: traitlets.Bunch) -> None:
        before, after = ({layer for layer in change[key] if layer in self._paths} for key in ("old", "new"))
        if before != after:  # not by a picture of ours
            self._draw_soon()

    def _draw_soon(self, _: object = None) -> None:
        with self._lock:
            if not self.is_on:
                return
            self._turn += 1
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(SETTLE_SECONDS, copy_context().run, (self._draw, self._turn))
            self._timer.daemon = True
            self._timer.start()

    def _draw(self, turn: int) -> None:
        bounds = tuple(self._map.bounds)
        if not bounds:
            return  # the page has not drawn the map yet
        block = TileBlock.covering(bounds, round(self._map.zoom))
        with self._lock:
            paths = [(layer, path) for layer, path in self._paths.items() if layer in self._map.layers]
            for layer in set(self._images) - {layer for layer, _ in paths}:
                self._take_away(layer)
        for layer, path in paths:
            url = _data_url(self._picture(block, path)) if block.count else ""
            with self._lock:
                if turn != self._turn:
                    return  # the view has moved on
                self._show(layer, url, block.bounds)

    def _picture(self, block: TileBlock, path: str) -> Image.Image:
        """What a layer shows in a block, RGBA."""
        whole = Image.new("RGBA", ((block.right - block.left) * SIDE, (block.bottom - block.top) * SIDE))
        world = 2**block.zoom

        def draw(place: tuple[int, int]) -> bytes:
            status, png = self._render(path.format(z=block.zoom, x=place[0] % world, y=place[1]))
            return png if status == 200 else b""

        with ThreadPoolExecutor(RENDERERS, thread_name_prefix="seglab picture") as pool:
            for (column, row), png in zip(block.tiles(), pool.map(draw, block.tiles()), strict=True):
                if png:
                    tile = Image.open(io.BytesIO(png)).convert("RGBA")
                    whole.paste(tile, ((column - block.left) * SIDE, (row - block.top) * SIDE))
        return whole

    def _show(self, layer: ipyleaflet.TileLayer, url: str, bounds: LatLonBounds) -> None:
        image = self._images.get(layer)
        if image is not None:
            with image.hold_sync():
                image.url, image.bounds = url, bounds
            return
        look = {"opacity": layer.opacity, "visible": layer.visible}
        pane = layer.pane or "tilePane"  # Leaflet's own for tiles
        image = self._images[layer] = ipyleaflet.ImageOverlay(
            url=url, bounds=bounds, pane=pane, name=layer.name, **look
        )
        self._links[layer] = [traitlets.dlink((layer, name), (image, name)) for name in look]
        self._map.add(image)

    def _take_away(self, layer: ipyleaflet.TileLayer) -> None:
        image = self._images.pop(layer, None)
        if image is not None:
            for link in self._links.pop(layer):
                link.unlink()
            if image in self._map.layers:
                self._map.remove(image)
            image.close()


def _data_url(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, format="WEBP", quality=QUALITY, method=0)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
