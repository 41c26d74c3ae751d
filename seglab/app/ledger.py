"""A project's log as a session lives with it: what it says, one more line, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from seglab.app.labelled import LabelledObject
from seglab.app.labels_file import LabelsFile
from seglab.app.proposed import ProposedObject
from seglab.app.state import History, State
from seglab.core.grid import Grid
from seglab.store.project import Project


class Ledger:
    """Keeps the state in step with the log on disk.

    Args:
        project: where events go.
        grid: the scene's, for labels.gpkg.
        author: who labels; the account's name if None.

    Attributes:
        state: what the log says now.
        lock: held while something changes; the session holds it too while it prompts.
    """

    def __init__(self, project: Project, grid: Grid, author: str | None) -> None:
        self.lock = threading.RLock()
        self._history = History()
        self._followed: list[int] = []
        self._project = project
        self.state: State = self._history.state()
        self.state = self._up_to_date()
        self._file = LabelsFile(project, grid)
        self._author = author
        self._listeners: list[Callable[[str], None]] = []

    def record(self, kind: str, data: dict[str, Any], what: str, apply: Callable[[], None] | None = None) -> int:
        """Put an event on disk, follow it, and tell listeners.

        Args:
            kind, data: the event.
            what: what listeners are told.
            apply: what else changes with the event, before anybody is told.

        Returns:
            The event's id.

        Raises:
            WriteError: nothing was saved; or the event is saved and only labels.gpkg could not be replaced (another
                program has it open), which the next action makes up for.
        """
        with self.lock:
            event = self._project.append(kind, data, self._author)
            self.state = self._up_to_date()
            if apply is not None:
                apply()
            try:
                if what in ("labels", "classes"):
                    self._file.write(self.state)
            finally:
                self.tell(what)
        return event.id

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Hold the lock, with what other notebooks have done to the project taken into account.

        Every action that checks something before it records it is done within this.
        """
        with self.lock:
            before = self.state
            self.state = self._up_to_date()
            if self.state is not before:
                self.tell("classes")
            yield

    def object_at(self, col: float, row: float) -> LabelledObject | None:
        """The accepted object at a scene pixel coordinate."""
        with self.lock:
            return self._history.object_at(col, row)

    def proposal_at(self, col: float, row: float) -> ProposedObject | None:
        """The proposed object at a scene pixel coordinate."""
        with self.lock:
            return self._history.proposal_at(col, row)

    def round_after(self, kind: str, event: int) -> int:
        """The round in use after an event is undone or redone."""
        return self._history.round_after(kind, event)

    def _up_to_date(self) -> State:
        """Follow what this and other notebooks have appended since the last look."""
        events = self._project.events()
        seen = len(self._followed)
        if [event.id for event in events[:seen]] != self._followed:
            # An older copy of the log was put back.
            self._history, self._followed, seen = History(), [], 0
        elif seen == len(events):
            return self.state
        for event in events[seen:]:
            self._history.follow(event)
            self._followed.append(event.id)
        return self._history.state()

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener(what)` after every change.

        Returns:
            A function that ends the subscription.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def tell(self, what: str) -> None:
        """Tell listeners that something changed, without an event."""
        for listener in list(self._listeners):
            listener(what)
