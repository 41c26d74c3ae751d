"""The row above the map: tools, and what to do with the mask."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from seglab.ui.keys import keys_of, tip
from seglab.ui.page import SIZES

TOOLS = {
    "plus": ("Plus", "plus", "Click what belongs to the object"),
    "minus": ("Minus", "minus", "Click what does not belong to it; or right-click, or Alt+click, with any tool"),
    "box": ("Box", "square-o", "Drag a box around the object; pan with the arrow keys meanwhile"),
    "scribble": ("Scribble", "pencil", "Draw a stroke through the object; with Alt, through what is not"),
    "brush": ("Brush", "paint-brush", "Paint onto the mask, or begin one; with Alt, paint away"),
    "eraser": ("Eraser", "eraser", "Paint away from the mask"),
    "polygon": ("Polygon", "map-o", "Click corners; double click or Enter ends it. With Alt, it is taken away"),
    "lasso": ("Lasso", "circle-o-notch", "Draw around the object freehand; with Alt, it is taken away"),
    "select": ("Select", "mouse-pointer", "Click an accepted object to select it; or Ctrl+click, with any tool"),
    "cut": ("Cut", "scissors", "Draw a line through the selected object: it falls into two"),
    "keep_out": ("Keep out", "ban", "Drag an area that rounds never train on; they are judged on the objects in it"),
    "area": ("", "crop", "Area of interest: click corners around where maps and suggestions are to stay"),
}
"""Label, icon and tooltip by tool."""

GROUND = ("area",)
"""Tools that say what concerns the map rather than an object: they stand with what is done to the view."""

SIZED = ("brush", "eraser")
"""Tools that have a size."""


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


def set_shown(widget: widgets.DOMWidget, is_shown: bool) -> None:
    """Show a widget, or hide it so that it takes no room."""
    if is_shown:
        widget.remove_class("seglab-hidden")
    else:
        widget.add_class("seglab-hidden")


class Toolbar(widgets.HBox):
    """Tools, and accept, reject, undo, redo.

    Args:
        on_tool: called with one of TOOLS.
        on_accept, on_reject, on_undo, on_redo: called without arguments.
        on_next: show the next candidate.
        on_home: show the whole scene.
        on_help: show or hide the help.
        on_size: called with the diameter of brush and eraser, screen pixels.
        on_preview: called with whether a preview under the pointer is wanted.
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
        on_help: Callable[[], None],
        on_size: Callable[[int], None],
        on_preview: Callable[[bool], None],
    ) -> None:
        self.tools = {
            name: widgets.ToggleButton(
                description=label, icon=icon, tooltip=tip(tooltip, f"tool:{name}"), value=name == "plus"
            )
            for name, (label, icon, tooltip) in TOOLS.items()
        }
        self._on_tool = on_tool
        self._switching = False
        for name, toggle in self.tools.items():
            toggle.observe(lambda change, name=name: self.choose(name), names=["value"])
        self.size = self._size_choice(on_size)
        keep = tip("Keep the mask as an object of the chosen class", "accept")
        self.accept = button("Accept", "check", keep, on_accept, "success")
        self.reject = button("Reject", "times", tip("Drop the mask and its points", "reject"), on_reject)
        others = tip("Show the next of the three candidate masks", "candidate")
        self.next = button("Next mask", "refresh", others, on_next)
        self.undo = button("Undo", "undo", tip("Take back the last click, else the last saved action", "undo"), on_undo)
        self.redo = button("Redo", "repeat", tip("Bring back what was undone", "redo"), on_redo)
        self.preview = widgets.ToggleButton(
            value=True, icon="eye", tooltip=tip("Preview under the pointer what a click would give", "preview")
        )
        self.preview.observe(lambda change: on_preview(change["new"]), names=["value"])
        home = button("", "arrows-alt", tip("Show the whole scene", "home"), on_home)
        self.help = button("", "question", tip("Keys and mouse", "help"), on_help)
        groups = (
            tuple(toggle for name, toggle in self.tools.items() if name not in GROUND),
            (self.accept, self.reject, self.next),
            (self.undo, self.redo),
            (*(self.tools[name] for name in GROUND), self.preview, home, self.help),
            (self.size,),
        )
        boxes = [widgets.HBox(group) for group in groups]
        for made in boxes:
            made.add_class("seglab-group")
        super().__init__(boxes)
        self.add_class("seglab-toolbar")

    def _size_choice(self, on_size: Callable[[int], None]) -> widgets.SelectionSlider:
        keys = f"{keys_of('smaller')} {keys_of('larger')}"
        made = widgets.SelectionSlider(
            options=SIZES, value=24, description="Size", tooltip=f"Width of brush and eraser, screen pixels ({keys})"
        )
        made.observe(lambda change: on_size(change["new"]), names=["value"])
        made.add_class("seglab-size")
        set_shown(made, False)
        return made

    def resize(self, step: int) -> None:
        """Take the next larger (1) or smaller (-1) size."""
        at = SIZES.index(self.size.value) + step
        self.size.value = SIZES[min(max(at, 0), len(SIZES) - 1)]

    def toggle_preview(self) -> None:
        """Switch the preview under the pointer on or off."""
        self.preview.value = not self.preview.value

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
        set_shown(self.size, tool in SIZED)
        self._on_tool(tool)

    def show_state(self, has_mask: bool, candidates: int, can_undo: bool, can_redo: bool) -> None:
        """Enable what can be done now."""
        self.accept.disabled = self.reject.disabled = not has_mask
        self.next.disabled = candidates < 2
        self.undo.disabled, self.redo.disabled = not can_undo, not can_redo
