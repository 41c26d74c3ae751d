"""What the event log says: objects, classes, reviewed extents, the current round, and what can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.errors import ProjectDamagedError
from seglab.store.events import Event

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#8c564b")
"""Default class colours: Okabe and Ito's, which colour-blind people can tell apart, and brown."""

FRINGE = 0.1
"""An object of which a later one of its own class leaves less than this share was corrected by it: the rest goes."""

TITLES = {
    "accept": "accept {class}",
    "review": "mark an area as reviewed",
    "never_train": "mark an area as never trained on",
    "class": "add class {name}",
    "round": "round {number}",
    "rollback": "go back to round {number}",
}
"""What can be undone, in words; the fields are the event's data."""


@dataclass(frozen=True)
class LabelledObject:
    """An accepted object."""

    id: int
    """The number of the event that accepted it."""
    class_name: str
    geometry: BaseGeometry
    """Outline in scene pixels, on pixel edges."""
    prompts: Prompts
    """What was clicked."""
    window: Window
    """The window in which it was accepted."""
    iou: float
    """The model's own estimate of the mask's IoU when it was accepted, 0 to 1."""
    round: int
    """The round of the model that drew it; 0 before any."""
    author: str
    time: str
    """UTC, ISO 8601."""


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


def accept_data(
    class_name: str, geometry: BaseGeometry, prompts: Prompts, window: Window, iou: float, round_number: int
) -> dict[str, Any]:
    """The data of an "accept" event."""
    return {
        "class": class_name,
        "geometry": shapely.to_wkb(geometry, hex=True),
        "prompts": prompts.to_json(),
        "window": [window.col, window.row, window.width, window.height, window.scale],
        "iou": iou,
        "round": round_number,
    }


def next_colour(classes: Mapping[str, str]) -> str:
    """A palette colour that no class has yet, or the palette again from its start."""
    unused = [colour for colour in PALETTE if colour not in classes.values()]
    return unused[0] if unused else PALETTE[len(classes) % len(PALETTE)]


def title(event: Event) -> str:
    """What an event did, in words."""
    return TITLES[event.kind].format(**event.data)


def reduce(events: Iterable[Event]) -> State:
    """The state that a list of events leads to.

    Raises:
        ProjectDamagedError: an event does not hold what its kind needs.
    """
    events = list(events)
    done, undone = _history(events)
    maps = [event.data for event in events if event.kind == "prediction"]
    held_out = _held_out(events)
    classes: dict[str, str] = {}
    objects: list[LabelledObject] = []
    areas: dict[str, list[BaseGeometry]] = {"review": [], "never_train": []}
    current = 0
    for event in done:
        with _decoding(event):
            if event.kind == "class":
                classes[event.data["name"]] = event.data["colour"]
            elif event.kind == "accept":
                objects = _with_object(objects, _object_of(event))
            elif event.kind in areas:
                areas[event.kind].append(shapely.from_wkb(event.data["geometry"]))
            else:
                current = int(event.data["number"])
    # Classes that a project starts with are not something a person did.
    acts = [event for event in done if not event.data.get("initial")]
    return State(
        classes,
        tuple(objects),
        tuple(areas["review"]),
        tuple(areas["never_train"]),
        held_out,
        current,
        maps[-1] if maps else None,
        acts[-1] if acts else None,
        undone[-1] if undone else None,
    )


def _held_out(events: Iterable[Event]) -> BaseGeometry | None:
    """The ground that rounds are judged on: chosen once, so the first choice counts, and no undo reaches it."""
    for event in events:
        if event.kind == "held_out":
            with _decoding(event):
                return shapely.from_wkb(event.data["geometry"])
    return None


def _history(events: Iterable[Event]) -> tuple[list[Event], list[Event]]:
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


def _object_of(event: Event) -> LabelledObject:
    data = event.data
    return LabelledObject(
        event.id,
        data["class"],
        shapely.from_wkb(data["geometry"]),
        Prompts.from_json(data["prompts"]),
        Window(*data["window"]),
        data["iou"],
        data["round"],
        event.author,
        event.time,
    )


def _with_object(objects: list[LabelledObject], new: LabelledObject) -> list[LabelledObject]:
    """The objects with one more, which takes its ground from those before it; what is left empty disappears."""
    kept = []
    for old in objects:
        if old.geometry.intersects(new.geometry):
            rest = polygons_only(old.geometry.difference(new.geometry))
            corrected = old.class_name == new.class_name and rest.area < FRINGE * old.geometry.area
            old = replace(old, geometry=shapely.MultiPolygon() if corrected else rest)
        if not old.geometry.is_empty:
            kept.append(old)
    return [*kept, new]


def polygons_only(geometry: BaseGeometry) -> BaseGeometry:
    """A geometry's areas, as a MultiPolygon; lines and points that set operations leave behind are dropped."""
    parts = [g for g in getattr(geometry, "geoms", [geometry]) if g.geom_type == "Polygon" and g.area > 0]
    return shapely.MultiPolygon(parts)
