"""The row above the map: tools, and what to do with the mask."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

TOOLS = {
    "plus": ("Plus", "plus", "Click what belongs to the object"),
    "minus": ("Minus", "minus", "Click what does not belong to it; or right-click, or Alt+click, with any tool"),
    "box": ("Box", "square-o", "Drag a box around the object; pan with the arrow keys meanwhile"),
    "keep_out": ("Keep out", "ban", "Drag an area that rounds never train on; they are judged on the objects in it"),
}
"""Label, icon and tooltip by tool."""


def button(label: str, icon: str, tooltip: str, action: Callable[[], None], style: str = "") -> widgets.Button:
    """A button that calls `action()`.

    Args:
        label: what it says; empty for an icon alone.
        icon: name in Font Awesome 4.
        tooltip: what it does, shown on hovering; also its name for a screen reader.
        action: without arguments.
        style: of ipywidgets: "", "primary", "success", "danger".
    """
    made = widgets.Button(description=label, icon=icon, tooltip=tooltip, button_style=style)
    made.on_click(lambda _: action())
    return made


class Toolbar(widgets.HBox):
    """Tools, and accept, reject, undo, redo.

    Args:
        on_tool: called with one of TOOLS.
        on_accept, on_reject, on_undo, on_redo: called without arguments.
        on_next: show the next candidate.
        on_home: show the whole scene.
    """

    def __init__(
        self,
        on_tool: Callable[[str], None],
        on_accept: Callable[[], None],
        on_reject: Callable[[], None],
        on_undo: Callable[[], None],
        on_redo: Callable[[], None],
        on_next: Callable[[], None],
        on_home: Callable[[], None],
    ) -> None:
        self.tools = {
            name: widgets.ToggleButton(description=label, icon=icon, tooltip=tooltip, value=name == "plus")
            for name, (label, icon, tooltip) in TOOLS.items()
        }
        self._on_tool = on_tool
        self._switching = False
        for name, toggle in self.tools.items():
            toggle.observe(lambda change, name=name: self.choose(name), names=["value"])
        self.accept = button("Accept", "check", "Keep the mask as an object of the chosen class", on_accept, "success")
        self.reject = button("Reject", "times", "Drop the mask and its points", on_reject)
        self.next = button("Next mask", "refresh", "Show the next of the three candidate masks", on_next)
        self.undo = button("Undo", "undo", "Take back the last click, else the last saved action", on_undo)
        self.redo = button("Redo", "repeat", "Bring back what was undone", on_redo)
        home = button("", "arrows-alt", "Show the whole scene", on_home)
        groups = (
            tuple(self.tools.values()),
            (self.accept, self.reject, self.next),
            (self.undo, self.redo),
            (home,),
        )
        boxes = [widgets.HBox(group) for group in groups]
        for made in boxes:
            made.add_class("seglab-group")
        super().__init__(boxes)
        self.add_class("seglab-toolbar")

    @property
    def tool(self) -> str:
        """The tool in hand."""
        return next(name for name, toggle in self.tools.items() if toggle.value)

    def choose(self, tool: str) -> None:
        """Take a tool: exactly one is in hand at any time."""
        if self._switching:
            return
        self._switching = True
        for name, toggle in self.tools.items():
            toggle.value = name == tool
        self._switching = False
        self._on_tool(tool)

    def show_state(self, has_mask: bool, candidates: int, can_undo: bool, can_redo: bool) -> None:
        """Enable what can be done now."""
        self.accept.disabled = self.reject.disabled = not has_mask
        self.next.disabled = candidates < 2
        self.undo.disabled, self.redo.disabled = not can_undo, not can_redo
