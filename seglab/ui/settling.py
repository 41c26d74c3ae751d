"""Disputes of two annotators on the map, one by one, until each has an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seglab.app.annotators.disputes import FIRST, SECOND, UNSURE, Comparison, Dispute
from seglab.app.labels.review import ReviewQueue
from seglab.ui.keys import keys_of
from seglab.ui.settle_bar import SettleBar
from seglab.ui.toolbar import set_shown

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

ORDER = "Nearest"
"""Of `review.ORDERS`: neighbours after each other."""


class Settling:
    """Handlers of the bar in which disputes are settled.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self._compared: Comparison | None = None
        self._queue: ReviewQueue[Dispute] = ReviewQueue(ORDER)
        self._looked_at: int | None = None
        self.bar = SettleBar(self)

    @property
    def is_on(self) -> bool:
        """Whether disputes are settled."""
        return self._compared is not None

    @property
    def answers(self) -> bool:
        """Whether the keys answer: one is looked at, and no mask is being drawn."""
        session = self._app.session
        return self.is_on and self._queue.current is not None and session.mask is None and session.prompts.is_empty

    @property
    def dispute(self) -> Dispute | None:
        """The one that is looked at."""
        return self._queue.object if self.is_on else None

    def begin(self, compared: Comparison) -> None:
        """Go through the disputes of a comparison."""
        app = self._app
        app.checking.end()
        if app.review.is_on:
            app.review.end()
        app.second_look.end()
        self._compared, self._looked_at = compared, None
        self._queue = ReviewQueue(ORDER)
        self._queue.follow(compared.open_disputes(app.session.state))
        keys = f"{keys_of('class:1')}: {compared.first.name}, {keys_of('class:2')}: {compared.second.name}"
        app.messages.show(f"Who is right? {keys}, {keys_of('unsure')}: unsure, {keys_of('candidate')}: the next one.")
        set_shown(self.bar, True)
        self.refresh()
        app.suggesting.refresh()
        app.keyboard.focus_map()

    def end(self) -> None:
        """No more of it; what is settled stays settled."""
        if not self.is_on:
            return
        self._compared = None
        set_shown(self.bar, False)
        self.refresh()
        self._app.suggesting.refresh()
        self._app.keyboard.focus_map()

    def refresh(self) -> None:
        """Follow answers, undo and other notebooks; the map follows when another dispute is looked at."""
        app, queue = self._app, self._queue
        if self._compared is None:
            app.view.show_disputed(None, None)
            return
        queue.follow(self._compared.open_disputes(app.session.state))
        dispute = queue.object
        self.bar.show(dispute, queue.place, queue.total, len(queue.waiting))
        sides = (None, None) if dispute is None else (dispute.first, dispute.second)
        app.view.show_disputed(*(None if one is None else one.geometry for one in sides))
        if dispute is not None and self._looked_at != dispute.id:
            app.view.look_at(dispute.geometry)
        self._looked_at = queue.current

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) one that is open."""
        self._queue.step(step)
        self.refresh()

    def answer(self, answer: str) -> None:
        """Settle the one that is looked at."""
        app, dispute = self._app, self.dispute
        with app.messages:
            if self._compared is None or dispute is None:
                return
            app.session.settle(self._compared, dispute, answer)
            left = len(self._queue.waiting)
            then = f"{left} left." if left else "That was the last one."
            right = {FIRST: self._compared.first.name, SECOND: self._compared.second.name}
            said = "Marked as unsure" if answer == UNSURE else f"Settled: {right[answer]} is right"
            app.messages.show(f"{said}; undo takes it back. {then}", "done")
