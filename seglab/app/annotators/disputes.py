"""What two annotators disagree about, one by one, and how a person's answer to it changes the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.annotators.annotators import Annotator, noted, object_entry, say
from seglab.app.history.state import State
from seglab.app.labels.importing import new_classes
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.measuring import SQUARE_METRES
from seglab.core.agreement import Agreement, Kind
from seglab.core.grid import Grid
from seglab.errors import AgreementError

ANSWERS = FIRST, SECOND, UNSURE = ("first", "second", "unsure")
"""How a dispute is settled: the first annotator is right, the second one is, or nobody knows."""


@dataclass(frozen=True)
class Dispute:
    """Something that two annotators have otherwise; one of them may not have it at all."""

    id: int
    """Its place among those of a comparison, from 1."""
    kind: Kind
    first: LabelledObject | None
    """As the first annotator has it."""
    second: LabelledObject | None
    iou: float
    """Of the two outlines; 0 where there is one only."""
    key: str
    """The same for the same two objects, whenever they are compared: under it the answer is kept."""
    shared: bool
    """Whether the second has the first one's object too, besides its own: it stays, whatever is answered."""
    words: str
    """What is the matter, for a person."""

    @property
    def class_name(self) -> str:
        """As the first annotator calls it, or the second one where the first has nothing."""
        return next(one.class_name for one in (self.first, self.second) if one is not None)

    @property
    def geometry(self) -> BaseGeometry:
        """All the ground that is in question, scene pixels."""
        return shapely.union_all([one.geometry for one in (self.first, self.second) if one is not None])


@dataclass(frozen=True)
class Comparison:
    """Two annotators of a scene, and how far they agree."""

    first: Annotator
    second: Annotator
    agreement: Agreement
    grid: Grid = field(repr=False)
    """Of the scene."""

    @property
    def within(self) -> bool:
        """Whether both are authors of one project."""
        return self.first.here and self.second.here

    @cached_property
    def disputes(self) -> tuple[Dispute, ...]:
        """All that they disagree about, settled or not."""
        return tuple(self._disputes())

    @cached_property
    def hectares(self) -> dict[str, tuple[float, float, float]] | None:
        """True hectares by class of the first, of the second, and of both at once; None without a CRS."""
        if self.grid.crs is None:
            return None
        found = {}
        for name in self.agreement.classes:
            ground = [
                shapely.union_all([o.geometry for o in side.objects if o.class_name == name])
                for side in (self.first, self.second)
            ]
            square_metres = self.grid.areas_m2([*ground, ground[0].intersection(ground[1])])
            found[name] = tuple(float(value) / SQUARE_METRES for value in square_metres)
        return found

    def open_disputes(self, state: State) -> tuple[Dispute, ...]:
        """Those that nobody has settled yet."""
        return tuple(one for one in self.disputes if one.key not in state.settled)

    def unsettled(self, state: State) -> Agreement:
        """The agreement without the disagreements that are settled."""
        pairs = zip(self.agreement.disagreements, self.disputes, strict=True)
        return replace(self.agreement, disagreements=tuple(d for d, one in pairs if one.key not in state.settled))

    def _disputes(self) -> Iterator[Dispute]:
        agreed = {pair.first for pair in self.agreement.agreed}
        for number, one in enumerate(self.agreement.disagreements, start=1):
            first = None if one.first is None else self.first.by_number[one.first]
            second = None if one.second is None else self.second.by_number[one.second]
            key = ":".join([one.kind, _key(self.first, first), _key(self.second, second)])
            if first is not None:
                words = f"{first.class_name!r} by {first.author}; {say(one, self.second, one.second)}"
            else:
                words = f"{second.class_name!r} by {second.author}; {say(one, self.first, one.first)}"
            yield Dispute(number, one.kind, first, second, one.iou, key, one.first in agreed, words)


def _key(side: Annotator, one: LabelledObject | None) -> str:
    """An object by its number where it is the project's own, else by its outline; an annotator who lacks it by name."""
    if one is None:
        return side.name
    if side.here:
        return str(one.id)
    return hashlib.blake2s(shapely.to_wkb(one.geometry), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Settlement:
    """A dispute with its answer.

    Args:
        compared: of which the dispute is one.
        dispute: what is settled.
        answer: one of ANSWERS.

    Raises:
        AgreementError: the answer is none of ANSWERS.
    """

    compared: Comparison
    dispute: Dispute
    answer: str

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            known = ", ".join(map(repr, ANSWERS))
            raise AgreementError(f"the answer {self.answer!r} is not known; give one of {known}")

    def data(self, state: State, shape: tuple[int, int], size: int) -> dict[str, Any]:
        """The data of a "settle" event: those of a "merge_from" event, the dispute's key, and the answer.

        Args:
            state: of the project.
            shape: (rows, cols) of the scene.
            size: side of the model's input, model pixels.
        """
        here = {o.id: o for o in state.objects}
        taken, gone, marked = self._doubted(here) if self.answer == UNSURE else self._decided(here)
        entries = [object_entry(o, shape, size) for o in taken]
        return {
            "found": entries,
            "marked": [{"object": o.id, "unsure": o.unsure, "note": o.note} for o in marked],
            "gone": gone,
            "classes": new_classes(entries, state),
            "source": self.compared.second.name,
            "dispute": self.dispute.key,
            "answer": self.answer,
        }

    def _decided(self, here: dict[int, LabelledObject]) -> tuple[list[LabelledObject], list[int], list[LabelledObject]]:
        """Objects to be added, numbers of those to be removed, and objects as they are to be marked."""
        sides = [(self.compared.first, self.dispute.first), (self.compared.second, self.dispute.second)]
        (side, right), (other_side, wrong) = sides if self.answer == FIRST else sides[::-1]
        stays = self.dispute.shared and self.answer == SECOND
        gone = [wrong.id] if wrong is not None and other_side.here and wrong.id in here and not stays else []
        if right is None:
            return [], gone, []
        own = here.get(right.id) if side.here else None
        if own is None:
            return [right], gone, []
        if self.compared.within and not own.geometry.equals(right.geometry):  # others have taken ground from it
            return [right], [*gone, own.id], []
        sure = self._cleared(own)
        return [], gone, [sure] if sure != own else []

    def _cleared(self, own: LabelledObject) -> LabelledObject:
        """An object without the doubt that a merge has put into its note."""
        doubt = self._doubt()
        parts = own.note.split("; ")
        if doubt not in parts:
            return own
        rest = "; ".join(part for part in parts if part != doubt)
        return replace(own, note=rest, unsure=bool(rest) and own.unsure)

    def _doubted(self, here: dict[int, LabelledObject]) -> tuple[list[LabelledObject], list[int], list[LabelledObject]]:
        """The same where nobody knows: what is there is unsure; what only the second has is added as unsure."""
        sides = ((self.compared.first, self.dispute.first), (self.compared.second, self.dispute.second))
        there = [here[one.id] for side, one in sides if one is not None and side.here and one.id in here]
        marked = [replace(own, unsure=True, note=noted(own.note, self._doubt())) for own in there]
        second = self.dispute.second
        if there or second is None:
            return [], [], marked
        return [replace(second, unsure=True, note=noted(second.note, self._doubt()))], [], []

    def _doubt(self) -> str:
        """What the note of a doubtful object says: whose opinion it is that differs."""
        one, first = self.compared.agreement.disagreements[self.dispute.id - 1], self.dispute.first
        return say(one, self.compared.first, None) if first is None else say(one, self.compared.second, one.second)
