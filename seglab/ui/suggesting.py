"""Suggested windows one by one: gone to, labelled, marked as done, or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seglab.app.suggestions.suggesting import Suggestion
from seglab.ui.keys import keys_of
from seglab.ui.suggest_panel import SuggestBar, SuggestSection
from seglab.ui.toolbar import set_shown

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

AROUND = 0.05
"""How much of the ground around a window is shown with it, in sizes of the window on each side."""
BUSY = "{what} are being looked for already; wait for them, or cancel that."
NOTHING = "There is nothing to suggest: every window{where} is labelled, reviewed or skipped."


class Suggesting:
    """Handlers of the section and the bar of suggestions; the session's queue is what they show.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self._looked_at: Suggestion | None = None
        self._round_waits = False
        """Whether another round came into use while suggestions were looked for."""
        self.section = SuggestSection(self, app.session.strategies)
        self.bar = SuggestBar(self)

    # -- where they come from

    def suggest(self) -> None:
        """Look for windows that are worth labelling."""
        app, wish = self._app, self.section
        with app.messages:
            if "suggest" in app.work.running:
                app.messages.show(BUSY.format(what="Suggestions"), "warning")
            else:
                job = app.session.queue.fill(wish.count.value, wish.strategy.value)
                app.work.follow("suggest", job, self._suggested)

    def suggest_or_step(self) -> None:
        """Go to the next suggestion; ask for new ones after the last, or where there are none yet."""
        queue = self._app.session.queue
        waiting = queue.waiting
        if waiting and queue.current != waiting[-1]:
            self.step(1)
        else:
            self.suggest()

    def _suggested(self, found: Any) -> None:
        app = self._app
        if not found:
            where = "" if app.session.area_of_interest is None else " in the area of interest"
            app.messages.show(NOTHING.format(where=where))
            return
        done, skip = keys_of("suggestion:done"), keys_of("suggestion:skip")
        app.messages.show(
            f"Label what is in the marked window. {done}: it is done, {skip}: skip it, "
            f"{keys_of('suggestion:objects')}: review what the model finds in it."
        )

    def follow_round(self) -> None:
        """Another round may be in use: what is left is ranked anew by it, after a search that runs."""
        app = self._app
        self._round_waits = "suggest" in app.work.running
        if app.session.queue.outdated and not self._round_waits:
            app.work.follow("suggest", app.session.queue.refresh(), lambda found: None)

    # -- going through them

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) one that waits."""
        queue = self._app.session.queue
        with self._app.messages:
            if queue.current is None:
                self._say_none()
            else:
                queue.next() if step > 0 else queue.previous()

    def done(self) -> None:
        """All is labelled in the one that is looked at."""
        self._answer("done")

    def skip(self) -> None:
        """Never suggest it again."""
        self._answer("skip")

    def _answer(self, how: str) -> None:
        app, queue = self._app, self._app.session.queue
        with app.messages:
            if queue.current is None:
                self._say_none()
                return
            if self._holds_mask:
                app.messages.show("Accept or reject the mask in hand first.", "warning")
                return
            queue.done() if how == "done" else queue.skip()
            said = "Done: what is not labelled there is background" if how == "done" else "Skipped for good"
            left = len(queue.waiting)
            then = f"{left} left." if left else "That was the last one."
            app.messages.show(f"{said}; undo takes it back. {then}", "done")

    def end(self) -> None:
        """Show no suggestions any more."""
        with self._app.messages:
            self._app.session.queue.clear()
            self._app.keyboard.focus_map()

    @property
    def _holds_mask(self) -> bool:
        """Whether a mask, or what asks for one, waits for an answer."""
        return self._app.session.mask is not None or not self._app.session.prompts.is_empty

    def _say_none(self) -> None:
        self._app.messages.show(f"No window is suggested now; {keys_of('suggest')} looks for some.")

    # -- the objects in one

    def objects(self) -> None:
        """Review what is proposed in the window that is looked at; where nothing is, the model looks for objects."""
        app = self._app
        with app.messages:
            current, session = app.session.queue.current, app.session
            if current is None:
                self._say_none()
            elif session.proposals_within(current.geometry, crs="pixel"):
                app.review.begin(current.geometry)
            elif "find" in app.work.running:
                app.messages.show(BUSY.format(what="Objects"), "warning")
            else:
                job = session.find_objects(within=current.geometry, crs="pixel")
                app.work.follow("find", job, lambda found: self._found(current, len(found)))

    def _found(self, window: Suggestion, count: int) -> None:
        """Review what was found, unless a person has gone on meanwhile."""
        app = self._app
        what = f"Found {count} object{'' if count == 1 else 's'} in the window"
        if app.session.queue.current != window:
            app.messages.show(f"{what} that you have left; {keys_of('review')} reviews what is proposed.", "done")
        elif self._holds_mask or app.checking.is_on:
            app.messages.show(f"{what}; {keys_of('suggestion:objects')} reviews.", "done")
        else:
            app.review.begin(window.geometry)

    # -- what it shows

    def look(self) -> None:
        """Bring the window that is looked at to the middle of the map again."""
        current = self._app.session.queue.current
        if current is not None:
            self._app.view.fly_to(current.geometry, AROUND)

    def refresh(self) -> None:
        """Follow answers, undo, rounds and other notebooks; the map follows when another window is looked at."""
        app, queue = self._app, self._app.session.queue
        current, waiting, running = queue.current, queue.waiting, app.work.running
        place = waiting.index(current) if current in waiting else None
        app.view.show_suggestions([one.geometry for one in waiting], place)
        self.section.show(queue, "suggest" in running)
        self.bar.show(queue, "suggest" in running, "find" in running)
        set_shown(self.bar, queue.total > 0 and not app.settling.is_on and not app.checking.is_on)
        if current != self._looked_at:
            self._looked_at = current
            if app.review.within is not None:
                app.review.end()
            if current is not None:
                app.view.fly_to(current.geometry, AROUND)
        if self._round_waits and "suggest" not in running:
            self.follow_round()
