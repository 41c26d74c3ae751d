"""A label that rounds contradict, as a person is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from seglab.active.label_noise import Contradiction, Opinion
from seglab.app.labels.labelled import LabelledObject


@dataclass(frozen=True)
class Doubt:
    """An accepted object that is worth a second look."""

    object: LabelledObject
    """As it was when the rounds were asked."""
    instead: str
    """What the rounds see there: a class, or 'background'."""
    sure: float
    """How sure they are, 0 to 1: see active.label_noise.Contradiction."""
    rounds: tuple[int, ...]
    """Those that say so."""
    words: str
    """All of it, for a person."""

    @property
    def id(self) -> int:
        """Of the object."""
        return self.object.id

    @property
    def class_name(self) -> str:
        """As it is labelled."""
        return self.object.class_name

    @property
    def geometry(self) -> BaseGeometry:
        """Its outline, scene pixels."""
        return self.object.geometry

    @property
    def score(self) -> float:
        """What a review orders by."""
        return self.sure


def doubt(labelled: LabelledObject, found: Contradiction) -> Doubt:
    """An object and what rounds say against its label."""
    rounds = tuple(one.round for one in found.opinions)
    return Doubt(labelled, found.instead, found.sure, rounds, _words(labelled.class_name, found))


def _words(label: str, found: Contradiction) -> str:
    said = found.opinions
    other, own = (sum(one.shares[name] for one in said) / len(said) for name in (found.instead, label))
    who = _rounds([one.round for one in said])
    words = f"{who} see {found.instead!r} on {other:.0%} of it, {label!r} on {own:.0%}{_standing(said)}"
    if not found.unheeded:
        return words
    agree = "agrees" if len(found.unheeded) == 1 else "agree"
    return f"{words}. {_rounds(found.unheeded)} {agree} with the label, after learning from it"


def _standing(said: Sequence[Opinion]) -> str:
    """Whether the rounds that contradict had learned from the object; continues a sentence."""
    learned = [one.round for one in said if one.learned]
    if not learned:
        return "; none of them has learned from it"
    if len(learned) == len(said):
        return ", though they have learned from it"
    return f"; {_rounds(learned).lower()} {'has' if len(learned) == 1 else 'have'} learned from it"


def _rounds(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Round {numbers[0]}"
    return f"Rounds {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
