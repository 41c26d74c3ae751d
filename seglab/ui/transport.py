"""Finding out, from the page itself, by which address it reaches the tile server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anywidget
import ipyleaflet
import traitlets


class TileProbe(anywidget.AnyWidget):
    """Fetches one tile through each candidate route in the page and reports the first that brings it.

    It draws nothing and works without being displayed. Until the page has answered (in a notebook, after the end
    of the cell), or if it never does, the first candidate is taken.

    Args:
        candidates: {"name", "url"} of each route, best first; "{base_url}" at the start of a url stands for
            what the page knows. Each url ends with `path`.
        path: of the tiles below the server's root, with {z}, {x}, {y}.
        tile: (z, x, y) of a tile to ask for.
    """

    _esm = Path(__file__).parent / "static" / "transport.js"

    candidates = traitlets.List(traitlets.Dict()).tag(sync=True)
    """{"name", "url"} of each route to try."""
    tile = traitlets.List(traitlets.Int(), [0, 0, 0]).tag(sync=True)
    """z, x, y of the tile to try them with."""
    attempt = traitlets.Int(0).tag(sync=True)
    """Counts questions; the page asks anew when it changes."""
    result = traitlets.Dict().tag(sync=True)
    """{"name", "url", "tried": [{"name", "url", "status", "error"}], "attempt"}; empty before the first
    answer. Name and url are "" when no route works; `tried` says why."""

    def __init__(self, candidates: Sequence[Mapping[str, str]], path: str, tile: Sequence[int]) -> None:
        self._path = path
        super().__init__(candidates=[dict(route) for route in candidates], tile=list(tile))

    @property
    def answered(self) -> bool:
        """Whether the page has answered the latest question."""
        return self.result.get("attempt") == self.attempt

    @property
    def works(self) -> bool:
        """Whether a route is known to bring tiles."""
        return bool(self.result.get("url"))

    @property
    def route(self) -> str:
        """Name of the route that `url_for` takes."""
        return self.result["name"] if self.works else self.candidates[0]["name"]

    def url_for(self, path: str) -> str:
        """The address of a layer's tiles in the page, by the route that works.

        Args:
            path: of its tiles below the tile server's root; layers of one server share the route.
        """
        url = self.result["url"] if self.works else self.candidates[0]["url"]
        return url.removesuffix(self._path) + path

    def connect(self, layer: ipyleaflet.TileLayer, path: str) -> Callable[[], None]:
        """Give a layer of the map its address, now and whenever the page finds a better route.

        Args:
            layer: whose `url` is set.
            path: as in `url_for`.

        Returns:
            A function that ends this.
        """

        def update(change: object = None) -> None:
            url = self.url_for(path)
            if layer.url != url:
                layer.url = url
                layer.redraw()  # by itself it forgets the tiles that are being loaded or faded in

        update()
        self.observe(update, "result")
        return lambda: self.unobserve(update, "result")

    def ask(self) -> None:
        """Let the page try the routes again."""
        self.attempt += 1

    def explain(self) -> str:
        """What was tried and how it ended, one line per route, for a person."""
        if not self.result:
            return "the page has not answered yet"
        return "\n".join(
            f"{tried['name']}: {tried['error'] or 'works'} ({tried['url'].removesuffix(self._path)})"
            for tried in self.result["tried"]
        )
