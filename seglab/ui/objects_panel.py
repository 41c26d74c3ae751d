"""The list of accepted or proposed objects, and what can be done with the selected ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import anywidget
import ipywidgets as widgets
import traitlets

from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.proposed import ProposedObject
from seglab.core.raster import Scene
from seglab.ui.keys import keys_of, tip
from seglab.ui.page import STATIC
from seglab.ui.panels import faint, row
from seglab.ui.thumbnails import Thumbnails, stamps
from seglab.ui.toolbar import button, set_shown

PAGE = 80
"""Rows that the page holds at a time."""

NOTHING_YET = f"Nothing is accepted yet. Click an object on the map; {keys_of('accept')} accepts its mask."
ALL_CLASSES = "All classes"
PROPOSED = "Proposed"
SECOND_LOOK = "Second look"
STATES = ("All", PROPOSED, "Unsure", "With note", SECOND_LOOK)
"""Review states to filter by: accepted objects but for PROPOSED; SECOND_LOOK: those whose labels rounds contradict."""


class ObjectHandlers(Protocol):
    """What the panel sets off; each acts on the selected objects."""

    def selection_changed(self) -> None:
        """Other objects are selected."""

    def filtered(self) -> None:
        """Other objects are shown."""

    def go_to(self, obj: LabelledObject | ProposedObject) -> None:
        """Show one on the map."""

    def change_class(self, name: str) -> None:
        """Give them another class."""

    def mark_unsure(self) -> None:
        """Mark them as unsure, or as sure again."""

    def note(self, text: str) -> None:
        """Write a note."""

    def refine(self) -> None:
        """Take one up again."""

    def split(self) -> None:
        """Into its separate parts."""

    def merge(self) -> None:
        """Into one."""

    def delete(self) -> None:
        """Delete them."""

    def find_alike(self) -> None:
        """Find more like them; where none is selected, more of the class in hand."""


class ObjectList(anywidget.AnyWidget):
    """A list that is scrolled through in the page; the kernel sends the rows near those in view.

    Args:
        on_pick: called with (id, "one" | "toggle" | "range").
        on_step: called with 1 or -1: select the next or the previous row.
        on_wanted: called with the first row that the page wants.
        on_bare: called with the ids of rows in view that have no thumbnail.
    """

    _esm = STATIC / "objects.js"

    total = traitlets.Int(0).tag(sync=True)
    """Rows there are."""
    first = traitlets.Int(0).tag(sync=True)
    """Place of the first of `rows`."""
    rows = traitlets.List().tag(sync=True)
    """[id, place of the class, class, area, predicted IoU or score, round, author or origin, unsure, note, stamp] of
    each row; the stamp changes with the outline."""
    proposed = traitlets.Bool(False).tag(sync=True)
    """Whether the rows are of proposed objects."""
    wanted = traitlets.Int(0).tag(sync=True)
    """The first row that the page wants."""
    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    """Ids of the selected objects."""
    empty = traitlets.Unicode("").tag(sync=True)
    """What stands there when there are no rows."""

    def __init__(self, on_pick: Any, on_step: Any, on_wanted: Any, on_bare: Any) -> None:
        super().__init__()
        self._on_pick, self._on_step, self._on_bare = on_pick, on_step, on_bare
        self.observe(lambda change: on_wanted(change["new"]), names=["wanted"])
        self.on_msg(self._received)

    def _received(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if "step" in content:
            self._on_step(content["step"])
        elif "bare" in content:
            self._on_bare(content["bare"])
        else:
            self._on_pick(content["pick"], content["how"])

    def show_row(self, index: int) -> None:
        """Scroll until a row is in view."""
        self.send({"show": index})

    def give_thumbnail(self, number: int, stamp: int, url: str) -> None:
        """Show an object's thumbnail in its row."""
        self.send({"thumbnail": [number, stamp, url]})


class ObjectsPanel(widgets.VBox):
    """Accepted objects, newest first, or proposed ones, with filters and actions.

    Args:
        handlers: what the buttons call.
        pixel_m: side of a scene pixel, metres; None: areas are in pixels.
        review: stands below the list in place of the actions while it shows the proposed objects.
        second_look: stands below the list while it shows the labels in doubt.
        scene_of: gives the imagery of an object's date, for its thumbnail.
    """

    def __init__(
        self,
        handlers: ObjectHandlers,
        pixel_m: float | None,
        review: widgets.Widget,
        second_look: widgets.Widget,
        scene_of: Callable[[str], Scene],
    ) -> None:
        self._handlers, self._pixel_m, self._review, self._second_look = handlers, pixel_m, review, second_look
        self._objects: tuple[LabelledObject, ...] = ()
        self._proposed: tuple[ProposedObject, ...] = ()
        self._doubted: tuple[LabelledObject, ...] = ()
        self._waiting = 0
        self._shown: list[LabelledObject] | list[ProposedObject] = []
        self._classes: list[str] = []
        self._following = False  # the widgets follow the objects; nobody has touched them
        self.selected: tuple[int, ...] = ()
        """Ids of the selected objects; the first one was picked last."""
        self.by_class = widgets.Dropdown(options=[ALL_CLASSES], tooltip="Only objects of this class")
        self.by_state = widgets.Dropdown(options=STATES, tooltip="All objects, or those to look at again")
        self.list = ObjectList(self._pick, self._step, self._send_page, self._send_thumbnails)
        self._thumbnails = Thumbnails(scene_of, self.list.give_thumbnail)
        self.list.add_class("seglab-objects")
        self.count = widgets.HTML()
        self._make_actions()
        for box in (self.by_class, self.by_state):
            box.observe(lambda _: self._filter_chosen(), names=["value"])
        filters = row(self.by_class, self.by_state)
        super().__init__([filters, self.list, self.count, second_look, self._actions, review])
        self._show_actions()
        self.add_class("seglab-section")
        self.add_class("seglab-objects-panel")

    def _make_actions(self) -> None:
        do = self._handlers
        self.class_of = widgets.Dropdown(options=[], tooltip="Change the class of the selected objects")
        self.unsure = button("Unsure", "flag-o", tip("Mark as unsure, or as sure again", "unsure"), do.mark_unsure)
        self.note = widgets.Text(
            placeholder="Note", continuous_update=False, tooltip="A note on the selected object; Enter keeps it"
        )
        self.refine = button("Refine", "", tip("Correct its outline with clicks and strokes", "refine"), do.refine)
        self.split = button("Split", "", tip("Split it into its separate parts", "split"), do.split)
        self.merge = button("Merge", "", tip("Join the selected objects into one", "merge"), do.merge)
        self.delete = button("", "trash", tip("Delete the selected objects", "delete"), do.delete)
        alike = tip("Find more like what is selected, else more of the class in hand", "alike")
        self.alike = button("Find more like this", "clone", alike, do.find_alike)
        self.alike.add_class("seglab-wide")
        self.class_of.observe(self._class_chosen, names=["value"])
        self.note.observe(self._noted, names=["value"])
        self._actions = widgets.VBox(
            [
                row(self.class_of, self.unsure),
                row(self.note),
                row(self.refine, self.split, self.merge, self.delete),
                row(self.alike),
            ]
        )
        self._actions.add_class("seglab-object-actions")

    # -- what it shows

    @property
    def is_review(self) -> bool:
        """Whether the proposed objects are shown."""
        return self.by_state.value == PROPOSED

    @property
    def is_second_look(self) -> bool:
        """Whether the labels in doubt are shown."""
        return self.by_state.value == SECOND_LOOK

    def show(
        self,
        objects: Sequence[LabelledObject],
        classes: Sequence[str],
        proposed: Sequence[ProposedObject] = (),
        waiting: int = 0,
        doubted: Sequence[LabelledObject] = (),
    ) -> None:
        """Show the objects.

        Args:
            objects: oldest first.
            classes: names, in order.
            proposed: proposed objects in the order of the review; used while they are shown.
            waiting: how many proposed objects there are in all.
            doubted: those of the objects whose labels are in doubt, in order; used while they are shown.
        """
        self._objects, self._proposed, self._waiting = tuple(objects), tuple(proposed), waiting
        self._classes, self._doubted = list(classes), tuple(doubted)
        self._following = True
        for box, options in ((self.by_class, [ALL_CLASSES, *classes]), (self.class_of, list(classes))):
            if list(box.options) != options:
                before = box.value
                box.options = options
                box.value = before if before in options else (options[0] if box is self.by_class else None)
        self._following = False
        self._filter()

    def _filter_chosen(self) -> None:
        if not self._following:
            self._filter()
            self._show_actions()
            self._handlers.filtered()

    def _show_actions(self) -> None:
        set_shown(self._actions, not self.is_review)
        set_shown(self._review, self.is_review)
        set_shown(self._second_look, self.is_second_look)

    def _filter(self) -> None:
        wanted, state = self.by_class.value, self.by_state.value
        self._shown = [p for p in self._proposed if wanted in (ALL_CLASSES, p.class_name)]
        if not self.is_review:
            self._shown = self._accepted(wanted, state)
        there = {o.id for o in (self._proposed if self.is_review else self._objects)}
        kept = tuple(i for i in self.selected if i in there)
        self._send_page(self.list.first)
        self.count.value = faint(self._count_text())
        if kept != self.selected:
            self.select(kept)
        else:
            self._follow_selection()

    def _accepted(self, wanted: str, state: str) -> list[LabelledObject]:
        if state == SECOND_LOOK:
            return [o for o in self._doubted if wanted in (ALL_CLASSES, o.class_name)]
        return [
            o
            for o in reversed(self._objects)
            if wanted in (ALL_CLASSES, o.class_name)
            and (state == "All" or (o.unsure if state == "Unsure" else bool(o.note)))
        ]

    def _count_text(self) -> str:
        count, shown = len(self._objects), len(self._shown)
        if self.is_review:
            text = f"{shown:,} proposed"
            return f"{text}, {len(self.selected)} selected" if len(self.selected) > 1 else text
        objects = f"{count:,} object{'' if count == 1 else 's'}"
        text = objects if shown == count else f"{shown:,} of {objects}"
        if len(self.selected) > 1:
            return f"{text}, {len(self.selected)} selected"
        return f"{text} · {tip(f'{self._waiting} proposed', 'review')}" if self._waiting else text

    def _send_page(self, first: int) -> None:
        first = max(0, min(first, len(self._shown) - PAGE))
        with self.list.hold_sync():
            self.list.total = len(self._shown)
            self.list.first = first
            page = self._shown[first : first + PAGE]
            outlined = zip(page, stamps([o.geometry for o in page]), strict=True)
            self.list.rows = [[*self._row_of(o), stamp] for o, stamp in outlined]
            self.list.proposed = self.is_review
            nothing = NOTHING_YET if not self._objects else "No such objects."
            self.list.empty = "Nothing waits for an answer." if self.is_review else nothing

    def _row_of(self, obj: LabelledObject | ProposedObject) -> list[Any]:
        place = self._classes.index(obj.class_name)
        area = area_text(obj.geometry.area, self._pixel_m)
        if isinstance(obj, ProposedObject):
            return [obj.id, place, obj.class_name, area, f"{obj.score:.2f}", obj.round, obj.origin, False, ""]
        return [obj.id, place, obj.class_name, area, f"{obj.iou:.2f}", obj.round, obj.author, obj.unsure, obj.note]

    def _send_thumbnails(self, numbers: list[int]) -> None:
        shown = {o.id: (o.id, o.geometry, o.date) for o in self._shown[self.list.first : self.list.first + PAGE]}
        self._thumbnails.ask([shown[i] for i in numbers if i in shown])

    # -- the selection

    def select(self, ids: tuple[int, ...]) -> None:
        """Select objects, and say so."""
        self.selected = ids
        self._follow_selection()
        self._handlers.selection_changed()

    def _select_and_go(self, picked: int) -> None:
        self.select((picked,))
        self._handlers.go_to(self.selected_objects()[0])

    def pick_on_map(self, number: int, add: bool) -> None:
        """Select an object and bring it into view in the list, past the filters; the map stays where it is.

        Args:
            number: of the object.
            add: to what is selected; one that is selected already is let go.
        """
        if not any(o.id == number for o in self._shown):
            self.by_class.value = ALL_CLASSES
            self.by_state.value = PROPOSED if self.is_review else "All"
        if add and number in self.selected:
            self.select(tuple(i for i in self.selected if i != number))
        else:
            self.select((number, *self.selected) if add else (number,))
        self.show_row(number)

    def show_row(self, number: int) -> None:
        """Scroll to an object, if it is in the list."""
        place = next((i for i, o in enumerate(self._shown) if o.id == number), None)
        if place is not None:
            if not self.list.first <= place < self.list.first + PAGE:
                self._send_page(place - PAGE // 2)
            self.list.show_row(place)

    def selected_objects(self) -> list[Any]:
        """The selected objects, accepted or proposed ones, the one picked last first."""
        by_id = {o.id: o for o in (self._proposed if self.is_review else self._objects) if o.id in self.selected}
        return [by_id[i] for i in self.selected if i in by_id]

    def _follow_selection(self) -> None:
        self.list.selected = list(self.selected)
        objects = [] if self.is_review else self.selected_objects()
        self._following = True
        names = {o.class_name for o in objects}
        self.class_of.value = names.pop() if len(names) == 1 else None
        self.note.value = objects[0].note if len(objects) == 1 else ""
        self._following = False
        is_unsure = bool(objects) and all(o.unsure for o in objects)
        self.unsure.button_style, self.unsure.icon = ("warning", "flag") if is_unsure else ("", "flag-o")
        self.count.value = faint(self._count_text())
        for part in (self.class_of, self.unsure, self.delete):
            part.disabled = not objects
        for part in (self.note, self.refine, self.split):
            part.disabled = len(objects) != 1
        self.merge.disabled = len(objects) < 2

    def _pick(self, picked: int, how: str) -> None:
        ids = [o.id for o in self._shown]
        if picked not in ids:  # deleted meanwhile
            return
        if how == "toggle":
            rest = tuple(i for i in self.selected if i != picked)
            self.select(rest if picked in self.selected else (picked, *rest))
        elif how == "range" and self.selected and self.selected[0] in ids:
            start, end = ids.index(self.selected[0]), ids.index(picked)
            between = ids[end:start] if end < start else ids[end:start:-1]
            self.select((*between, self.selected[0]))
        else:
            self._select_and_go(picked)

    def _step(self, step: int) -> None:
        ids = [o.id for o in self._shown]
        if not ids:
            return
        at = ids.index(self.selected[0]) + step if self.selected and self.selected[0] in ids else 0
        at = min(max(at, 0), len(ids) - 1)
        self._select_and_go(ids[at])
        self.list.show_row(at)

    # -- what is done with it

    def _class_chosen(self, change: dict[str, Any]) -> None:
        if not self._following and change["new"] is not None:
            self._handlers.change_class(change["new"])

    def _noted(self, change: dict[str, Any]) -> None:
        if not self._following:
            self._handlers.note(change["new"].strip())


def area_text(area_px: float, pixel_m: float | None) -> str:
    """An area for a person: hectares, or pixels where the scene has no place on the Earth.

    Args:
        area_px: scene pixels.
        pixel_m: side of a scene pixel, metres, or None.
    """
    return f"{area_px:.0f} px" if pixel_m is None else f"{area_px * pixel_m**2 / 1e4:,.2f} ha"
