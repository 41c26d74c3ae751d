"""Going through what waits for an answer one by one: in which order, where one is, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from seglab.app.annotators.disputes import Dispute
from seglab.app.labels.doubts import Doubt
from seglab.app.labels.proposed import ProposedObject, by_nearness, by_score

Waiting = TypeVar("Waiting", ProposedObject, Dispute, Doubt)

ORDERS: dict[str, Callable[[Sequence[Any]], list[Any]]] = {
    "By score": by_score,
    "Nearest": by_nearness,
}
"""In which order they come, by its name."""


class ReviewQueue(Generic[Waiting]):
    """Proposed objects, disputes, or labels in doubt. An answered one keeps its place: undo brings it back there.

    Args:
        order: one of ORDERS; disputes have no score.
    """

    def __init__(self, order: str = "By score") -> None:
        self.current: int | None = None
        """Id of the one that is looked at; it waits for an answer."""
        self._order = order
        self._known: dict[int, Waiting] = {}
        self._places: dict[int, int] = {}
        """Place of each in the order, from 0."""
        self._sorted: list[int] = []
        self._waiting: dict[int, Waiting] = {}

    @property
    def order(self) -> str:
        """One of ORDERS."""
        return self._order

    @order.setter
    def order(self, order: str) -> None:
        self._order = order
        self._sort()

    @property
    def waiting(self) -> list[Waiting]:
        """Those without an answer, in order."""
        return [self._waiting[i] for i in self._sorted if i in self._waiting]

    @property
    def object(self) -> Waiting | None:
        """The one that is looked at."""
        return None if self.current is None else self._waiting[self.current]

    @property
    def place(self) -> int:
        """Place of the one that is looked at among all, from 1; 0 for none."""
        return 0 if self.current is None else self._places[self.current] + 1

    @property
    def total(self) -> int:
        """How many there are, those that are answered included."""
        return len(self._known)

    def begin(self) -> None:
        """Forget what is answered."""
        self._known = dict(self._waiting)
        self._sort()

    def follow(self, proposals: Sequence[Waiting], class_name: str | None = None) -> None:
        """Take account of answers, new proposals and undo. The one looked at stays as long as it waits.

        Args:
            proposals: those that wait now.
            class_name: only those of this class; None: all.
        """
        before, known = self._waiting, self._known
        there = {p.id for p in proposals}
        wanted = [p for p in proposals if class_name in (None, p.class_name)]
        self._waiting = {p.id: p for p in wanted}
        # one that waits and is not wanted is no longer of this review; one that waits no longer is answered
        self._known = {i: p for i, p in known.items() if i not in there} | self._waiting
        if self._known.keys() != known.keys():
            self._sort()
        back = [i for i in self._sorted if i in self._waiting and i in known and i not in before]
        if back:
            self.current = back[0]
        elif self.current not in self._waiting:
            self.current = self._next(self._places.get(self.current, -1), 1)

    def go(self, number: int) -> None:
        """Look at one that waits."""
        if number in self._waiting:
            self.current = number

    def step(self, step: int) -> None:
        """Look at the next (1) or the previous (-1) one that waits; after the last one comes the first."""
        if self.current is not None:
            self.current = self._next(self._places[self.current], step)

    def likely(self, score: float) -> list[int]:
        """Ids of those that wait with at least this score."""
        return [p.id for p in self.waiting if p.score >= score]

    def _sort(self) -> None:
        self._sorted = [p.id for p in ORDERS[self._order](list(self._known.values()))]
        self._places = {number: place for place, number in enumerate(self._sorted)}

    def _next(self, place: int, step: int) -> int | None:
        """The next one that waits, from a place on."""
        count = len(self._sorted)
        around = (self._sorted[(place + step * k) % count] for k in range(1, count + 1))
        return next((i for i in around if i in self._waiting), None)
