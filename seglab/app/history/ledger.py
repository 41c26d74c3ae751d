"""The log as one session lives with it: what it says of its scene, one more line, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from seglab.app.history.chronicle import Chronicle
from seglab.app.history.state import SHARED, State
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.proposed import ProposedObject
from seglab.store.events import Event

ABOUT_ALL = {"undo", "redo", *SHARED}
"""Kinds of events that name no scene: undo and redo name the event that they turn."""


class Ledger:
    """Keeps the state of a scene in step with the log on disk.

    Args:
        chronicle: the project's log in this process.
        scene: as events name it; None for the project's first one.
        author: who labels; the account's name if None.

    Attributes:
        state: what the log says now.
        lock: held while something changes; the session holds it too while it prompts.
    """

    def __init__(self, chronicle: Chronicle, scene: str | None, author: str | None) -> None:
        self.lock = chronicle.lock
        self.scene = scene
        self._chronicle = chronicle
        self._author = author
        self._listeners: list[Callable[[str], None]] = []
        with self.lock:
            chronicle.follow()
            self._version = chronicle.version
            self.state: State = chronicle.history.state(scene)
            chronicle.ledgers.append(self)

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
        if self.scene is not None and kind not in ABOUT_ALL:
            data = data | {"scene": self.scene}
        with self.lock:
            event = self._chronicle.append(kind, data, self._author)
            self.state = self._up_to_date()
            if apply is not None:
                apply()
            try:
                if what in ("labels", "classes"):
                    self._chronicle.write_labels(self.scene)
            finally:
                self.tell_all(what)
        return event.id

    def hear(self, what: str) -> None:
        """Take into account what was done in another scene; listeners are told if it changes anything in this one."""
        before = self.state
        self.state = self._up_to_date()
        if what in ("round", "scenes"):
            self.tell(what)
        elif self.state != before:
            self.tell("classes")

    def of(self, scene: str | None) -> Ledger:
        """A ledger of another scene; close it."""
        return Ledger(self._chronicle, scene, self._author)

    def close(self) -> None:
        """Hear nothing more of other scenes."""
        with self.lock:
            if self in self._chronicle.ledgers:
                self._chronicle.ledgers.remove(self)

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
            return self._chronicle.history.object_at(col, row, self.scene)

    def proposal_at(self, col: float, row: float) -> ProposedObject | None:
        """The proposed object at a scene pixel coordinate."""
        with self.lock:
            return self._chronicle.history.proposal_at(col, row, self.scene)

    def in_force(self) -> list[Event]:
        """What was done in the scene, or to all of them, and is not undone, in order."""
        with self.lock:
            return self._chronicle.history.in_force(self.scene)

    def round_after(self, kind: str, event: int) -> int:
        """The round in use after an event is undone or redone."""
        return self._chronicle.history.round_after(kind, event)

    def _up_to_date(self) -> State:
        """What this and other notebooks have done, as far as it concerns the scene."""
        self._chronicle.follow()
        if self._version == self._chronicle.version:
            return self.state
        self._version = self._chronicle.version
        return self._chronicle.history.state(self.scene)

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

    def tell_all(self, what: str) -> None:
        """Tell listeners, and those of the other scenes that are open, as far as it concerns them."""
        self.tell(what)
        for other in list(self._chronicle.ledgers):
            if other is not self:
                other.hear(what)
