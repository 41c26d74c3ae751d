"""What the event log says: objects, classes, reviewed extents, the current round, and what can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.label_events import Labels
from seglab.app.labelled import LabelledObject
from seglab.errors import ProjectDamagedError
from seglab.store.events import Event

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#8c564b")
"""Default class colours: Okabe and Ito's, which colour-blind people can tell apart, and brown."""

TITLES = {
    "accept": "accept {class}",
    "review": "mark an area as reviewed",
    "never_train": "mark an area as never trained on",
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


@dataclass(frozen=True)
class State:
    """A project at one moment."""

    classes: Mapping[str, str]
    """Colour '#rrggbb' by name, in order."""
    objects: tuple[LabelledObject, ...]
    """Accepted objects in order; none overlaps another: the later one has won."""
    reviewed: tuple[BaseGeometry, ...]
    """Extents in which everything is labelled, scene pixels."""
    never_train: tuple[BaseGeometry, ...]
    """Areas that a person keeps out of training, scene pixels."""
    held_out: BaseGeometry | None
    """Ground on which rounds are judged and never trained, scene pixels; None until it is chosen."""
    round: int
    """The current round; 0 for the model before any."""
    prediction: Mapping[str, Any] | None
    """Paths and round of the latest map of the scene."""
    undoable: Event | None
    """What undo would take back."""
    redoable: Event | None
    """What redo would bring back."""
    renamed: Mapping[str, str]
    """Names that classes had before, which rounds may know them by, and what they are called now."""


def next_colour(classes: Mapping[str, str]) -> str:
    """A palette colour that no class has yet, or the palette again from its start."""
    unused = [colour for colour in PALETTE if colour not in classes.values()]
    return unused[0] if unused else PALETTE[len(classes) % len(PALETTE)]


def title(event: Event) -> str:
    """What an event did, in words."""
    data = dict(event.data)
    if isinstance(data.get("objects"), list):
        count = len(data["objects"])
        data["objects"] = "an object" if count == 1 else f"{count} objects"
    return TITLES[event.kind].format(**data)


def reduce(events: Iterable[Event]) -> State:
    """The state that a list of events leads to.

    Raises:
        ProjectDamagedError: an event does not hold what its kind needs.
    """
    events = list(events)
    done, undone = history(events)
    maps = [event.data for event in events if event.kind == "prediction"]
    held_out = _held_out(events)
    labels = Labels()
    areas: dict[str, list[BaseGeometry]] = {"review": [], "never_train": []}
    current = 0
    for event in done:
        with _decoding(event):
            if event.kind in areas:
                areas[event.kind].append(shapely.from_wkb(event.data["geometry"]))
            elif not labels.apply(event):
                current = int(event.data["number"])
    # Classes that a project starts with are not something a person did.
    acts = [event for event in done if not event.data.get("initial")]
    return State(
        labels.classes,
        tuple(labels.objects),
        tuple(areas["review"]),
        tuple(areas["never_train"]),
        held_out,
        current,
        maps[-1] if maps else None,
        acts[-1] if acts else None,
        undone[-1] if undone else None,
        labels.renamed,
    )


def _held_out(events: Iterable[Event]) -> BaseGeometry | None:
    """The ground that rounds are judged on: chosen once, so the first choice counts, and no undo reaches it."""
    for event in events:
        if event.kind == "held_out":
            with _decoding(event):
                return shapely.from_wkb(event.data["geometry"])
    return None


def history(events: Iterable[Event]) -> tuple[list[Event], list[Event]]:
    """Events in force, and those that redo would bring back (the next one last)."""
    done: list[Event] = []
    undone: list[Event] = []
    for event in events:
        if event.kind in ("undo", "redo"):
            source, sink = (done, undone) if event.kind == "undo" else (undone, done)
            target = next((e for e in source if e.id == event.data.get("event")), None)
            if target is not None:  # another notebook may have undone it first
                source.remove(target)
                sink.append(target)
        elif event.kind in TITLES:
            done.append(event)
            undone.clear()
    return sorted(done, key=lambda e: e.id), undone


@contextmanager
def _decoding(event: Event) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise ProjectDamagedError(
            f"event {event.id} ({event.kind!r}) of the project's events.jsonl is damaged ({error!r}); restore the file "
            "from a backup, or take that line out. Nothing was changed."
        ) from error
