"""The classes: the legend of the map, which one is in hand, and what can be changed about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import ipywidgets as widgets

from seglab.ui.keys import CLASS_KEYS
from seglab.ui.label_layer import line_style
from seglab.ui.panels import on_enter, row, section
from seglab.ui.toolbar import button, set_shown


class ClassHandlers(Protocol):
    """What the panel sets off."""

    def choose_class(self, name: str) -> None:
        """A class is in hand."""

    def add_class(self, name: str) -> None:
        """Add one."""

    def rename_class(self, old: str, new: str) -> None:
        """Rename one."""

    def recolour_class(self, name: str, colour: str) -> None:
        """Give one another colour, '#rrggbb'."""

    def merge_classes(self, source: str, target: str) -> None:
        """Give all objects of one class to another."""

    def hide_classes(self, names: frozenset[str]) -> None:
        """Draw no objects of these on the map."""


class ClassPanel(widgets.VBox):
    """The classes with colour, outline and count; the chosen one is what Accept uses."""

    def __init__(self, handlers: ClassHandlers) -> None:
        self._handlers = handlers
        self.chosen: str | None = None
        """The class in hand."""
        self.toggles: dict[str, widgets.ToggleButton] = {}
        self.eyes: dict[str, widgets.ToggleButton] = {}
        self.hidden: frozenset[str] = frozenset()
        """Classes whose objects are not drawn."""
        self._colour_of: dict[str, str] = {}
        self._switching = False
        self._colours = widgets.HTML()
        set_shown(self._colours, False)
        self._list = widgets.VBox()
        self._list.add_class("seglab-classes")
        self.name = _field("Name of a new class; Enter adds it", placeholder="New class")
        on_enter(self.name, self._add)
        self.add = button("", "plus", "Add a class of that name", self._add)
        self.edit = widgets.ToggleButton(icon="pencil", tooltip="Rename, recolour or merge the class in hand")
        self.edit.observe(lambda _: self._show_editor(), names=["value"])
        self._make_editor()
        super().__init__(
            [section("Class", self._list, row(self.name, self.add, self.edit), self.editor), self._colours]
        )

    def _make_editor(self) -> None:
        self.new_name = _field("Another name for the class in hand; Enter renames it")
        on_enter(self.new_name, self._rename)
        self.rename = button("Rename", "", "Give the class in hand that name", self._rename)
        self.colour = widgets.ColorPicker(concise=True, tooltip="Colour of the class in hand")
        self.colour.observe(self._recoloured, names=["value"])
        self.target = widgets.Dropdown(options=[], tooltip="The class that gets all objects of the class in hand")
        self.merge = button("Merge", "", "Give all its objects to that class, and drop this one", self._merge)
        self.editor = widgets.VBox([row(self.colour, self.new_name, self.rename), row(self.target, self.merge)])
        self.editor.add_class("seglab-class-editor")
        set_shown(self.editor, False)

    # -- what it shows

    def show(self, classes: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """Show the classes.

        Args:
            classes: colour '#rrggbb' by name, in order.
            counts: accepted objects by name.
        """
        if list(self.toggles) != list(classes):
            self._rebuild(classes)
        self._colour_of = dict(classes)
        self._show_colours()
        for number, (name, toggle) in enumerate(self.toggles.items(), start=1):
            count = counts.get(name, 0)
            toggle.description = f"{name}  ({count})"
            key = f" ({number})" if number <= CLASS_KEYS else ""
            toggle.tooltip = f"Label objects as {name!r}; {count} accepted so far{key}"
        if self.chosen not in classes:
            self.choose(next(iter(classes), None))
        self._follow_chosen()

    def _rebuild(self, classes: Mapping[str, str]) -> None:
        for made in (*self.toggles.values(), *self.eyes.values()):
            made.close()
        self.toggles, self.eyes = {}, {}
        self.hidden &= set(classes)
        rows = []
        for index, name in enumerate(classes):
            toggle = widgets.ToggleButton(value=name == self.chosen)
            toggle.add_class("seglab-class")
            toggle.add_class(f"seglab-class-{index}")
            toggle.observe(lambda _, name=name: self.choose(name), names=["value"])
            eye = widgets.ToggleButton(value=name not in self.hidden)
            eye.add_class("seglab-eye")
            eye.observe(lambda change, name=name: self._hide(name, not change["new"]), names=["value"])
            self.toggles[name], self.eyes[name] = toggle, eye
            self._draw_eye(name)
            pair = widgets.HBox([toggle, eye])
            pair.add_class("seglab-class-row")
            rows.append(pair)
        gone = self._list.children
        self._list.children = rows
        for pair in gone:
            pair.close()

    def _show_colours(self) -> None:
        rules = [
            f".seglab-class-{index} {{--seglab-colour: {colour}; --seglab-line: {line_style(index)}}}"
            for index, colour in enumerate(self._colour_of.values())
        ]
        self._colours.value = f"<style>{' '.join(rules)}</style>"

    def _draw_eye(self, name: str) -> None:
        eye, is_hidden = self.eyes[name], name in self.hidden
        eye.icon = "eye-slash" if is_hidden else "eye"
        eye.tooltip = f"{'Show' if is_hidden else 'Hide'} the objects of {name!r} on the map"

    def choose(self, name: str | None) -> None:
        """Take a class in hand: exactly one is at any time."""
        if self._switching or (name is not None and name not in self.toggles):
            return
        self._switching = True
        self.chosen = name
        for other, toggle in self.toggles.items():
            toggle.value = other == name
        self._switching = False
        self._follow_chosen()
        if name is not None:
            self._handlers.choose_class(name)

    def choose_number(self, number: int) -> None:
        """Take the class at a place of the list, from 1; nothing where there is none."""
        if number <= len(self.toggles):
            self.choose(list(self.toggles)[number - 1])

    def _follow_chosen(self) -> None:
        """The editor shows the class in hand."""
        self._switching = True
        self.new_name.value = self.chosen or ""
        self.colour.value = self._colour_of.get(self.chosen or "", "#000000")
        others = [name for name in self.toggles if name != self.chosen]
        if list(self.target.options) != others:
            self.target.options = others
            self.target.value = others[0] if others else None
        self.merge.disabled = not others
        self._switching = False

    def _show_editor(self) -> None:
        set_shown(self.editor, self.edit.value)

    # -- what the person does

    def _add(self) -> None:
        self._handlers.add_class(self.name.value)

    def _rename(self) -> None:
        if self.chosen is not None and self.new_name.value.strip() != self.chosen:
            self._handlers.rename_class(self.chosen, self.new_name.value.strip())

    def _recoloured(self, change: Mapping[str, Any]) -> None:
        if not self._switching and self.chosen is not None:
            self._handlers.recolour_class(self.chosen, change["new"])

    def _merge(self) -> None:
        if self.chosen is not None and self.target.value is not None:
            self._handlers.merge_classes(self.chosen, self.target.value)

    def _hide(self, name: str, is_hidden: bool) -> None:
        self.hidden = self.hidden | {name} if is_hidden else self.hidden - {name}
        self._draw_eye(name)
        self._handlers.hide_classes(self.hidden)


def _field(tooltip: str, **options: Any) -> widgets.Text:
    """A text field whose text comes whole: letter by letter, the last ones may come after the click on a button."""
    return widgets.Text(tooltip=tooltip, continuous_update=False, **options)
