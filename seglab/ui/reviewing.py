"""The review: proposed objects one by one, each confirmed, dismissed, corrected or skipped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.labels.proposed import ProposedObject
from seglab.app.labels.review import ReviewQueue
from seglab.ui.keys import keys_of
from seglab.ui.objects_panel import ALL_CLASSES, PROPOSED

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

NOTHING = "Nothing is proposed. Find objects, map the scene and press 'From map', or import labels as proposals."


class Review:
    """Handlers of the review panel. A review is on while the list of objects shows the proposed ones.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self._classes: dict[int, str] = {}
        """The class that a person gave to one that is not confirmed yet, by its id."""
        self._looked_at: int | None = None
        self.within: BaseGeometry | None = None
        """Scene pixels that the review keeps to; None: everywhere."""
        self.queue = ReviewQueue()

    @property
    def is_on(self) -> bool:
        """Whether proposed objects are reviewed."""
        return self._app.objects.is_review

    @property
    def answers(self) -> bool:
        """Whether the keys answer: one is looked at, and no mask is being drawn."""
        session = self._app.session
        return self.is_on and self.queue.current is not None and session.mask is None and session.prompts.is_empty

    # -- begin and end

    def toggle(self) -> None:
        """Begin the review, or end it."""
        if self.is_on:
            self.end()
        else:
            self.begin()

    def begin(self, within: BaseGeometry | None = None) -> None:
        """Begin the review.

        Args:
            within: keep to what lies mostly in this area, scene pixels; None: everything that is proposed.
        """
        self.within = within
        self._app.tabs.choose("Objects")
        if self.is_on:
            self.filtered()
        else:
            self._app.objects.by_state.value = PROPOSED

    def end(self) -> None:
        """Show the accepted objects again."""
        self._app.objects.by_state.value = "All"

    def filtered(self) -> None:
        """The list shows something else: a review may have begun or ended."""
        app = self._app
        with app.messages:
            if self.is_on:
                app.settling.end()
                self._follow()
                self.queue.begin()
                proposed = self.queue.object
                keys = f"{keys_of('accept')} confirms, {keys_of('reject')} dismisses, {keys_of('candidate')} skips."
                where = "Proposed" if self.within is None else "In this window"
                app.messages.show(NOTHING if proposed is None else f"{where}: {keys}")
            else:
                self.within = None
            self._looked_at = None
            app.refresh_objects()

    # -- what it shows

    def _follow(self) -> None:
        wanted, session = self._app.objects.by_class.value, self._app.session
        proposed = session.proposals if self.within is None else session.proposals_within(self.within, crs="pixel")
        self.queue.follow(proposed, None if wanted == ALL_CLASSES else wanted)

    def shown(self) -> list[ProposedObject]:
        """What the list shows: those without an answer, in order."""
        if not self.is_on:
            return []
        self._follow()
        return self.queue.waiting

    def refresh(self) -> None:
        """Show the review on the map and below the list; the map follows when another one is looked at."""
        app = self._app
        classes = app.session.classes
        drawn = self.queue.waiting if self.is_on else []
        self._classes = {i: name for i, name in self._classes.items() if name in classes}
        changed = [replace(p, class_name=self._classes[p.id]) if p.id in self._classes else p for p in drawn]
        app.view.show_proposed([p for p in changed if p.class_name not in app.classes.hidden], classes)
        if not self.is_on:
            return
        app.review_panel.show(self.queue, self._class_of(), list(classes), app.session.prediction is not None)
        if self._looked_at != self.queue.current:
            self._look()

    def _class_of(self) -> str | None:
        proposed = self.queue.object
        return None if proposed is None else self._classes.get(proposed.id, proposed.class_name)

    def _look(self) -> None:
        """Select the one that is looked at, and show it on the map."""
        proposed = self.queue.object
        self._looked_at = self.queue.current
        self._app.objects.select(() if proposed is None else (proposed.id,))
        if proposed is not None:
            self._app.objects.show_row(proposed.id)
            self._app.view.look_at(proposed.geometry)

    def go(self, number: int) -> None:
        """Look at one that was picked; the map follows unless it is one of several."""
        if number == self.queue.current:
            return
        self.queue.go(number)
        if len(self._app.objects.selected) > 1:
            self._looked_at = self.queue.current
        self.refresh()

    # -- answers

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) one that waits."""
        self.queue.step(step)
        self.refresh()

    def change_class(self, name: str) -> None:
        """Confirm the ones that are selected as another class."""
        for number in self._chosen():
            self._classes[number] = name
        self.refresh()

    def choose_number(self, number: int) -> None:
        """The same with the class at a place of the list, from 1."""
        names = list(self._app.session.classes)
        if number <= len(names):
            self.change_class(names[number - 1])

    def confirm(self) -> None:
        """Make objects of the ones that are selected, mostly one."""
        app = self._app
        with app.messages:
            by_class: dict[str | None, list[int]] = {}
            for number in self._chosen():
                by_class.setdefault(self._classes.get(number), []).append(number)
            for name, numbers in by_class.items():
                app.session.confirm(*numbers, class_name=name)
                self._say("Confirmed", len(numbers))

    def dismiss(self) -> None:
        """Say no to the ones that are selected."""
        app = self._app
        with app.messages:
            chosen = self._chosen()
            if chosen:
                app.session.dismiss(*chosen)
                self._say("Dismissed", len(chosen))

    def refine(self) -> None:
        """Take up the one that is looked at: its outline is the current mask, and accepting it confirms it."""
        app = self._app
        with app.messages:
            proposed, name = self.queue.object, self._class_of()
            if proposed is None or name is None:
                return
            app.session.refine(proposed.id)
            app.classes.choose(name)
            app.messages.show("Correct its outline, then accept; reject leaves it as it was.")

    def show_likely(self) -> None:
        """Say how many have at least the score that is chosen."""
        panel = self._app.review_panel
        panel.show_likely(len(self.queue.likely(panel.score.value)))

    def confirm_likely(self) -> None:
        """Confirm all of at least the score that is chosen, as they were proposed."""
        app = self._app
        with app.messages:
            likely = self.queue.likely(app.review_panel.score.value)
            if likely:
                app.session.confirm(*likely)
                self._say("Confirmed", len(likely))

    def reorder(self, order: str) -> None:
        """Go through them in another order; the one looked at stays."""
        self.queue.order = order
        self._app.refresh_objects()

    def _chosen(self) -> list[int]:
        waiting = {p.id for p in self.queue.waiting}
        return [o.id for o in self._app.objects.selected_objects() if o.id in waiting]

    def _say(self, done: str, count: int) -> None:
        left = len(self.queue.waiting)
        what = "" if count == 1 else f" {count} objects"
        last = f" {keys_of('suggestion:done')} marks the window as done." if self.within is not None else ""
        then = f"{left} left." if left else f"That was the last one.{last}"
        self._app.messages.show(f"{done}{what}; undo takes it back. {then}", "done")

    # -- where they come from

    def propose(self) -> None:
        """Propose the regions of the class map, in the background."""
        app = self._app
        with app.messages:
            self.within = None
            session, least = app.session, app.review_panel.least_area.value
            work = lambda reporter: session.propose_from_map(least, reporter=reporter)  # noqa: E731
            app.work.follow("propose", jobs.start(work, title="propose objects", unit="Mpx"), self._proposed)

    def _proposed(self, found: Any) -> None:
        self._app.messages.show(f"Proposed {len(found)} objects from the class map.", "done")
