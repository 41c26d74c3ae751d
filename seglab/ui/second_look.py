"""The second look: labels that rounds contradict one by one, each kept, changed, deleted or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seglab import jobs
from seglab.app.labels.doubts import Doubt
from seglab.app.labels.labelled import LabelledObject
from seglab.app.labels.review import ReviewQueue
from seglab.app.maps.map_check import BACKGROUND_NAME
from seglab.ui.keys import keys_of
from seglab.ui.objects_panel import ALL_CLASSES, SECOND_LOOK
from seglab.ui.second_look_panel import SecondLookPanel

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

NOTHING = "No label is contradicted by two rounds or more."
WORK = "second look"
"""The kind of its job: see LongWork.running."""


class SecondLook:
    """Handlers of the second look's panel. It is on while the list of objects shows the labels that are in doubt.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self._looked_at: int | None = None
        self._queue: ReviewQueue[Doubt] = ReviewQueue()
        self.panel = SecondLookPanel(self)

    @property
    def is_on(self) -> bool:
        """Whether the labels in doubt are shown."""
        return self._app.objects.is_second_look

    @property
    def answers(self) -> bool:
        """Whether the keys answer: one is looked at, and no mask is being drawn."""
        session = self._app.session
        return self.is_on and self._queue.current is not None and session.mask is None and session.prompts.is_empty

    # -- begin and end

    def toggle(self) -> None:
        """Begin the second look, or end it."""
        if self.is_on:
            self.end()
            return
        self._app.tabs.choose("Objects")
        self._app.objects.by_state.value = SECOND_LOOK

    def end(self) -> None:
        """Show all accepted objects again."""
        if self.is_on:
            self._app.objects.by_state.value = "All"

    def filtered(self) -> None:
        """The list shows something else: a second look may have begun or ended."""
        app = self._app
        self._looked_at = None
        with app.messages:
            if not self.is_on:
                return
            app.settling.end()
            self._follow()
            self._queue.begin()
            if self._queue.current is None:
                self.ask()
            else:
                self._say_keys()
            app.refresh_objects()

    def ask(self) -> None:
        """Let the rounds look at all objects again, in the background."""
        app, session = self._app, self._app.session
        with app.messages:
            if WORK not in app.work.running:
                job = jobs.start(
                    lambda reporter: session.second_look(reporter=reporter), title="second look", unit="window"
                )
                app.work.follow(WORK, job, lambda found: self._found(found) if session is app.session else None)

    def _found(self, found: list[Doubt]) -> None:
        app = self._app
        if not found:
            app.messages.show(NOTHING, "done")
        elif self.is_on:
            self._say_keys()
        else:
            many = "1 label is" if len(found) == 1 else f"{len(found)} labels are"
            app.messages.show(f"{many} in doubt; {keys_of('second_look')} goes through them.", "done")

    def _say_keys(self) -> None:
        keep, skip, delete = keys_of("accept"), keys_of("candidate"), keys_of("delete")
        self._app.messages.show(f"In doubt: {keep} keeps it, 1 to 9 changes the class, {delete} deletes, {skip} skips.")

    # -- what it shows

    def _follow(self) -> None:
        wanted = self._app.objects.by_class.value
        self._queue.follow(self._app.session.doubts, None if wanted == ALL_CLASSES else wanted)

    def shown(self) -> list[LabelledObject]:
        """What the list shows: the objects in doubt, the most doubtful first."""
        if not self.is_on:
            return []
        self._follow()
        return [one.object for one in self._queue.waiting]

    def refresh(self) -> None:
        """Follow answers and undo; the map follows when another one is looked at."""
        if self.is_on:
            self._show()
            if self._looked_at != self._queue.current:
                self._look()

    def _show(self) -> None:
        queue = self._queue
        self.panel.show(queue.object, queue.place, queue.total, len(queue.waiting), WORK in self._app.work.running)

    def _look(self) -> None:
        """Select the one that is looked at, and show it on the map."""
        one = self._queue.object
        self._looked_at = self._queue.current
        self._app.objects.select(() if one is None else (one.id,))
        if one is not None:
            self._app.objects.show_row(one.id)
            self._app.view.look_at(one.geometry)

    def go(self, number: int) -> None:
        """Look at one that was picked in the list."""
        if number != self._queue.current:
            self._queue.go(number)
            self._looked_at = self._queue.current
            self._show()

    # -- answers

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) one."""
        self._queue.step(step)
        self.refresh()

    def keep(self) -> None:
        """The labels of those that are selected are right."""
        app = self._app
        with app.messages:
            chosen = self._chosen()
            if chosen:
                app.session.keep(*chosen)
                self._say("Kept", len(chosen))

    def agree(self) -> None:
        """The rounds are right about the one that is looked at: it gets their class, or is deleted."""
        one = self._queue.object
        if one is None:
            return
        if one.instead == BACKGROUND_NAME:
            self._app.object_editing.delete()
        else:
            self.change_class(one.instead)

    def change_class(self, name: str) -> None:
        """Give those that are selected another class."""
        app = self._app
        with app.messages:
            chosen = self._chosen()
            if chosen:
                app.session.edit(*chosen, class_name=name)
                self._say(f"Class {name!r}", len(chosen))

    def choose_number(self, number: int) -> None:
        """The same with the class at a place of the list, from 1."""
        names = list(self._app.session.classes)
        if number <= len(names):
            self.change_class(names[number - 1])

    def _chosen(self) -> list[int]:
        waiting = {one.id for one in self._queue.waiting}
        return [o.id for o in self._app.objects.selected_objects() if o.id in waiting]

    def _say(self, done: str, count: int) -> None:
        left = len(self._queue.waiting)
        what = "" if count == 1 else f" for {count} objects"
        then = f"{left} left." if left else "That was the last one."
        self._app.messages.show(f"{done}{what}; undo takes it back. {then}", "done")
