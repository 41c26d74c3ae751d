"""Which objects a round learns from, and which it is judged on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.state import LabelledObject, State
from seglab.errors import NoLabelsError
from seglab.training.plan import Labels, TrainingObject


@dataclass(frozen=True)
class Split:
    """The objects of a project, parted by ground."""

    training: tuple[LabelledObject, ...]
    held_out: tuple[LabelledObject, ...]
    """On held-out ground, and never trained on by the round's ancestors."""
    ground: tuple[BaseGeometry, ...]
    """What no training window may overlap, scene pixels."""


def split_objects(state: State, seen: Iterable[int]) -> Split:
    """Part the objects: what touches held-out ground or a never-train area is not trained on.

    Args:
        state: the project.
        seen: ids of the objects that the round's ancestors trained on: they can no longer judge it.

    Raises:
        NoLabelsError: nothing is left to train on.
    """
    ground = (*([] if state.held_out is None else [state.held_out]), *state.never_train)
    touched: set[int] = set()
    if ground:
        tree = STRtree([o.geometry for o in state.objects])
        touched = {int(i) for area in ground for i in tree.query(area, predicate="intersects")}
    training = tuple(o for i, o in enumerate(state.objects) if i not in touched)
    if not training:
        raise NoLabelsError(
            "nothing is accepted yet; click an object, accept its mask, then retrain"
            if not state.objects
            else "all accepted objects lie on ground that is kept out of training; label objects elsewhere"
        )
    known = set(seen)
    held_out = tuple(state.objects[i] for i in sorted(touched) if state.objects[i].id not in known)
    return Split(training, held_out, ground)


def seen_by(number: int, cards: Sequence[Mapping[str, Any]]) -> set[int]:
    """Ids of the objects that a round or any of its ancestors trained on."""
    by_number = {card["round"]: card for card in cards}
    seen: set[int] = set()
    while number in by_number:
        seen.update(by_number[number].get("labels", ()))
        number = by_number[number]["parent"]
    return seen


def labels_of(objects: Sequence[LabelledObject], classes: Sequence[str], state: State, split: Split) -> Labels:
    """A training snapshot.

    Args:
        objects: those to take; each has one of `classes`.
        classes: names, in the order of the round's class prompts.
        state, split: the project.
    """
    made = tuple(TrainingObject(classes.index(o.class_name), o.geometry, o.prompts, o.window) for o in objects)
    taken = {o.id for o in objects}
    others = tuple(o.geometry for o in state.objects if o.id not in taken)
    return Labels(tuple(classes), made, state.reviewed, split.ground, others)


def footprint(objects: Sequence[LabelledObject]) -> tuple[float, ...]:
    """(left, top, right, bottom) of the windows that a round saw, scene pixels."""
    return shapely.union_all([o.window.polygon for o in objects]).bounds
