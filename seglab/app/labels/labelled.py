"""An accepted object, and how its outline stays an outline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.errors import SegLabError


@dataclass(frozen=True)
class LabelledObject:
    """An accepted object."""

    id: int
    """The number of the event that made it; where it made several (a split, an import), k * PARTS more for the k-th.
    One that was confirmed keeps the number that it was proposed under."""
    class_name: str
    geometry: BaseGeometry
    """Outline in scene pixels, on pixel edges."""
    prompts: Prompts
    """What was clicked; nothing where it was drawn by hand."""
    window: Window
    """The window in which it was accepted."""
    iou: float
    """The model's own estimate of the mask's IoU when it was accepted, 0 to 1."""
    round: int
    """The round of the model that drew it; 0 before any."""
    author: str
    time: str
    """UTC, ISO 8601."""
    unsure: bool = False
    """A person is not sure of it: rounds neither learn from it nor are judged by it."""
    note: str = ""
    """What a person has to say about it."""
    origin: str = ""
    """Who proposed it, in words; empty where a person made it."""
    date: str = ""
    """ISO 8601 date of the imagery that the model saw when it was made; empty where the source has no time axis, and
    for objects that came from elsewhere."""
    kept: bool = False
    """A person has looked at it again, and it is right as it is: see `second_look`."""


def entry(class_name: str, outline: BaseGeometry, window: Window) -> dict[str, Any]:
    """One of several objects in the data of an event.

    Args:
        class_name: of the object.
        outline: scene pixels, on pixel edges.
        window: that holds it.
    """
    return {"class": class_name, "geometry": shapely.to_wkb(outline, hex=True), "window": window.to_json()}


def dated(date: str) -> dict[str, str]:
    """What the data of an event holds of a date: nothing where the source has no time axis."""
    return {"date": date} if date else {}


def known_ids(asked: Sequence[int], there: Iterable[int], refusal: Callable[[int | None], SegLabError]) -> list[int]:
    """The ids that are asked for, without repetition, each one of those that are there.

    Args:
        asked: ids.
        there: all that may be asked for.
        refusal: makes the error for an id that is not there, or for None where no id is asked for.
    """
    ids, known = list(dict.fromkeys(int(i) for i in asked)), set(there)
    missing = [i for i in ids if i not in known]
    if missing or not ids:
        raise refusal(missing[0] if missing else None)
    return ids
