"""Who labelled what where several people work in one project: each one's labels as if the others were not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.history.label_events import Labels, brought
from seglab.app.history.state import SHARED
from seglab.app.labels.labelled import LabelledObject
from seglab.store.events import Event

COMMON = ("overlaps", "propose", *SHARED)
"""Kinds of events that hold for everybody: rules, classes, and what a machine proposes."""
BRINGING = ("import", "merge_from")
"""Kinds of events whose objects may have other authors than the event."""
MAKING = ("accept", "confirm", "merge", "split", *BRINGING)
"""Kinds of events that make objects."""
ASIDE = ("settle", "check", "check_answer")
"""Kinds of events that do not say what their author labels: who was right, and how good a map is."""


def authors(done: Iterable[Event]) -> tuple[str, ...]:
    """Who has made objects, in the order of the first one.

    Args:
        done: events of a scene that are in force.
    """
    found: dict[str, None] = {}
    for event in done:
        if event.kind in BRINGING:
            found |= dict.fromkeys(one.get("author", event.author) for one in event.data["found"])
        elif event.kind in MAKING:
            found.setdefault(event.author)
    return tuple(found)


def labels_of(done: Sequence[Event], author: str) -> tuple[tuple[LabelledObject, ...], tuple[BaseGeometry, ...]]:
    """What one author says is there: the labels that there would be without the others.

    These are the objects that the author has drawn, confirmed or brought, and those of others that the author has given
    another class, split or merged. Ground that others have taken from them since, and what others have deleted, is
    still theirs. What was settled between annotators is nobody's.

    Args:
        done: events of a scene that are in force.
        author: whose.

    Returns:
        The objects, with the numbers that they have in the project, and the extents that the author has reviewed.
    """
    own, whole = Labels(), Labels()
    reviewed = []
    for event in done:
        if event.kind in COMMON:
            own.apply(event)
        elif event.kind in BRINGING:
            _bring(own, event, author)
        elif event.author == author:
            _take_over(own, whole, event, author)
            if event.kind not in ASIDE:
                own.apply(event)
            if event.kind == "review":
                reviewed.append(shapely.from_wkb(event.data["geometry"]))
        whole.apply(event)
    return tuple(own.objects.values()), tuple(reviewed)


def _bring(own: Labels, event: Event, author: str) -> None:
    """What an event brings of an author's objects; what it takes away, if the author brought it."""
    if event.author == author:
        own.apply(Event(event.id, event.time, event.author, event.kind, event.data | {"found": []}))
    for made in brought(own, event):
        if made.author == author:
            own.put_over(made)


def _take_over(own: Labels, whole: Labels, event: Event, author: str) -> None:
    """Objects of others that an event of an author changes become the author's own, as they are."""
    changes = event.kind in ("merge", "split") or (event.kind == "edit" and "class" in event.data)
    for number in [*event.data.get("objects", ()), event.data.get("object")] if changes else ():
        if number in whole.objects and number not in own.objects:
            own.put_over(replace(whole.objects[number], author=author))
