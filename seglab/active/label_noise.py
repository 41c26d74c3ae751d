"""Which labels rounds contradict: confident learning with the opinions of several rounds about each object.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021, compare
labels with probabilities by models that have not seen them. A project has no such models for most of its objects: each
round has learned from what was labelled before it. So each opinion says whether its round had learned from the object:
that such a round agrees tells nothing, that it contradicts all the same tells much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BACKGROUND = "background"
FEW = 5
"""A class with fewer objects has no mean that says what is usual."""
HALF = 0.5
"""The threshold of a class with few objects, and of the background, which nobody labels as objects."""
AT_LEAST = 2
"""Rounds that have to say the same against a label."""


@dataclass(frozen=True)
class Opinion:
    """What one round takes the ground of one object for."""

    round: int
    shares: Mapping[str, float]
    """Mean probability inside the outline by class, background included; they add up to 1: the share of the area that
    each takes, weighted by confidence."""
    learned: bool
    """Whether the round, or one that it started from, was trained on the object."""


@dataclass(frozen=True)
class Contradiction:
    """What rounds say against an object's label."""

    instead: str
    """The class that they see, or BACKGROUND."""
    opinions: tuple[Opinion, ...]
    """Those that say so, oldest round first."""
    sure: float
    """By how much the other class is more probable than the label: mean over the rounds that contradict, 0 to 1; one
    that sees a third class counts as 0."""
    unheeded: tuple[int, ...]
    """Rounds that agree with the label and do not count, for they have learned from it."""


def contradictions(labels: Mapping[int, str], opinions: Mapping[int, Sequence[Opinion]]) -> dict[int, Contradiction]:
    """The objects whose labels rounds consistently contradict, the surest first.

    An opinion is what confident learning counts (the paper's confident joint): of the classes whose probability reaches
    their threshold the most probable one, if it is more probable than the label. At least AT_LEAST rounds have to see
    the same other class, and no round that has not learned from the object may agree with its label.

    The background is another matter: a person labels what the model has missed, so that earlier rounds say
    'background' about many good labels. There the latest round has to say so too.

    Args:
        labels: class by object.
        opinions: of rounds by object; only of rounds that know the object's class.
    """
    thresholds = _thresholds(labels, opinions)
    found = {}
    for number, label in labels.items():
        said = sorted(opinions.get(number, ()), key=lambda one: one.round)
        seen = [(one, _seen(one, label, thresholds[one.round])) for one in said]
        contradiction = _contradiction(label, seen)
        if contradiction is not None:
            found[number] = contradiction
    return dict(sorted(found.items(), key=lambda item: -item[1].sure))


def _thresholds(labels: Mapping[int, str], opinions: Mapping[int, Sequence[Opinion]]) -> dict[int, dict[str, float]]:
    """By round and class, the mean probability of the class on objects that are labelled so, as in the paper.

    As far as there are enough, only objects count that the round has not learned from; else all, which makes the
    threshold higher and contradictions rarer.
    """
    by_round: dict[int, dict[str, list[tuple[float, bool]]]] = {}
    for number, label in labels.items():
        for one in opinions.get(number, ()):
            by_round.setdefault(one.round, {}).setdefault(label, []).append((one.shares[label], one.learned))
    return {
        round_: {name: _usual(values) for name, values in by_class.items()} for round_, by_class in by_round.items()
    }


def _usual(values: Sequence[tuple[float, bool]]) -> float:
    everything = [share for share, _ in values]
    unseen = [share for share, learned in values if not learned]
    known = unseen if len(unseen) >= FEW else everything
    return float(np.mean(known)) if len(known) >= FEW else HALF


def _seen(opinion: Opinion, label: str, thresholds: Mapping[str, float]) -> str | None:
    """The class that a round is confident to see; None where it is not confident of any."""
    confident = {name: share for name, share in opinion.shares.items() if share >= thresholds.get(name, HALF)}
    if not confident:
        return None
    best = max(confident, key=lambda name: confident[name])
    return best if best == label or confident[best] > opinion.shares[label] else None


def _contradiction(label: str, seen: Sequence[tuple[Opinion, str | None]]) -> Contradiction | None:
    """What rounds say against a label, if it is enough.

    Args:
        label: of the object.
        seen: opinions, oldest round first, and what each is confident to see.
    """
    others = [name for _, name in seen if name not in (None, label)]
    if not others or any(name == label and not one.learned for one, name in seen):
        return None
    instead = max(dict.fromkeys(others), key=others.count)
    against = tuple(one for one, name in seen if name == instead)
    if len(against) < AT_LEAST or (instead == BACKGROUND and seen[-1][1] != BACKGROUND):
        return None
    apart = sum(one.shares[instead] - one.shares[label] for one in against)
    unheeded = tuple(one.round for one, name in seen if name == label)
    return Contradiction(instead, against, apart / len(others), unheeded)
