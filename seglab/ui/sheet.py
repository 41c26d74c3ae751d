"""A sheet of words that lies over the map and the column beside it while it is open."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets

from seglab.ui.toolbar import button, set_shown


class Sheet(widgets.VBox):
    """A heading with a button that closes it, and what is below; closed at first.

    Args:
        title: of the heading.
        children: below it.
    """

    def __init__(self, title: str, children: Sequence[widgets.Widget]) -> None:
        heading = widgets.HTML(f'<span class="seglab-title">{html.escape(title)}</span>')
        self.close_button = button("", "times", "Close (Esc)", lambda: self.show(False))
        head = widgets.HBox([heading, self.close_button])
        head.add_class("seglab-sheet-head")
        super().__init__([head, *children])
        self.add_class("seglab-sheet")
        self.show(False)

    def show(self, is_open: bool) -> None:
        """Open or close it."""
        self.is_open = is_open
        set_shown(self, is_open)

    def toggle(self) -> None:
        """Open it, or close it."""
        self.show(not self.is_open)
