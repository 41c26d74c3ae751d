"""Undo and redo: over the clicks of an unfinished object first, then over everything in the project's log."""

from __future__ import annotations

from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State, title
from seglab.app.prompting.proposals import Draft
from seglab.app.rounds.learner import Learner
from seglab.errors import NothingToUndoError


class Undoing:
    """The part of a LabelSession that takes actions back and brings them again."""

    _ledger: Ledger
    _learner: Learner
    _draft: Draft
    _refining: int | None
    state: State

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has something to take back."""
        return not self._draft.is_empty or self.state.undoable is not None

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has something to bring back."""
        return self.state.redoable is not None

    def undo(self) -> str:
        """Take back the last click of an unfinished object, else the last saved action; survives restarts.

        Returns:
            What was undone, in words.

        Raises:
            NothingToUndoError: there is nothing left.
        """
        with self._ledger.acting():
            if not self._draft.is_empty:
                self._draft.step_back()
                self._refining = None if self._draft.is_empty else self._refining
                self._ledger.tell("mask")
                return "the last click"
            event = self.state.undoable
            if event is None:
                raise NothingToUndoError("there is nothing to undo")
            self._step("undo", event.id)
            return title(event)

    def redo(self) -> str:
        """Bring back what `undo` took back last.

        Returns:
            What was redone, in words.

        Raises:
            NothingToUndoError: nothing was undone, or something new was done since.
        """
        with self._ledger.acting():
            event = self.state.redoable
            if event is None:
                raise NothingToUndoError("there is nothing to redo")
            self._step("redo", event.id)
            return title(event)

    def _step(self, kind: str, event: int) -> None:
        """Undo or redo an event, and follow it where it changes the model; a round that does not load stops it."""
        after = self._ledger.round_after(kind, event)
        if after == self.state.round:  # the model in use may be another, where a round could not be loaded
            self._ledger.record(kind, {"event": event}, "labels")
            return
        model = self._learner.load(after)
        self._ledger.record(kind, {"event": event}, "labels", lambda: self._learner.take(model))
        self._ledger.tell("round")
