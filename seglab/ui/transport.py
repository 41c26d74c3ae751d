"""How tiles reach the page: by an address, by the widgets' own messages, or as pictures of the view.

Only the page sees which address leads to the kernel's tile server, so it tries them, with a real tile. Where none does
(VS Code, Colab, a proxy that is blocked) the page asks the kernel for each tile by message. Where the page's script
cannot do even that, the kernel draws one picture of the view after each change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import anywidget
import ipyleaflet
import traitlets

from seglab.ui.tile_bridge import Render, TileBridge
from seglab.ui.view_images import ViewImages

BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""A transparent pixel: what a tile shows whose bytes do not come from an address."""

BRIDGE = BLANK + "#seglab"
"""Begins the address of a tile that comes by message. A page without the bridge shows a blank instead of an error."""

SILENCE_SECONDS = 15.0
"""From when the page shows the map: if its script has not begun to look for a route by then, it is blocked. It begins
as soon as it is loaded, about when the map appears; the looking itself may take longer, and ends by itself."""


class TileProbe(anywidget.AnyWidget):
    """Finds the first route by which a real tile reaches the page, and takes every layer there.

    It draws nothing; where it is displayed beside the map, tiles can also come by message. Until the page has answered
    (in a notebook, after the end of the cell) the first address is taken.

    Args:
        candidates: {"name", "url"} of each address, best first; "{base_url}" at the start of a url stands for
            what the page knows. Each url ends with `path`. May be empty.
        path: of the tiles below the server's root, with {z}, {x}, {y}.
        tile: (z, x, y) of a tile to ask for.
        render: draws a tile of the same server without an address.
        shown: the map that shows the layers.
    """

    _esm = Path(__file__).parent / "static" / "transport.js"

    candidates = traitlets.List(traitlets.Dict()).tag(sync=True)
    """{"name", "url"} of each route to try; the last is "comm", the bridge."""
    path = traitlets.Unicode().tag(sync=True)
    """Of the tile's layer, with {z}, {x}, {y}: every url ends with it."""
    tile = traitlets.List(traitlets.Int(), [0, 0, 0]).tag(sync=True)
    """z, x, y of the tile to try them with."""
    bridge = traitlets.Unicode(BRIDGE).tag(sync=True)
    """How the address of a tile begins that comes by message."""
    map_id = traitlets.Unicode().tag(sync=True)
    """Model id of the map."""
    attempt = traitlets.Int(0).tag(sync=True)
    """Counts questions; the page asks anew when it changes."""
    result = traitlets.Dict().tag(sync=True)
    """{"name", "url", "tried": [{"name", "url", "status", "error"}], "attempt", "done"}; empty before the first
    answer. The name is "bytes" where no tile reaches the page; `tried` says why. Not done: a slower route serves while
    the page is still trying a better one."""

    _is_open = False  # also of one whose arguments were refused

    def __init__(
        self,
        candidates: Sequence[Mapping[str, str]],
        path: str,
        tile: Sequence[int],
        render: Render,
        shown: ipyleaflet.Map,
    ) -> None:
        routes = [{"name": route["name"], "url": route["url"]} for route in candidates]
        routes.append({"name": "comm", "url": BRIDGE + path})
        self._map = shown
        self._silence: threading.Timer | None = None
        self._begun = -1  # the latest question that the page has taken up
        super().__init__(candidates=routes, path=path, tile=list(tile), map_id=shown.model_id)
        self._tiles = TileBridge(render, self.send)
        self._images = ViewImages(shown, render)
        self.on_msg(self._received)
        self.observe(self._answered, "result")
        self._map.observe(self._map_seen, "bounds")
        self._is_open = True
        self._map_seen()

    @property
    def answered(self) -> bool:
        """Whether the latest question has its last answer."""
        return self.result.get("attempt") == self.attempt and self.result.get("done", False)

    @property
    def works(self) -> bool:
        """Whether a route is known to bring tiles."""
        return bool(self.result.get("url"))

    @property
    def route(self) -> str:
        """Name of the route that is in use: one of the candidates, or "bytes"."""
        return self.result.get("name", self.candidates[0]["name"])

    def url_for(self, path: str) -> str:
        """The address of a layer's tiles in the page, by the route in use.

        Args:
            path: of its tiles below the tile server's root; layers of one server share the route.
        """
        if self.route == "bytes":
            return BLANK
        url = self.result.get("url") or self.candidates[0]["url"]
        return url.removesuffix(self.path) + path

    def connect(self, layer: ipyleaflet.TileLayer, path: str) -> Callable[[], None]:
        """Bring a layer of the map its tiles, now and whenever the route changes.

        Args:
            layer: whose `url` is set.
            path: as in `url_for`.

        Returns:
            A function that ends this.
        """

        def update(_: object = None) -> None:
            url = self.url_for(path)
            if layer.url != url:
                layer.url = url
                layer.redraw()  # by itself it forgets the tiles that are being loaded or faded in

        def end() -> None:
            self.unobserve(update, "result")
            self._images.discard(layer)

        update()
        self._images.add(layer, path)
        self.observe(update, "result")
        return end

    def ask(self) -> None:
        """Let the page try the routes again."""
        self._heard()
        self.attempt += 1
        self._map_seen()

    def explain(self) -> str:
        """What was tried and how it ended, one line per route, for a person."""
        if not self.result:
            return "the page has not answered yet"
        lines = [f"{name}: {how}" + (f" ({where})" if where else "") for name, how, where in self.outcomes()]
        return "\n".join(lines)

    def outcomes(self) -> list[tuple[str, str, str]]:
        """(name, "works" or the reason why not, address without the token or "") of each route that was tried."""
        tried = self.result.get("tried", [])
        return [(one["name"], one["error"] or "works", self._where(one["url"])) for one in tried]

    def close(self) -> None:
        """Ask, answer and draw no more."""
        if self._is_open:
            self._is_open = False
            self._map.unobserve(self._map_seen, "bounds")
            self._heard()
            self._images.stop()
            self._tiles.close()
        super().close()

    def _where(self, url: str) -> str:
        return "" if url.startswith(BRIDGE) else url.removesuffix(self.path)

    # -- what the page says, or does not

    def _received(self, _: Any, content: Mapping[str, Any], buffers: Any) -> None:
        if "ask" in content:
            self._tiles.answer(content["ask"], content["path"])
        elif "begun" in content:
            self._begun = content["begun"]
            self._heard()

    def _answered(self, change: traitlets.Bunch) -> None:
        self._heard()
        if self.route == "bytes":
            self._images.start()
        else:
            self._images.stop()

    def _map_seen(self, _: object = None) -> None:
        """The page shows the map, so its script should be there, too."""
        heard = self.attempt in (self._begun, self.result.get("attempt"))
        if heard or not self._map.bounds or self._silence is not None:
            return
        self._silence = threading.Timer(SILENCE_SECONDS, copy_context().run, (self._silent,))
        self._silence.daemon = True
        self._silence.start()

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        reason = "the page shows the map but does not run seglab's script (blocked, or from an older version)"
        tried = [{"name": "script", "url": "", "status": 0, "error": reason}]
        self.result = {"name": "bytes", "url": "", "tried": tried, "attempt": self.attempt, "done": True}
