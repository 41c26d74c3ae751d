"""Which objects a round learns from, and which it is judged on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.history.state import State
from seglab.app.labels.labelled import LabelledObject
from seglab.errors import NoLabelsError
from seglab.training.plan import Labels, TrainingObject

NOTHING = "nothing is accepted yet; click an object, accept its mask, then retrain"
KEPT_OUT = "all accepted objects are unsure or lie on ground that is kept out of training; label objects elsewhere"


@dataclass(frozen=True)
class Split:
    """The objects of a project, parted by ground."""

    training: tuple[LabelledObject, ...]
    held_out: tuple[LabelledObject, ...]
    """On held-out ground, and never trained on by the round's ancestors."""
    ground: tuple[BaseGeometry, ...]
    """What no training window may overlap, scene pixels."""


@dataclass(frozen=True)
class Seen:
    """What a round and its ancestors have trained on, and what can therefore no longer judge them."""

    ids: frozenset[int] = frozenset()
    """Objects by their number."""
    ground: BaseGeometry = shapely.MultiPolygon()  # noqa: RUF009 - geometries are immutable
    """Their outlines, scene pixels: an object that was corrected since has another number on the same ground."""

    def of(self, objects: Sequence[LabelledObject]) -> set[int]:
        """Ids of those objects that were seen."""
        touching = STRtree([o.geometry for o in objects]).query(self.ground, predicate="intersects")
        return {objects[int(i)].id for i in touching} | {o.id for o in objects if o.id in self.ids}


def seen_by(number: int, cards: Sequence[Mapping[str, Any]], scene: str, is_first: bool) -> Seen:
    """What a round and its ancestors have trained on in a scene, by their cards.

    Args:
        number: of the round.
        cards: of all rounds.
        scene: its name.
        is_first: whether it is the project's first scene, which cards from before there were several do not name.
    """
    by_number = {card["round"]: card for card in cards}
    ids: set[int] = set()
    outlines: list[BaseGeometry] = []
    while number in by_number:
        card = by_number[number]
        ids.update(card.get("labels", ()))
        for shown in shown_scenes(card):
            is_it = shown["name"] == scene or (shown["name"] is None and is_first)
            if is_it and shown.get("trained"):
                outlines.append(shapely.from_wkb(shown["trained"]))
        number = card["parent"]
    return Seen(frozenset(ids), shapely.union_all(outlines))


def shown_scenes(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a round's card says of the scenes that training was shown: name, grid, trained (outlines as WKB), ...

    One from before a project could have several tells it of one, without a name that counts.
    """
    found: list[Mapping[str, Any]] = card.get("scenes", [{**card, "name": None}])
    return found


def split_objects(state: State, seen: Seen) -> Split:
    """Part the objects: what touches held-out ground or a never-train area is not trained on, and what a person is
    unsure of is in neither part.

    Args:
        state: a scene's.
        seen: by the round that is trained on.
    """
    ground = kept_out(state)
    touched: set[int] = set()
    if ground:
        tree = STRtree([o.geometry for o in state.objects])
        touched = {int(i) for area in ground for i in tree.query(area, predicate="intersects")}
    sure = [i for i, o in enumerate(state.objects) if not o.unsure]
    training = tuple(state.objects[i] for i in sure if i not in touched)
    known = seen.of(state.objects)
    held_out = tuple(state.objects[i] for i in sure if i in touched and state.objects[i].id not in known)
    return Split(training, held_out, ground)


def require_training(states: Collection[State]) -> None:
    """Check that a round has something to learn from.

    Args:
        states: of all scenes.

    Raises:
        NoLabelsError: nothing is left to train on.
    """
    if not any(split_objects(state, Seen()).training for state in states):
        raise NoLabelsError(KEPT_OUT if any(state.objects for state in states) else NOTHING)


def kept_out(state: State) -> tuple[BaseGeometry, ...]:
    """Ground that rounds never train on and are judged on, scene pixels: held-out blocks and never-train areas."""
    return (*(() if state.held_out is None else (state.held_out,)), *state.never_train)


def labels_of(
    objects: Sequence[LabelledObject],
    classes: Sequence[str],
    state: State,
    split: Split,
    reviewed: Sequence[BaseGeometry] | None = None,
) -> Labels:
    """A training snapshot.

    Args:
        objects: those to take; each has one of `classes`.
        classes: names, in the order of the round's class prompts.
        state, split: the project.
        reviewed: extents in which everything is labelled, of those in the project; all if None.
    """
    made = tuple(TrainingObject(classes.index(o.class_name), o.geometry, o.prompts, o.window) for o in objects)
    taken = {o.id for o in objects}
    others = tuple(o.geometry for o in state.objects if o.id not in taken)
    extents = state.reviewed if reviewed is None else tuple(reviewed)
    return Labels(tuple(classes), made, extents, split.ground, others)


def footprint(objects: Sequence[LabelledObject]) -> tuple[float, ...]:
    """(left, top, right, bottom) of the windows in which objects were accepted, scene pixels."""
    return shapely.union_all([o.window.polygon for o in objects]).bounds


def outlines_of(objects: Sequence[LabelledObject]) -> str:
    """The outlines of objects as WKB in hexadecimal, for a card."""
    return shapely.to_wkb(shapely.union_all([o.geometry for o in objects]), hex=True)
