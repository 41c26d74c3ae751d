"""What only the page can do for the labeler."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"
"""Where the style sheet and the scripts are."""


class Page(anywidget.AnyWidget):
    """An invisible part of the labeler that keeps JupyterLab's menu and shortcuts away from the map."""

    _esm = STATIC / "page.js"

    tool = traitlets.Unicode("plus").tag(sync=True)
    """The tool in hand; the page draws the box of "box" and "keep_out" while it is dragged."""
    minus = traitlets.Bool(False).tag(sync=True)
    """Whether Alt or Shift was held at the latest press of the mouse button."""
