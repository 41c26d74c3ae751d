"""What each kind of event does to objects and classes: the only place that knows, with class_events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.history.class_events import CLASS_HANDLERS
from seglab.app.labels.labelled import LabelledObject, dated
from seglab.app.labels.nearby import Nearby
from seglab.app.labels.proposed import ProposedObject
from seglab.app.maps.map_check import BACKGROUND_NAME, MapCheck, answered, check_of
from seglab.core.masks import as_multipolygon
from seglab.core.palette import next_colour
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.store.events import Event

FRINGE = 0.1
"""An object of which a later one of its own class leaves less than this share was corrected by it: the rest goes."""
ANSWERED = 0.5
"""A proposed object of which an accepted one covers more than this share is answered by it."""
PARTS = 2**32
"""Distance between the numbers of the objects that one event makes."""
LATER_WINS, ALLOWED = OVERLAPS = ("later wins", "allowed")
"""What happens where objects overlap: the later one takes the ground, or both keep it."""


@dataclass
class Labels:
    """Objects and classes while events are gone through."""

    classes: dict[str, str] = field(default_factory=dict)
    """Colour '#rrggbb' by name, in order."""
    objects: dict[int, LabelledObject] = field(default_factory=dict)
    """By number, in order; none overlaps another unless that is allowed."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Names that classes had before, and what they are called now."""
    merged: dict[str, str] = field(default_factory=dict)
    """Names of classes that went into others, and what those are called now."""
    proposals: dict[int, ProposedObject] = field(default_factory=dict)
    """Proposed objects that wait for an answer, by number, in order."""
    dismissed: dict[int, ProposedObject] = field(default_factory=dict)
    """Those that a person has said no to, by number."""
    settled: dict[str, str] = field(default_factory=dict)
    """Answers to what two annotators disagreed about, by `Dispute.key`."""
    overlaps: str = LATER_WINS
    """One of OVERLAPS."""
    nearby: Nearby = field(default_factory=Nearby)
    """Where objects lie; copies share it."""
    proposed_nearby: Nearby = field(default_factory=Nearby)
    """Where proposed objects lie; copies share it."""
    check: MapCheck | None = None
    """The check of a map that was started last."""

    def copy(self) -> Labels:
        """Labels that events can be applied to without changing these."""
        changing = ("classes", "objects", "renamed", "merged", "proposals", "dismissed", "settled")
        return replace(self, **{name: dict(getattr(self, name)) for name in changing})

    def apply(self, event: Event) -> bool:
        """Follow an event.

        Returns:
            Whether it is about objects or classes.

        Raises:
            KeyError, TypeError, ValueError, shapely.errors.ShapelyError: it does not hold what its kind needs.
        """
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(self, event)
        return handler is not None

    def class_of(self, name: str) -> str:
        """The class that an event means by a name; another notebook may have renamed, merged or undone it meanwhile."""
        now = name if name in self.classes else self.renamed.get(name) or self.merged.get(name) or name
        if now not in self.classes:
            self.classes[now] = next_colour(self.classes)
        return now

    def take(self, ids: Iterable[int]) -> list[LabelledObject]:
        """Remove objects; those that are not there (another notebook may have removed them) do not matter."""
        return [self.objects.pop(i) for i in list(dict.fromkeys(ids)) if i in self.objects]

    def put(self, new: LabelledObject) -> None:
        """Add an object after all others."""
        self.objects[new.id] = new
        self.nearby.add(new.id, new.geometry)

    def put_over(self, new: LabelledObject) -> None:
        """Add an object that takes its ground from those before it, unless overlaps are allowed.

        What is left empty disappears; proposed objects that it covers wait no longer.
        """
        for number in sorted(self.nearby.of(new.geometry)) if self.overlaps == LATER_WINS else ():
            old = self.objects.get(number)
            if old is None or not old.geometry.intersects(new.geometry):
                continue
            rest = as_multipolygon(old.geometry.difference(new.geometry))
            corrected = old.class_name == new.class_name and rest.area < FRINGE * old.geometry.area
            if rest.is_empty or corrected:
                del self.objects[number]
            else:
                self.objects[number] = replace(old, geometry=rest)
        for number in self.proposed_nearby.of(new.geometry):
            waiting = self.proposals.get(number)
            if waiting is None or not waiting.geometry.intersects(new.geometry):
                continue
            if waiting.geometry.intersection(new.geometry).area > ANSWERED * waiting.geometry.area:
                del self.proposals[number]
        self.put(new)


def accept_data(
    class_name: str,
    geometry: BaseGeometry,
    prompts: Prompts,
    window: Window,
    iou: float,
    round_number: int,
    replaces: int | None = None,
    candidate: int = 0,
    drawn: bool = False,
    date: str = "",
) -> dict[str, Any]:
    """The data of an "accept" event.

    Args:
        class_name, geometry, prompts, window, iou: of the object.
        round_number: of the model that drew it.
        replaces: the object that it is a better drawing of.
        candidate: which of the model's masks it is, from 0.
        drawn: whether it is not that mask as it was (painted over, or put together from several windows).
        date: of the imagery that the model saw; empty without a time axis.
    """
    data = {
        "class": class_name,
        "geometry": shapely.to_wkb(geometry, hex=True),
        "prompts": prompts.to_json(),
        "window": window.to_json(),
        "iou": iou,
        "round": round_number,
        "candidate": candidate,
        "drawn": drawn,
    } | dated(date)
    return data if replaces is None else data | {"replaces": replaces}


def _accept(labels: Labels, event: Event) -> None:
    data = event.data
    before = labels.take([data["replaces"]]) if "replaces" in data else []
    proposed = labels.proposals.pop(data.get("replaces"), None)
    new = LabelledObject(
        event.id,
        labels.class_of(data["class"]),
        shapely.from_wkb(data["geometry"]),
        Prompts.from_json(data["prompts"]),
        Window(*data["window"]),
        data["iou"],
        data["round"],
        event.author,
        event.time,
        any(o.unsure for o in before),
        " ".join(o.note for o in before if o.note),
        proposed.origin if proposed is not None else "".join(o.origin for o in before),
        data.get("date", ""),
    )
    labels.put_over(new)


def brought(labels: Labels, event: Event) -> Iterator[LabelledObject]:
    """The objects that an event brings from elsewhere, each with its own author if that is known.

    Args:
        labels: which learn the event's classes.
        event: of kind "import", "merge_from" or "settle".
    """
    for name, colour in event.data["classes"].items():
        labels.classes.setdefault(name, colour)
    for number, found in enumerate(event.data["found"]):
        author = found.get("author", event.author)
        outline, window = shapely.from_wkb(found["geometry"]), Window(*found["window"])
        yield LabelledObject(
            event.id + number * PARTS,
            labels.class_of(found["class"]),
            outline,
            Prompts(),
            window,
            1.0,
            0,
            author,
            event.time,
            found.get("unsure", False),
            found.get("note", ""),
            date=found.get("date", ""),
        )


def _accept_regions(labels: Labels, event: Event) -> None:
    data = event.data
    labels.classes |= {name: colour for name, colour in data["classes"].items() if name not in labels.classes}
    for number, found in enumerate(data["found"]):
        made = LabelledObject(
            event.id + number * PARTS,
            labels.class_of(found["class"]),
            shapely.from_wkb(found["geometry"]),
            Prompts(),
            Window(*found["window"]),
            1.0,
            data["round"],
            event.author,
            event.time,
            origin=data["origin"],
            date=data.get("date", ""),
        )
        labels.put_over(made)


def _import(labels: Labels, event: Event) -> None:
    for made in brought(labels, event):
        labels.put_over(made)


def _merge_from(labels: Labels, event: Event) -> None:
    labels.take(event.data["gone"])
    for marked in event.data["marked"]:
        number = marked["object"]
        if number in labels.objects:
            unsure = marked.get("unsure", True)
            labels.objects[number] = replace(labels.objects[number], unsure=unsure, note=marked["note"])
    _import(labels, event)


def _settle(labels: Labels, event: Event) -> None:
    labels.settled[event.data["dispute"]] = event.data["answer"]
    _merge_from(labels, event)


def _propose(labels: Labels, event: Event) -> None:
    data = event.data
    for name, colour in data["classes"].items():
        labels.classes.setdefault(name, colour)
    for number in data.get("instead_of", ()):
        labels.proposals.pop(number, None)
    # decoded together: one by one takes several times as long
    outlines = shapely.from_wkb([found["geometry"] for found in data["found"]])
    for place, (found, outline) in enumerate(zip(data["found"], outlines, strict=True)):
        made = ProposedObject(
            event.id + place * PARTS,
            labels.class_of(found["class"]),
            outline,
            Window(*found["window"]),
            found.get("score", 1.0),
            data["origin"],
            data["round"],
            data.get("date", ""),
        )
        labels.proposals[made.id] = made
        labels.proposed_nearby.add(made.id, outline)


def _confirm(labels: Labels, event: Event) -> None:
    data = event.data
    # All of them at first: one that another of them covers is confirmed all the same.
    for proposed in [labels.proposals.pop(i) for i in dict.fromkeys(data["objects"]) if i in labels.proposals]:
        made = LabelledObject(
            proposed.id,
            labels.class_of(data.get("class", proposed.class_name)),
            proposed.geometry,
            Prompts(),
            proposed.window,
            proposed.score,
            proposed.round,
            event.author,
            event.time,
            origin=proposed.origin,
            date=proposed.date,
        )
        labels.put_over(made)


def _dismiss(labels: Labels, event: Event) -> None:
    for number in event.data["objects"]:
        if number in labels.proposals:
            labels.dismissed[number] = labels.proposals.pop(number)


def _overlaps(labels: Labels, event: Event) -> None:
    labels.overlaps = event.data["rule"]
    if labels.overlaps == LATER_WINS:
        before, labels.objects = labels.objects, {}
        waiting = dict(labels.proposals)  # nobody has answered them by this
        for one in before.values():
            labels.put_over(one)
        labels.proposals = waiting


def _check(labels: Labels, event: Event) -> None:
    labels.check = check_of(event.id, event.data)


def _check_answer(labels: Labels, event: Event) -> None:
    name = event.data["class"]
    labels.check = answered(labels.check, event, name if name in (None, BACKGROUND_NAME) else labels.class_of(name))


def _edit(labels: Labels, event: Event) -> None:
    data = event.data
    changes = {key: data[name] for name, key in _EDITABLE.items() if name in data}
    if "class" in data:
        changes |= {"class_name": labels.class_of(data["class"]), "kept": False}
    for number in data["objects"]:
        if number in labels.objects:
            labels.objects[number] = replace(labels.objects[number], **changes)


def _keep(labels: Labels, event: Event) -> None:
    for number in event.data["objects"]:
        if number in labels.objects:
            labels.objects[number] = replace(labels.objects[number], kept=True)


def _delete(labels: Labels, event: Event) -> None:
    labels.take(event.data["objects"])


def _merge(labels: Labels, event: Event) -> None:
    taken = labels.take(event.data["objects"])
    if not taken:
        return
    largest = max(taken, key=lambda o: o.geometry.area)
    whole = as_multipolygon(shapely.union_all([o.geometry for o in taken]))
    # What was not in one part may be in another: such a click says nothing of the whole.
    points = tuple(
        point
        for o in taken
        for point in o.prompts.points
        if whole.intersects(shapely.Point(point.col, point.row)) == point.positive
    )
    notes = " ".join(o.note for o in taken if o.note)
    labels.put(
        LabelledObject(
            event.id,
            labels.class_of(event.data["class"]),
            whole,
            Prompts(points),
            largest.window,
            min(o.iou for o in taken),
            max(o.round for o in taken),
            event.author,
            event.time,
            any(o.unsure for o in taken),
            notes,
            ", ".join(dict.fromkeys(o.origin for o in taken if o.origin)),
            largest.date,
        )
    )


def _split(labels: Labels, event: Event) -> None:
    for old in labels.take([event.data["object"]]):
        for number, outline in enumerate(event.data["parts"]):
            # Another notebook may have given ground of the whole to another object meanwhile.
            part = as_multipolygon(shapely.from_wkb(outline).intersection(old.geometry))
            if part.is_empty:
                continue
            # A point that is not in the part says nothing about it: it was in the object.
            points = tuple(p for p in old.prompts.points if part.intersects(shapely.Point(p.col, p.row)))
            made = replace(old, id=event.id + number * PARTS, geometry=part, prompts=Prompts(points))
            labels.put(replace(made, author=event.author, time=event.time))


_EDITABLE = {"class": "class_name", "unsure": "unsure", "note": "note"}
"""What an "edit" may change: key of its data, and field of the object."""

_HANDLERS: dict[str, Callable[[Labels, Event], None]] = {
    "accept": _accept,
    "overlaps": _overlaps,
    "check": _check,
    "check_answer": _check_answer,
    "accept_regions": _accept_regions,
    "import": _import,
    "merge_from": _merge_from,
    "settle": _settle,
    "propose": _propose,
    "confirm": _confirm,
    "dismiss": _dismiss,
    "edit": _edit,
    "keep": _keep,
    "delete": _delete,
    "merge": _merge,
    "split": _split,
    **CLASS_HANDLERS,
}
