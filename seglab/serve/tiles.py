"""The tile server of this kernel: localtileserver, for the open scenes and for who holds the token only.

localtileserver draws any file that a request names, for anybody on the machine. Here a request names a layer;
which file that is, and how it is drawn, is known to the server alone.
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
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import uvicorn
from rasterio.io import MemoryFile

from seglab.serve.styled import Colour, StyledRaster, TileStyle, normalise, style_raster

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

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
    probe_tile: tuple[int, int, int]
    """(z, x, y) of a tile in the middle of the raster, to try a route with."""


class _Layer:
    """A served raster; its virtual raster is in memory until it is removed and its last tile drawn."""

    def __init__(self, handle: TileLayerHandle, styled: StyledRaster, bands: int) -> None:
        from localtileserver.tiler import register_colormap

        self.handle = handle
        self._file = MemoryFile(styled.xml.encode(), ext=".vrt")
        self._users = 0
        self._removed = False
        self._lock = threading.Lock()
        query = {"filename": self._file.name, "indexes": ",".join(str(i + 1) for i in range(bands))}
        if styled.colormap is not None:
            known = isinstance(styled.colormap, str)
            query["colormap"] = styled.colormap if known else register_colormap(styled.colormap)
        self.query = urlencode(query).encode()

    @contextmanager
    def in_use(self) -> Iterator[None]:
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
    """The ASGI application: lets requests for tiles of open layers through to localtileserver, no others."""

    def __init__(self, inner: App, token: str, layers: Mapping[str, _Layer]) -> None:
        self._inner = inner
        self._token = token.encode()
        self._layers = layers
        self._renderers = asyncio.Semaphore(_RENDERERS)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        layer, tile = self._resolve(scope)
        if layer is None:
            await _answer(send, 404)
            return
        with layer.in_use():
            async with self._renderers:
                status, body = await self._render(tile, layer)
        if status == 200:
            await _answer(send, 200, body)
        elif status == 404:  # of the inner application: the tile lies outside the raster
            await _answer(send, 200, _EMPTY_TILE)
        else:  # its text names the file
            await _answer(send, 500)

    def _resolve(self, scope: Message) -> tuple[_Layer | None, tuple[int, int, int]]:
        match = _ROUTE.fullmatch(scope["path"])
        nothing = (None, (0, 0, 0))
        if match is None or scope["method"] not in ("GET", "HEAD"):
            return nothing
        if not hmac.compare_digest(match["token"].encode(), self._token):
            return nothing
        z, x, y = int(match["z"]), int(match["x"]), int(match["y"])
        if z > MAX_ZOOM or max(x, y) >= 2**z:
            return nothing
        return self._layers.get(match["layer"]), (z, x, y)

    async def _render(self, tile: tuple[int, int, int], layer: _Layer) -> tuple[int, bytes]:
        """Status and body of localtileserver's answer; of its request only the tile is the client's."""
        path = "/api/tiles/{}/{}/{}.png".format(*tile)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": layer.query,
            "headers": [],
            "server": (HOST, 0),
            "client": (HOST, 0),
        }
        status, chunks = 500, []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        await self._inner(scope, receive, send)
        return status, b"".join(chunks)


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


class TileServer:
    """Serves tiles of registered rasters on a random port of this machine, from a thread of its own.

    Use `tile_server()`, which starts one per process.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._layers: dict[str, _Layer] = {}
        self._socket = socket.create_server((HOST, 0), backlog=128)  # no request comes too early
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            _Gate(_localtileserver(), self.token, self._layers),
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
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="seglab tiles", daemon=True
        )
        self._thread.start()

    def __repr__(self) -> str:
        return f"<TileServer port={self.port} layers={len(self._layers)}>"

    @property
    def is_running(self) -> bool:
        """Whether it answers; False after `close` and in a forked child, which does not inherit threads."""
        return self._pid == os.getpid() and self._thread.is_alive() and not self._server.should_exit

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
            indexes: 1-based bands: three for red, green and blue, or one.
            vmin: value shown as 0, for all bands or for each; may be left out for 8-bit rasters.
            vmax: value shown as 255, likewise.
            nodata: value drawn transparent; None: as the file says.
            colormap: of one band: {value: (red, green, blue[, alpha])} with other values transparent, or the
                name of a ramp ("viridis") for stretched values. None: the file's colour table, 0 transparent.

        Returns:
            Where its tiles are.

        Raises:
            SegLabError: as `style_raster` raises.
        """
        count = len(indexes)
        style = TileStyle(tuple(indexes), normalise(vmin, count), normalise(vmax, count), nodata, colormap)
        styled = style_raster(os.fspath(path), style)
        name = secrets.token_hex(6)
        handle = TileLayerHandle(
            id=name,
            path=os.fspath(path),
            path_template=f"/{self.token}/{name}/{{z}}/{{x}}/{{y}}.png",
            bounds=styled.bounds,
            probe_tile=_middle_tile(styled.bounds),
        )
        self._layers[name] = _Layer(handle, styled, count)
        return handle

    def remove(self, layer: TileLayerHandle) -> None:
        """Stop serving a raster; one that is not served (any more) is fine too."""
        found = self._layers.pop(layer.id, None)
        if found is not None:
            found.remove()

    def close(self) -> None:
        """Stop the server and give its port back."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_SECONDS)
        self._socket.close()
        for name in list(self._layers):
            self.remove(self._layers[name].handle)


def _middle_tile(bounds: tuple[float, float, float, float]) -> tuple[int, int, int]:
    """The Web Mercator tile over the middle of a raster, where the raster is about one tile wide."""
    west, south, east, north = bounds
    z = min(20, max(0, math.floor(math.log2(360 / max(east - west, 1e-6)))))
    lon = (west + east) / 2 % 360
    lat = math.radians(min(85.0, max(-85.0, (south + north) / 2)))
    x = ((lon + 180) / 360) % 1
    y = (1 - math.asinh(math.tan(lat)) / math.pi) / 2
    return z, int(x * 2**z), int(y * 2**z)


def _localtileserver() -> App:
    """localtileserver's application, without the settings that it leaves in the process.

    It sets GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR for the whole process, with which GDAL no longer finds
    overviews, masks and world files beside a raster.
    """
    from localtileserver.web import create_app
    from rio_tiler.errors import NoOverviewWarning

    names = ("GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    app = create_app()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
    # one line per tile under the notebook's cell, about something that its reader cannot change there
    warnings.filterwarnings("ignore", category=NoOverviewWarning)
    return app


_current: TileServer | None = None
_current_lock = threading.Lock()


def tile_server() -> TileServer:
    """The tile server of this process, started on first use."""
    global _current
    with _current_lock:
        if _current is None or not _current.is_running:
            _current = TileServer()
        return _current
