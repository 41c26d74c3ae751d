"""From a cluster to labels: the data of the event, the ground that is free for it, and which clusters have a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.clusters.cluster_map import ClusterMap
from seglab.app.history.label_events import PARTS
from seglab.app.history.state import State
from seglab.app.labels.importing import new_classes
from seglab.app.labels.labelled import entry
from seglab.app.prompting.drawing import window_around
from seglab.core.masks import as_multipolygon, on_pixel_edges
from seglab.errors import UnknownClassError
from seglab.store.events import Event

CLUSTER_ORIGIN = "cluster"
"""How the origin of what a cluster brought begins."""
CHANGES = frozenset({"accept", "edit", "merge", "split"})
"""Kinds of events by which a person makes a label their own."""
WAY = "cluster"
"""By which way such objects were made, in the log."""


def regions_data(
    outlines: Sequence[BaseGeometry], class_name: str, state: State, size: int, shape: tuple[int, int]
) -> dict[str, Any]:
    """The data of an "accept_regions" event, as far as it is about outlines.

    Args:
        outlines: scene pixels, on pixel edges.
        class_name: of all of them.
        state: of the project; a class that it does not have comes with the event.
        size: side of the model's input, model pixels.
        shape: (rows, cols) of the scene.

    Raises:
        UnknownClassError: the class has no name.
    """
    name = class_name.strip()
    if not name:
        raise UnknownClassError("a class needs a name; give one")
    found = [entry(name, outline, window_around(outline, size, 1, shape)) for outline in outlines]
    return {"class": name, "classes": new_classes(found, state), "found": found, "way": WAY}


def free_of_others(outlines: Sequence[BaseGeometry], state: State, events: Iterable[Event]) -> list[BaseGeometry]:
    """What of some outlines nobody has labelled but by clusters, on pixel edges; empty ones are left out.

    What a person has changed of a cluster's labels is theirs from then on, with the ground that it had: a hole that was
    painted into a label is not filled again. What was deleted is free.

    Args:
        outlines: scene pixels, on pixel edges.
        state: of the project.
        events: in force, in order.
    """
    there = {o.id: o.geometry for o in state.objects}
    brought, theirs = _by_hands(events)
    made = [outline for number, outline in there.items() if number not in brought or number in theirs]
    tree = STRtree([*made, *shapely.from_wkb(sorted({one for n, had in theirs.items() if n in there for one in had}))])
    free = []
    for outline in outlines:
        taken = tree.geometries[tree.query(outline, predicate="intersects")]
        left = outline.difference(shapely.union_all(taken)) if len(taken) else as_multipolygon(outline)
        if len(taken) and not left.is_empty:
            left = on_pixel_edges(left)
        if not left.is_empty:
            free.append(left)
    return free


def _by_hands(events: Iterable[Event]) -> tuple[set[int], dict[int, tuple[str, ...]]]:
    """Objects that clusters brought, by number; and those that a person made of such ones, with the ground that a
    cluster's label had there, as hexadecimal WKB."""
    brought: dict[int, str] = {}
    theirs: dict[int, tuple[str, ...]] = {}
    for event in events:
        data = event.data
        if event.kind == "accept_regions":
            brought |= {event.id + k * PARTS: found["geometry"] for k, found in enumerate(data["found"])}
        elif event.kind in CHANGES:
            heirs = [event.id + k * PARTS for k in range(len(data.get("parts", ".")))]
            touched = {*data.get("objects", ()), data.get("object"), data.get("replaces")}
            had = [theirs.get(n) or (brought[n],) for n in touched if n in brought or n in theirs]
            if had:
                theirs |= dict.fromkeys((*touched, *heirs), tuple(one for several in had for one in several))
    return set(brought), theirs


def named_clusters(events: Iterable[Event], clusters: ClusterMap, state: State) -> dict[int, str]:
    """The class of each cluster that was accepted, by its number, as it is called today.

    Args:
        events: in force, in order.
        clusters: as they are now; a merged one has the class of the part that was named last.
        state: of the project.
    """
    named: dict[int, str] = {}
    for event in events:
        if event.kind == "accept_regions" and "values" in event.data:
            now = state.today(event.data["class"])
            for cluster in clusters.clusters if now is not None else ():
                if set(event.data["values"]) & set(cluster.values) and event.data["proposed"] == clusters.proposed:
                    named[cluster.number] = now
    return named
