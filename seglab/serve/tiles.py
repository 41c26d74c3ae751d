"""The tile server of this kernel: localtileserver's tiles, of the open scenes and for who holds the token only.

localtileserver's own server draws any file that a request names, for anybody on the machine. Here a request names a
layer; which file that is, and how it is drawn, is known to this module alone. A tile comes over HTTP or, where the page
cannot get through to this machine, by `TileServer.render` and the widgets' messages.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import math
import os
import re
import secrets
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rio_tiler.errors import NoOverviewWarning, RioTilerError, TileOutsideBounds

from seglab.errors import MissingCRSError
from seglab.serve.styled import Colour, StyledRaster, TileStyle, normalise, style_raster

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Tile = tuple[int, int, int]
"""(z, x, y) in Web Mercator."""

HOST = "127.0.0.1"
"""Loopback only: other machines come through the notebook server and its login."""

MAX_ZOOM = 30
"""Deepest zoom level that is served; the side of a tile is 4 cm there."""

_ROUTE = re.compile(
    r"/(?P<token>[\w-]+)/(?P<layer>[\w-]+)/(?P<z>\d{1,2})/(?P<x>\d{1,10})/(?P<y>\d{1,10})\.png", re.ASCII
)
_EMPTY_TILE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNgAAIAAAUAAen63NgAAAAASUVORK5CYII="
)
_RENDERERS = max(2, min(4, os.cpu_count() or 2))
"""Tiles drawn at once; more would only take the processor from the click that is being decoded."""
_CACHE = "private, max-age=3600"
"""A layer never changes (a new map is a new layer), so the browser may keep its tiles."""
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class TileLayerHandle:
    """A raster that is being served."""

    id: str
    """Its name in the address."""
    path: str
    """The raster."""
    path_template: str
    """Path of its tiles below the server's root, with {z}, {x} and {y} to fill in."""
    bounds: tuple[float, float, float, float]
    """(west, south, east, north) in degrees."""
    probe_tile: Tile
    """(z, x, y) of a tile in the middle of the raster, to try a route with."""


class _Layer:
    """A served raster; its virtual raster is in memory until it is removed and its last tile drawn."""

    def __init__(self, handle: TileLayerHandle, styled: StyledRaster) -> None:
        from localtileserver.tiler import register_colormap

        self.handle = handle
        self._file = MemoryFile(styled.xml.encode(), ext=".vrt")
        self._users = 0
        self._removed = False
        self._lock = threading.Lock()
        self._indexes = list(range(1, styled.bands + 1))
        self._colormap = styled.colormap
        if isinstance(styled.colormap, Mapping):
            self._colormap = register_colormap(styled.colormap)

    def draw(self, tile: Tile) -> tuple[int, bytes]:
        """HTTP status and PNG bytes of a tile, transparent outside the raster; no bytes where it cannot be drawn."""
        from localtileserver.tiler import get_reader, get_tile

        try:
            with self._in_use(), get_reader(self._file.name) as reader:
                drawn = get_tile(reader, *tile, indexes=self._indexes, colormap=self._colormap)
        except TileOutsideBounds:
            return 200, _EMPTY_TILE
        except (RasterioError, RioTilerError, OSError):  # the file is damaged, or out of reach; the text names it
            return 500, b""
        return 200, bytes(drawn)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep the virtual raster while a tile is drawn from it."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_idle()

    def remove(self) -> None:
        """Give the virtual raster back as soon as nobody draws from it."""
        with self._lock:
            self._removed = True
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._removed and not self._users:
            self._file.close()


class _Gate:
    """The ASGI application: answers requests for tiles of open layers, no others.

    Args:
        find: what a path stands for, as `TileServer.find`.
    """

    def __init__(self, find: Callable[[str], tuple[_Layer, Tile] | None]) -> None:
        self._find = find
        self._renderers = ThreadPoolExecutor(_RENDERERS, thread_name_prefix="seglab tile")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        found = self._find(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if found is None:
            await _answer(send, 404)
            return
        layer, tile = found
        await _answer(send, *await asyncio.get_running_loop().run_in_executor(self._renderers, layer.draw, tile))

    def close(self) -> None:
        """Draw nothing more."""
        self._renderers.shutdown(wait=False, cancel_futures=True)


async def _answer(send: Send, status: int, png: bytes = b"") -> None:
    headers = [(b"content-length", str(len(png)).encode())]
    if png:
        headers += [
            (b"content-type", b"image/png"),
            (b"cache-control", _CACHE.encode()),
            # the notebook's page has another origin than this port; the token, not the origin, is what counts
            (b"access-control-allow-origin", b"*"),
        ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": png})


class _Http:
    """Listens on a free port of this machine, in a thread of its own.

    Args:
        find: as in `_Gate`.

    Raises:
        OSError: this process may not listen.
    """

    def __init__(self, find: Callable[[str], tuple[_Layer, Tile] | None]) -> None:
        self._gate = _Gate(find)
        self.socket = socket.create_server((HOST, 0), backlog=128)  # no request comes too early
        self.port: int = self.socket.getsockname()[1]
        config = uvicorn.Config(
            self._gate,
            lifespan="off",
            ws="none",
            loop="asyncio",
            log_config=None,  # logging belongs to the notebook
            log_level="warning",
            access_log=False,  # the address holds the token
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self.socket]}, name="seglab tiles", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive() and not self._server.should_exit

    def close(self) -> None:
        """Stop, and give the port back."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_SECONDS)
        self.socket.close()
        self._gate.close()


class TileServer:
    """Serves tiles of registered rasters, on a random port of this machine and by `render`.

    Use `tile_server()`, which starts one per process.
    """

    def __init__(self) -> None:
        # one line per tile under the notebook's cell, about something that its reader cannot change there
        warnings.filterwarnings("ignore", category=NoOverviewWarning)
        self.token = secrets.token_urlsafe(32)
        self.problem = ""
        """Why it cannot be reached over HTTP; empty when it can."""
        self._layers: dict[str, _Layer] = {}
        self._pid = os.getpid()
        self._closed = False
        self._http: _Http | None = None
        try:
            self._http = _Http(self.find)
        except OSError as error:  # a sandbox that forbids to listen
            self.problem = str(error)

    def __repr__(self) -> str:
        return f"<TileServer port={self.port} layers={len(self._layers)}>"

    @property
    def port(self) -> int | None:
        """On which it listens; None where this process may listen on none."""
        return None if self._http is None else self._http.port

    @property
    def is_running(self) -> bool:
        """Whether it answers; False after `close` and in a forked child, which does not inherit threads."""
        alive = self._http is None or self._http.is_alive
        return alive and self._pid == os.getpid() and not self._closed

    def find(self, path: str) -> tuple[_Layer, Tile] | None:
        """The layer and the tile that a path below the server's root stands for.

        Args:
            path: "/TOKEN/LAYER/Z/X/Y.png".

        Returns:
            None for any other path, another token, a layer that is not served, and where there is no tile.
        """
        match = _ROUTE.fullmatch(path)
        if match is None or not hmac.compare_digest(match["token"].encode(), self.token.encode()):
            return None
        z, x, y = int(match["z"]), int(match["x"]), int(match["y"])
        layer = self._layers.get(match["layer"])
        if layer is None or z > MAX_ZOOM or max(x, y) >= 2**z:
            return None
        return layer, (z, x, y)

    def render(self, path: str) -> tuple[int, bytes]:
        """The same tile without HTTP, drawn in the thread of the caller.

        Args:
            path: as in `find`.

        Returns:
            Status and PNG bytes as HTTP would answer: 404 where nothing is served, 500 where it cannot be drawn.
        """
        found = self.find(path)
        if found is None:
            return 404, b""
        layer, tile = found
        return layer.draw(tile)

    def add(
        self,
        path: str | os.PathLike[str],
        indexes: Sequence[int] = (1,),
        vmin: Sequence[float] | float | None = None,
        vmax: Sequence[float] | float | None = None,
        nodata: float | None = None,
        colormap: Mapping[int, Colour] | str | None = None,
    ) -> TileLayerHandle:
        """Serve a raster.

        Args:
            path: file, URL or GDAL name.
            indexes: 1-based bands: three for red, green and blue, one, or two for their normalised difference.
            vmin: value shown as 0, for all bands or for each; may be left out for 8-bit rasters.
            vmax: value shown as 255, likewise.
            nodata: value drawn transparent; None: as the file says.
            colormap: of one band, or of a difference: {value: (red, green, blue[, alpha])} with other values
                transparent, or the name of a ramp ("viridis") for stretched values. None: the file's colour table, 0
                transparent.

        Returns:
            Where its tiles are.

        Raises:
            SegLabError: as `style_raster` raises.
        """
        count = 1 if len(indexes) == 2 else len(indexes)
        style = TileStyle(tuple(indexes), normalise(vmin, count), normalise(vmax, count), nodata, colormap)
        return self.serve(style_raster(os.fspath(path), style))

    def serve(self, styled: StyledRaster) -> TileLayerHandle:
        """Serve a raster that has its style already.

        Raises:
            MissingCRSError: it has no place on a map.
        """
        if styled.bounds is None:
            raise MissingCRSError(f"{styled.path!r} has no CRS, so no tiles; show it as an image in pixel space")
        name = secrets.token_hex(6)
        handle = TileLayerHandle(
            id=name,
            path=styled.path,
            path_template=f"/{self.token}/{name}/{{z}}/{{x}}/{{y}}.png",
            bounds=styled.bounds,
            probe_tile=_middle_tile(styled.bounds),
        )
        self._layers[name] = _Layer(handle, styled)
        return handle

    def remove(self, layer: TileLayerHandle) -> None:
        """Stop serving a raster; one that is not served (any more) is fine too."""
        found = self._layers.pop(layer.id, None)
        if found is not None:
            found.remove()

    def close(self) -> None:
        """Stop the server and give its port back."""
        self._closed = True
        if self._http is not None:
            self._http.close()
        for name in list(self._layers):
            self.remove(self._layers[name].handle)


def _middle_tile(bounds: tuple[float, float, float, float]) -> Tile:
    """The Web Mercator tile over the middle of a raster, where the raster is about one tile wide."""
    west, south, east, north = bounds
    z = min(20, max(0, math.floor(math.log2(360 / max(east - west, 1e-6)))))
    lon = (west + east) / 2 % 360
    lat = math.radians(min(85.0, max(-85.0, (south + north) / 2)))
    x = ((lon + 180) / 360) % 1
    y = (1 - math.asinh(math.tan(lat)) / math.pi) / 2
    return z, int(x * 2**z), int(y * 2**z)


_current: TileServer | None = None
_current_lock = threading.Lock()


def tile_server() -> TileServer:
    """The tile server of this process, started on first use."""
    global _current
    with _current_lock:
        if _current is None or not _current.is_running:
            _current = TileServer()
        return _current
