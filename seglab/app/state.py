"""What the event log says: objects, classes, reviewed extents, the current round, and what can be undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.label_events import Labels
from seglab.app.labelled import LabelledObject
from seglab.app.nearby import Nearby
from seglab.app.proposed import ProposedObject
from seglab.errors import ProjectDamagedError
from seglab.store.events import Event

KEPT = 100
"""Actions that can be undone without going through the whole log again."""

TITLES = {
    "accept": "accept {class}",
    "review": "mark an area as reviewed",
    "never_train": "mark an area as never trained on",
    "area_of_interest": "change the area of interest",
    "overlaps": "overlaps: {rule}",
    "import": "import {objects}",
    "merge_from": "merge the labels of {source}",
    "propose": "propose {objects}",
    "confirm": "confirm {objects}",
    "dismiss": "dismiss {objects}",
    "edit": "change {objects}",
    "delete": "delete {objects}",
    "merge": "merge {objects}",
    "split": "split an object",
    "class": "add class {name}",
    "rename_class": "rename class {old} to {new}",
    "recolour_class": "recolour class {name}",
    "merge_classes": "merge class {source} into {target}",
    "round": "round {number}",
    "rollback": "go back to round {number}",
}
"""What can be undone, in words; the fields are the event's data."""

_STANDING = ("review", "never_train", "area_of_interest", "round", "rollback")
"""Kinds of which each one that is not undone is part of the state."""


@dataclass(frozen=True)
class State:
    """A project at one moment."""

    classes: Mapping[str, str]
    """Colour '#rrggbb' by name, in order."""
    objects: tuple[LabelledObject, ...]
    """Accepted objects in order; none overlaps another, for the later one has won, unless `overlaps` allows it."""
    proposals: tuple[ProposedObject, ...]
    """Proposed objects that wait for an answer, in order."""
    dismissed: tuple[ProposedObject, ...]
    """Those that were dismissed, in order."""
    reviewed: tuple[BaseGeometry, ...]
    """Extents in which everything is labelled, scene pixels."""
    never_train: tuple[BaseGeometry, ...]
    """Areas that a person keeps out of training, scene pixels."""
    area_of_interest: BaseGeometry | None
    """Where maps and suggestions stay, scene pixels; None: everywhere."""
    held_out: BaseGeometry | None
    """Ground on which rounds are judged and never trained, scene pixels; None until it is chosen."""
    round: int
    """The current round; 0 for the model before any."""
    prediction: Mapping[str, Any] | None
    """Paths and round of the latest map of the scene."""
    former_prediction: Mapping[str, Any] | None
    """The same of the latest map before it that was not written over since."""
    undoable: Event | None
    """What undo would take back."""
    redoable: Event | None
    """What redo would bring back."""
    renamed: Mapping[str, str]
    """Names that classes had before, which rounds may know them by, and what they are called now."""
    merged: Mapping[str, str]
    """Names of classes that went into others, and what those are called now."""
    overlaps: str
    """What happens to objects that overlap: one of label_events.OVERLAPS."""

    def today(self, name: str) -> str | None:
        """What the class of a name, maybe an old one, is called now; None for one that never was."""
        return name if name in self.classes else self.renamed.get(name) or self.merged.get(name)


def title(event: Event) -> str:
    """What an event did, in words."""
    data = dict(event.data)
    several = data.get("objects", data.get("found"))
    if isinstance(several, list):
        count = len(several)
        data["objects"] = "an object" if count == 1 else f"{count} objects"
    return TITLES[event.kind].format(**data)


class History:
    """A project's events gone through one by one, with what undo and redo leave of them.

    Following one more event costs little, however many came before: an undo goes back to labels that were kept.
    """

    def __init__(self) -> None:
        self.done: list[Event] = []
        self.undone: list[Event] = []
        self._kept: deque[tuple[int, Labels]] = deque(maxlen=KEPT)
        self._labels = Labels()
        self._held_out: BaseGeometry | None = None
        self._maps: list[Mapping[str, Any]] = []  # the two latest, each in a file of its own

    def follow(self, event: Event) -> None:
        """Take one more event into account.

        Raises:
            ProjectDamagedError: it does not hold what its kind needs.
        """
        with _decoding(event):
            if event.kind in ("undo", "redo"):
                self._turn(event)
            elif event.kind in TITLES:
                self._apply(event)
                self.undone.clear()
            elif event.kind == "prediction":
                kept = [known for known in self._maps if known["path"] != event.data["path"]]
                self._maps = [*kept, event.data][-2:]
            elif event.kind == "held_out" and self._held_out is None:
                # Chosen once, so the first choice counts, and no undo reaches it.
                self._held_out = shapely.from_wkb(event.data["geometry"])

    def state(self) -> State:
        """What the events so far lead to."""
        areas: dict[str, list[BaseGeometry]] = {"review": [], "never_train": []}
        interest: BaseGeometry | None = None
        current = 0
        for event in [e for e in self.done if e.kind in _STANDING]:  # few, of ten thousand
            with _decoding(event):
                if event.kind in areas:
                    areas[event.kind].append(shapely.from_wkb(event.data["geometry"]))
                elif event.kind == "area_of_interest":
                    found = event.data["geometry"]
                    interest = None if found is None else shapely.from_wkb(found)
                else:
                    current = int(event.data["number"])
        # Classes that a project starts with are not something a person did.
        last = next((event for event in reversed(self.done) if not event.data.get("initial")), None)
        return State(
            dict(self._labels.classes),
            tuple(self._labels.objects.values()),
            tuple(self._labels.proposals.values()),
            tuple(self._labels.dismissed.values()),
            tuple(areas["review"]),
            tuple(areas["never_train"]),
            interest,
            self._held_out,
            current,
            self._maps[-1] if self._maps else None,
            self._maps[-2] if len(self._maps) > 1 else None,
            last,
            self.undone[-1] if self.undone else None,
            dict(self._labels.renamed),
            dict(self._labels.merged),
            self._labels.overlaps,
        )

    def object_at(self, col: float, row: float) -> LabelledObject | None:
        """The accepted object at a scene pixel coordinate; on the edge of two, the later one."""
        return _topmost(self._labels.objects, self._labels.nearby, shapely.Point(col, row))

    def proposal_at(self, col: float, row: float) -> ProposedObject | None:
        """The proposed object at a scene pixel coordinate; of several, the later one."""
        return _topmost(self._labels.proposals, self._labels.proposed_nearby, shapely.Point(col, row))

    def round_after(self, kind: str, event: int) -> int:
        """The round in use after an event is undone or redone."""
        acts = [e for e in self.done if kind != "undo" or e.id != event]
        acts += [e for e in self.undone if kind == "redo" and e.id == event]
        rounds = [e for e in acts if e.kind in ("round", "rollback")]
        return int(max(rounds, key=lambda e: e.id).data["number"]) if rounds else 0

    def _apply(self, event: Event) -> None:
        before = self._labels.copy()
        self._labels.apply(event)
        self._kept.append((event.id, before))
        self.done.append(event)

    def _turn(self, event: Event) -> None:
        """Undo or redo."""
        source, sink = (self.done, self.undone) if event.kind == "undo" else (self.undone, self.done)
        wanted = event.data.get("event")
        place = next((i for i in reversed(range(len(source))) if source[i].id == wanted), None)
        if place is None:  # another notebook may have undone it first
            return
        target = source.pop(place)
        if event.kind == "redo" and (not self.done or self.done[-1].id < target.id):
            self._apply(target)
            return
        sink.append(target)
        if event.kind == "undo" and self._kept and self._kept[-1][0] == target.id:
            self._labels = self._kept.pop()[1]
        else:
            self._again()

    def _again(self) -> None:
        """Go through everything from the start: what was undone or redone was not the last thing done."""
        self.done.sort(key=lambda e: e.id)
        done, self.done, self._labels = self.done, [], Labels()
        self._kept.clear()
        for event in done:
            self._apply(event)


def history(events: Iterable[Event]) -> tuple[list[Event], list[Event]]:
    """Events in force, and those that redo would bring back (the next one last)."""
    found = _followed(events)
    return found.done, found.undone


def reduce(events: Iterable[Event]) -> State:
    """The state that a list of events leads to.

    Raises:
        ProjectDamagedError: an event does not hold what its kind needs.
    """
    return _followed(events).state()


def _topmost(objects: Mapping[int, Any], nearby: Nearby, place: shapely.Point) -> Any:
    hit = [i for i in nearby.of(place) if i in objects and objects[i].geometry.intersects(place)]
    if len(hit) > 1:
        hit = [i for i in objects if i in set(hit)]
    return objects[hit[-1]] if hit else None


def _followed(events: Iterable[Event]) -> History:
    found = History()
    for event in events:
        found.follow(event)
    return found


@contextmanager
def _decoding(event: Event) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise ProjectDamagedError(
            f"event {event.id} ({event.kind!r}) of the project's events.jsonl is damaged ({error!r}); restore the file "
            "from a backup, or take that line out. Nothing was changed."
        ) from error
