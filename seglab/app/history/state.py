"""What the event log says: objects, classes, reviewed extents, the current round, and what can be undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.history.label_events import Labels
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.nearby import Nearby
from seglab.app.labels.proposed import ProposedObject
from seglab.app.maps.map_check import MapCheck
from seglab.errors import ProjectDamagedError
from seglab.store.events import Event

KEPT = 100
"""Actions that can be undone without going through the whole log again."""

TITLES = {
    "accept": "accept {class}",
    "review": "mark an area as reviewed",
    "never_train": "mark an area as never trained on",
    "never_suggest": "leave an area out of suggestions",
    "area_of_interest": "change the area of interest",
    "overlaps": "overlaps: {rule}",
    "check": "start a check of the map",
    "check_answer": "an answer of the map's check",
    "import": "import {objects}",
    "accept_regions": "accept {objects} as {class}",
    "clusters": "{what}",
    "merge_from": "merge the labels of {source}",
    "settle": "settle a disagreement with {source}",
    "propose": "propose {objects}",
    "confirm": "confirm {objects}",
    "dismiss": "dismiss {objects}",
    "edit": "change {objects}",
    "keep": "keep {objects} as labelled",
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

SHARED = ("class", "rename_class", "recolour_class", "merge_classes", "round", "rollback")
"""Kinds that all scenes of a project have in common; every other kind that is not undo or redo is about one scene."""

_STANDING = ("review", "never_train", "never_suggest", "area_of_interest", "round", "rollback")
"""Kinds of which each one that is not undone is part of the state."""


@dataclass(frozen=True)
class State:
    """One scene of a project at one moment."""

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
    reviewed_on: tuple[str, ...] = ()
    """On the imagery of which date each of `reviewed` was; "" without a time axis."""
    check: MapCheck | None = None
    """The check of a map that was started last, with its answers."""
    settled: Mapping[str, str] = field(default_factory=dict)
    """Answers to what two annotators disagreed about, by `Dispute.key`."""
    never_suggest: tuple[BaseGeometry, ...] = ()
    """Areas in which nothing is suggested any more, scene pixels: windows that a person has skipped."""

    def today(self, name: str) -> str | None:
        """What the class of a name, maybe an old one, is called now; None for one that never was."""
        return name if name in self.classes else self.renamed.get(name) or self.merged.get(name)


def scene_of(event: Event) -> str | None:
    """The scene that an event is about; None for the project's first one, and where it is about all of them."""
    return event.data.get("scene")


def concerns(event: Event, scene: str | None) -> bool:
    """Whether an event is about a scene (None: the project's first one)."""
    return event.kind in SHARED or scene_of(event) == scene


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
    Scenes have labels of their own and the same classes. They are named as in events: None is the first one.
    """

    def __init__(self) -> None:
        self.done: list[Event] = []
        self.undone: list[Event] = []
        self._kept: deque[tuple[int, dict[str | None, Labels]]] = deque(maxlen=KEPT)
        self._labels: dict[str | None, Labels] = {None: Labels()}
        """By scene; what stands here is never changed, only replaced."""
        self._held_out: dict[str | None, BaseGeometry] = {}
        self._maps: dict[str | None, list[Mapping[str, Any]]] = {}  # of each the two latest, in files of their own

    def follow(self, event: Event) -> None:
        """Take one more event into account.

        Raises:
            ProjectDamagedError: it does not hold what its kind needs.
        """
        scene = scene_of(event)
        with _decoding(event):
            if event.kind in ("undo", "redo"):
                self._turn(event)
            elif event.kind in TITLES:
                self._apply(event)
                # What was undone in another scene can still come back there, if no class depends on it.
                self.undone = [e for e in self.undone if event.kind not in SHARED and not concerns(e, scene)]
            elif event.kind == "prediction":
                kept = [known for known in self._maps.get(scene, ()) if known["path"] != event.data["path"]]
                self._maps[scene] = [*kept, event.data][-2:]
            elif event.kind == "held_out" and scene not in self._held_out:
                # Chosen once, so the first choice counts, and no undo reaches it.
                self._held_out[scene] = shapely.from_wkb(event.data["geometry"])

    def state(self, scene: str | None = None) -> State:
        """What the events so far lead to in a scene."""
        areas: dict[str, list[BaseGeometry]] = {"review": [], "never_train": [], "never_suggest": []}
        interest: BaseGeometry | None = None
        reviewed_on: list[str] = []
        current = 0
        for event in [e for e in self.done if e.kind in _STANDING and concerns(e, scene)]:  # few, of ten thousand
            with _decoding(event):
                if event.kind in areas:
                    areas[event.kind].append(shapely.from_wkb(event.data["geometry"]))
                    reviewed_on += [event.data.get("date", "")] if event.kind == "review" else []
                elif event.kind == "area_of_interest":
                    found = event.data["geometry"]
                    interest = None if found is None else shapely.from_wkb(found)
                else:
                    current = int(event.data["number"])
        # Classes that a project starts with are not something a person did.
        last = next((e for e in reversed(self.done) if concerns(e, scene) and not e.data.get("initial")), None)
        labels, maps = self.labels(scene), self._maps.get(scene, ())
        return State(
            dict(labels.classes),
            tuple(labels.objects.values()),
            tuple(labels.proposals.values()),
            tuple(labels.dismissed.values()),
            tuple(areas["review"]),
            tuple(areas["never_train"]),
            interest,
            self._held_out.get(scene),
            current,
            maps[-1] if maps else None,
            maps[-2] if len(maps) > 1 else None,
            last,
            next((e for e in reversed(self.undone) if concerns(e, scene)), None),
            dict(labels.renamed),
            dict(labels.merged),
            labels.overlaps,
            tuple(reviewed_on),
            labels.check,
            dict(labels.settled),
            tuple(areas["never_suggest"]),
        )

    def count(self, scene: str | None) -> int:
        """How many accepted objects a scene has."""
        return len(self.labels(scene).objects)

    def object_at(self, col: float, row: float, scene: str | None = None) -> LabelledObject | None:
        """The accepted object at a scene pixel coordinate; on the edge of two, the later one."""
        labels = self.labels(scene)
        return _topmost(labels.objects, labels.nearby, shapely.Point(col, row))

    def proposal_at(self, col: float, row: float, scene: str | None = None) -> ProposedObject | None:
        """The proposed object at a scene pixel coordinate; of several, the later one."""
        labels = self.labels(scene)
        return _topmost(labels.proposals, labels.proposed_nearby, shapely.Point(col, row))

    def round_after(self, kind: str, event: int) -> int:
        """The round in use after an event is undone or redone."""
        acts = [e for e in self.done if kind != "undo" or e.id != event]
        acts += [e for e in self.undone if kind == "redo" and e.id == event]
        rounds = [e for e in acts if e.kind in ("round", "rollback")]
        return int(max(rounds, key=lambda e: e.id).data["number"]) if rounds else 0

    def in_force(self, scene: str | None) -> list[Event]:
        """What was done in a scene, or to all of them, and is not undone, in order."""
        return [event for event in self.done if concerns(event, scene)]

    @property
    def by_scene(self) -> Mapping[str | None, Labels]:
        """The labels of every scene that has had some; never changed, only replaced."""
        return self._labels

    def labels(self, scene: str | None) -> Labels:
        """The labels of a scene; of one that has none, the project's classes."""
        if scene in self._labels:
            return self._labels[scene]
        first = self._labels[None]
        return Labels(dict(first.classes), renamed=dict(first.renamed), merged=dict(first.merged))

    def _apply(self, event: Event) -> None:
        before, scene = self._labels, scene_of(event)
        changed = {name: self.labels(name).copy() for name in (before if event.kind in SHARED else [scene])}
        for labels in changed.values():
            labels.apply(event)
        self._labels = before | changed
        if event.kind not in SHARED and len(changed[scene].classes) != len(before[None].classes):
            self._share_classes(changed[scene].classes)
        self._kept.append((event.id, before))
        self.done.append(event)

    def _share_classes(self, classes: Mapping[str, str]) -> None:
        """Labels of one scene brought new classes: an import, or a class that another notebook had undone."""
        for name, labels in self._labels.items():
            if labels.classes != classes:
                labels = self._labels[name] = labels.copy()
                labels.classes = dict(classes)

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
        if event.kind == "redo" or not self._take_back(target):
            self._again()

    def _take_back(self, event: Event) -> bool:
        """Undo an event that was the last one in its scene; False where labels of later ones depend on it."""
        place = next((i for i in reversed(range(len(self._kept))) if self._kept[i][0] == event.id), None)
        if place is None:
            return False
        before = self._kept[place][1]
        if place == len(self._kept) - 1:
            self._labels = before
            self._kept.pop()
            return True
        scene = scene_of(event)
        later = self.done[len(self.done) - (len(self._kept) - 1 - place) :]
        if event.kind in SHARED or scene not in before or any(concerns(e, scene) for e in later):
            return False
        if before[scene].classes != self._labels[scene].classes:  # an import brought some, here or elsewhere
            return False
        del self._kept[place]
        for i in range(place, len(self._kept)):
            self._kept[i] = (self._kept[i][0], {**self._kept[i][1], scene: before[scene]})
        self._labels = {**self._labels, scene: before[scene]}
        return True

    def _again(self) -> None:
        """Go through everything from the start: what was undone or redone was not the last thing done."""
        self.done.sort(key=lambda e: e.id)
        done, self.done, self._labels = self.done, [], {None: Labels()}
        self._kept.clear()
        for event in done:
            self._apply(event)


def history(events: Iterable[Event]) -> tuple[list[Event], list[Event]]:
    """Events in force, and those that redo would bring back (the next one last)."""
    found = _followed(events)
    return found.done, found.undone


def reduce(events: Iterable[Event], scene: str | None = None) -> State:
    """The state that a list of events leads to.

    Args:
        events: of a project.
        scene: one of its scenes, as events name it; None for the first.

    Raises:
        ProjectDamagedError: an event does not hold what its kind needs.
    """
    return _followed(events).state(scene)


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
