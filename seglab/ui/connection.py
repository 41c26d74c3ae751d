"""Which way the imagery takes to the page, in words, and what to do about it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from seglab.app.project.view import TiledLayer
from seglab.ui.sheet import Sheet
from seglab.ui.toolbar import button, set_shown
from seglab.ui.transport import TileProbe

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

WAYS = {
    "server": "the notebook server forwards the tiles (localtileserver's extension)",
    "page": "the notebook server forwards the tiles, under the base_url that the page knows",
    "server-proxy": "jupyter-server-proxy forwards the tiles",
    "direct": "the page fetches the tiles from the kernel's own port, on this machine",
    "comm": "the kernel sends each tile by message, as it sends everything else",
    "bytes": "the kernel draws a picture of the view after each change of it",
    "script": "seglab's script in the page finds the way",
}
"""What each route of a TileProbe is, as a sentence without its stop."""

ENABLE = "jupyter server extension enable localtileserver._jupyter"
"""Lets a notebook server forward tiles."""

QUICKER = (
    "It works wherever the labeler works, and in VS Code and Colab it is the only way. In JupyterLab, Notebook and "
    f"Voila tiles can come quicker: run “{ENABLE}” in the notebook server's environment (or install "
    "jupyter-server-proxy there), restart the server, and reload this page."
)
ADVICE = {
    "comm": QUICKER,
    "bytes": "Labelling works as ever; only the imagery is slower to follow. Reload this page and try again. Where "
    "a notebook's scripts are blocked, trust this notebook. “seglab doctor” in a terminal says what is missing here.",
}
"""What to do, by the route in use; about the others there is nothing to do."""

SEARCHING = "The page is looking for a way. Where this stays, the page has not run this cell's widgets: reload it."
PLAIN = "This scene has no place on the globe: it is shown as one image, and no tiles have to come."
CANNOT_DRAW = "The kernel cannot draw this scene's tiles ({}); is the file still there, and whole? Labelling goes on."
SLOW = "No tiles reach this page, so the imagery comes as pictures of the view, more slowly. ⚠ Connection says why."


class ConnectionPanel(Sheet):
    """Says how the imagery comes, how each way has been found to be, and what to do.

    Args:
        on_ask: look for a way again.
    """

    def __init__(self, on_ask: Any) -> None:
        self.words = widgets.HTML()
        self.again = button("Try again", "refresh", "Look for the best way again", on_ask)
        super().__init__("How the imagery reaches this page", [self.words, self.again])
        self.add_class("seglab-connection")
        self.describe(None)

    def describe(self, probe: TileProbe | None) -> None:
        """Show what a probe has found; None for a scene that needs no tiles."""
        self.again.disabled = probe is None
        if probe is None:
            self.words.value = _paragraph(PLAIN)
        elif not probe.result:
            self.words.value = _paragraph(SEARCHING)
        else:
            used = f"<b>In use:</b> {html.escape(WAYS[probe.route])}."
            if not probe.answered:
                used += " A quicker way is still being tried."
            lines = "".join(_line(*outcome) for outcome in probe.outcomes())
            advice = ADVICE.get(probe.route, "Nothing is to be done.")
            self.words.value = f"<p>{used}</p><p>What was tried, in this order:</p><ol>{lines}</ol>{_paragraph(advice)}"


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _line(name: str, outcome: str, where: str) -> str:
    sign, kind = ("✓", "works") if outcome == "works" else ("✗", "fails")
    address = f"<code>{html.escape(where)}</code>" if where else ""
    words = html.escape(WAYS.get(name, name))
    return f'<li class="seglab-{kind}"><b>{sign}</b> {words}: {html.escape(outcome)} {address}</li>'


class Connection:
    """The labeler's probe, and the button and the panel that tell about it.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.probe: TileProbe | None = None
        """None for a scene without tiles."""
        self.panel = ConnectionPanel(self.ask)
        self.button = button("Connection", "plug", "How the imagery reaches this page", self.panel.toggle)
        self.button.add_class("seglab-connection-button")
        self.holder = widgets.Box()
        """Holds the probe, whose script finds the map in the page."""
        set_shown(self.holder, False)

    def open(self, tiled: TiledLayer) -> TileProbe:
        """Begin to look for a way.

        Args:
            tiled: the scene's tiles; other layers take the same way.
        """
        shown = self._app.view.map
        self.probe = TileProbe(tiled.candidates, tiled.path, tiled.probe_tile, tiled.render, shown)
        self.probe.observe(self._routed, "result")
        self.holder.children = (self.probe,)
        self.panel.describe(self.probe)
        return self.probe

    def ask(self) -> None:
        """Look for a way again."""
        if self.probe is not None:
            self.probe.ask()
            self.panel.describe(self.probe)

    def close(self) -> None:
        """Look no more."""
        if self.probe is not None:
            self.probe.close()

    def _routed(self, _: Any) -> None:
        probe, messages = self.probe, self._app.messages
        assert probe is not None
        with messages:
            self.panel.describe(probe)
            self.button.tooltip = f"How the imagery reaches this page: {WAYS[probe.route]}"
            self.button.icon = "warning" if probe.route == "bytes" else "plug"
            self.button.description = "" if probe.works else "Connection"
            if probe.route != "bytes":
                return
            failures = [t["error"] for t in probe.result["tried"] if t["name"] == "comm" and t["status"] >= 400]
            if failures:
                messages.show(CANNOT_DRAW.format(failures[0]), "error")
            else:
                messages.show(SLOW, "warning")
