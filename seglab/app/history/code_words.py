"""Words of Python for what a log holds: coordinates, numbers of objects, models."""

from __future__ import annotations

from shapely.geometry.base import BaseGeometry

from seglab.app.history.label_events import PARTS
from seglab.app.history.redraw import Prompt
from seglab.core.prompts import Point
from seglab.store.events import Event


def prompt_call(prompt: Prompt) -> str:
    """The call that gives a prompt, in scene pixels."""
    if isinstance(prompt, Point):
        sign = "" if prompt.positive else ", positive=False"
        return f'session.click({prompt.col!r}, {prompt.row!r}{sign}, crs="pixel")'
    corners = ", ".join(repr(value) for value in (prompt.left, prompt.top, prompt.right, prompt.bottom))
    return f'session.box({corners}, crs="pixel")'


def geometry_call(geometry: BaseGeometry) -> str:
    """The call that makes an outline."""
    return f'shapely.from_wkt("{geometry.wkt}")'


def model_words(number: int) -> str:
    """A round in words; 0 for none."""
    return f"round {number}" if number else "the model before any round"


def mentioned(event: Event) -> list[int]:
    """Numbers of the objects that an event is about."""
    data = event.data
    if event.kind in ("merge_from", "settle"):
        made = (number for number, found in enumerate(data["found"]) if found["unsure"] or found["note"])
        marked = (entry["object"] for entry in data["marked"])
        return [*data["gone"], *marked, *(event.id + number * PARTS for number in made)]
    return [
        *data.get("objects", ()),
        *data.get("instead_of", ()),
        *(data[key] for key in ("object", "replaces") if key in data),
    ]


def variable(number: int) -> str:
    """The name of an object's number in the code: o7, or o7_2 for the second part of what event 7 split."""
    part, event = divmod(number, PARTS)
    return f"o{event}_{part + 1}" if part else f"o{event}"
