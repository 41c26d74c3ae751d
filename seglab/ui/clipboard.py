"""The clipboard of the page, and a sheet with text to copy by hand where the page may not write to it."""

from __future__ import annotations

import anywidget
import ipywidgets as widgets

from seglab.ui.page import STATIC
from seglab.ui.sheet import Sheet
from seglab.ui.toolbar import button


class Clipboard(anywidget.AnyWidget):
    """Puts text into the clipboard of whoever looks at the page."""

    _esm = STATIC / "clipboard.js"

    def copy(self, text: str) -> None:
        """Ask the page to take a text; it may not be allowed to."""
        self.send({"copy": text})


class CodeSheet(Sheet):
    """Shows code, and copies it."""

    def __init__(self) -> None:
        self.clipboard = Clipboard()
        self.text = widgets.Textarea(layout=widgets.Layout(width="100%", height="380px"))
        self.text.add_class("seglab-code")
        again = button("Copy", "clipboard", "Copy all of it", lambda: self.clipboard.copy(self.text.value))
        super().__init__("This project as code", [again, self.text, self.clipboard])

    def give(self, code: str) -> None:
        """Show code, and copy it."""
        self.text.value = code
        self.clipboard.copy(code)
        self.show(True)
