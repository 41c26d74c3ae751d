"""Suggested windows one after the other: which one is looked at, which are done or skipped, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.active.survey import Suggestion
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.suggestions.candidates import MOSTLY, covered
from seglab.errors import JobRunningError, SuggestionError

COUNT = 8
"""Windows that are suggested at a time, where nobody says how many."""
WHOLE = 0.999
"""A window of which this share is reviewed is done: outlines that were drawn on a map miss pixels' edges by a hair."""


class QueueOwner(Protocol):
    """What a queue needs of its session."""

    _ledger: Ledger
    shape: tuple[int, int]
    state: State
    round: int
    previewing: bool

    def _suggested(
        self,
        reporter: jobs.Reporter,
        count: int,
        name: str | None,
        reference: str | Path | None,
        seed: int,
    ) -> list[Suggestion]: ...

    def review(self, polygon: BaseGeometry, crs: Any = None) -> None:
        """Say that everything in it is labelled."""

    def never_suggest(self, polygon: BaseGeometry, crs: Any = None) -> None:
        """Suggest nothing in it any more."""


class SuggestionQueue:
    """The windows that were suggested last, in the order in which they are best labelled.

    What is done is reviewed ground and what is skipped is ground without suggestions, both of them in the project's
    log: undo, or another notebook, brings a window back or takes it away here too. The list itself is not saved.

    Args:
        owner: the session.
    """

    def __init__(self, owner: QueueOwner) -> None:
        self._owner = owner
        self._suggestions: tuple[Suggestion, ...] = ()
        self._answered: frozenset[int] = frozenset()
        self._current: int | None = None
        self._state: State | None = None
        self._ranked_by = 0
        self._wish: tuple[str | None, str | Path | None, int] = (None, None, 0)
        self._job: jobs.Job[tuple[Suggestion, ...]] | None = None

    def __repr__(self) -> str:
        left = len(self.waiting)
        return f"<SuggestionQueue: {self.place} of {self.total}, {left} left>"

    # -- what there is

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """All of them in order, those that are done or skipped included."""
        return self._suggestions

    @property
    def waiting(self) -> tuple[Suggestion, ...]:
        """Those that are neither done nor skipped."""
        with self._following():
            return tuple(one for i, one in enumerate(self._suggestions) if i not in self._answered)

    @property
    def current(self) -> Suggestion | None:
        """The one that is looked at; None when all are done or skipped."""
        with self._following():
            return None if self._current is None else self._suggestions[self._current]

    @property
    def place(self) -> int:
        """Place of the one that is looked at among all, from 1; 0 for none."""
        with self._following():
            return 0 if self._current is None else self._current + 1

    @property
    def total(self) -> int:
        """How many there are, those that are done or skipped included."""
        return len(self._suggestions)

    @property
    def outdated(self) -> bool:
        """Whether another round than the one in use has ranked those that are left: see `refresh`."""
        owner = self._owner
        return not owner.previewing and owner.round != self._ranked_by and bool(self.waiting)

    # -- going through them

    def next(self) -> Suggestion | None:
        """Look at the next one that waits; after the last one comes the first."""
        return self._step(1)

    def previous(self) -> Suggestion | None:
        """Look at the one before that waits; before the first one comes the last."""
        return self._step(-1)

    def done(self) -> Suggestion | None:
        """Say that everything in the window that is looked at is labelled, as `LabelSession.review` does; undo takes it
        back.

        Returns:
            The next one.

        Raises:
            SuggestionError: no window is looked at.
        """
        return self._answer(self._owner.review)

    def skip(self) -> Suggestion | None:
        """Leave out the window that is looked at: it is not suggested again in this project; undo takes it back.

        Returns:
            The next one.

        Raises:
            SuggestionError: no window is looked at.
        """
        return self._answer(self._owner.never_suggest)

    def clear(self) -> None:
        """Forget the suggestions; what is done or skipped stays so."""
        self._put((), None)

    # -- where they come from

    def fill(
        self,
        count: int = COUNT,
        strategy: str | None = None,
        *,
        reference: str | Path | None = None,
        seed: int = 0,
    ) -> jobs.Job[tuple[Suggestion, ...]]:
        """Ask for suggestions, in place of those that are there, in the background.

        Args:
            count: how many, at most.
            strategy, reference, seed: see `LabelSession.suggest`.

        Returns:
            A job. Its result is what is suggested; nothing where every window is labelled, reviewed or skipped.

        Raises:
            JobRunningError: suggestions are being looked for.
            From the job: SuggestionError, LabelsFileError, see `LabelSession.suggest`; all stays as it is.
        """
        wish = (strategy, reference, seed)

        def work(reporter: jobs.Reporter) -> tuple[Suggestion, ...]:
            by = self._owner.round
            found = self._owner._suggested(reporter, count, *wish)
            self._wish = wish  # only now: a search that fails leaves it
            self._put(tuple(found), 0 if found else None, by)
            return self._suggestions

        return self._start(work, "suggest")

    def refresh(self) -> jobs.Job[tuple[Suggestion, ...]]:
        """Rank anew what is left, by the round in use, in the background.

        The window that is looked at stays, and so do those that are done or skipped; the others may give way to better
        ones.

        Returns:
            A job. Its result is as that of `fill`.

        Raises:
            JobRunningError: suggestions are being looked for.
        """

        def work(reporter: jobs.Reporter) -> tuple[Suggestion, ...]:
            by, total = self._owner.round, self.total
            found = self._owner._suggested(reporter, total, *self._wish)
            with self._owner._ledger.acting():
                kept = self._kept()  # a person may have gone on meanwhile
                tree = STRtree([one.geometry for one in kept])
                rest = [one for one in found if covered(one.geometry, tree) < MOSTLY]
                place = None if self.current is None else len(kept) - 1
                self._put((*kept, *rest)[: max(total, len(kept))], place, by)
            return self._suggestions

        return self._start(work, "rank the suggestions anew")

    def close(self) -> None:
        """Stop looking for suggestions."""
        if self._job is not None and not self._job.finished:
            self._job.cancel()
            self._job.wait()

    # -- parts

    def _start(self, work: Any, title: str) -> jobs.Job[tuple[Suggestion, ...]]:
        if self._job is not None and not self._job.finished:
            raise JobRunningError("suggestions are being looked for already; wait for them or cancel the job first")
        self._job = jobs.start(work, title=title, unit="windows")
        return self._job

    def _kept(self) -> list[Suggestion]:
        """Those that are done or skipped, and the one that is looked at as the last one."""
        with self._following():
            kept = [one for i, one in enumerate(self._suggestions) if i in self._answered]
            return kept if self._current is None else [*kept, self._suggestions[self._current]]

    def _put(self, suggestions: Sequence[Suggestion], current: int | None, ranked_by: int | None = None) -> None:
        with self._owner._ledger.lock:
            self._suggestions, self._current, self._state = tuple(suggestions), current, self._owner.state
            self._answered = self._answers(self._state)
            self._ranked_by = self._ranked_by if ranked_by is None else ranked_by
            if self._current in self._answered:  # by another notebook, just now
                self._current = self._nearest(self._current, 1)
        self._owner._ledger.tell("suggestions")

    def _step(self, step: int) -> Suggestion | None:
        with self._following():
            if self._current is not None:
                self._current = self._nearest(self._current, step)
        self._owner._ledger.tell("suggestions")
        return self.current

    def _answer(self, say: Callable[..., None]) -> Suggestion | None:
        """Say something of the window that is looked at; the next one."""
        with self._owner._ledger.lock:
            # Before the log is followed: an answer of another notebook would put a window here that nobody has seen.
            looked_at = self.current
            if looked_at is None:
                raise SuggestionError("no window is suggested; ask for some with session.queue.fill() first")
            say(looked_at.geometry, crs="pixel")
            return self.current

    @contextmanager
    def _following(self) -> Iterator[None]:
        """Hold still, with what was done or skipped by now taken into account."""
        with self._owner._ledger.lock:
            state = self._owner.state
            if state is not self._state:
                answered = self._answers(state)
                back = sorted(self._answered - answered)
                self._state, self._answered = state, answered
                if back:  # undone
                    self._current = back[0]
                elif self._current in answered:
                    self._current = self._nearest(self._current, 1)
            yield

    def _nearest(self, place: int, step: int) -> int | None:
        """The next place that waits, from one on."""
        around = ((place + step * k) % self.total for k in range(1, self.total + 1))
        return next((i for i in around if i not in self._answered), None)

    def _answers(self, state: State) -> frozenset[int]:
        """Places of those that are done or skipped."""
        rows, cols = self._owner.shape
        scene, ground = shapely.box(0, 0, cols, rows), _trees(state.reviewed, state.never_suggest)
        outlines = [one.geometry.intersection(scene) for one in self._suggestions]
        return frozenset(i for i, one in enumerate(outlines) if any(covered(one, tree) >= WHOLE for tree in ground))


def _trees(*grounds: Collection[BaseGeometry]) -> list[STRtree]:
    return [STRtree(list(ground)) for ground in grounds]
