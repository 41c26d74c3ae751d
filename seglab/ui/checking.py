"""The check of a map: places one by one, each answered by what the imagery shows, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seglab import jobs
from seglab.app.maps.map_check import MapCheck
from seglab.ui.check_panel import CheckPanel, CheckResults, CheckSection
from seglab.ui.keys import keys_of
from seglab.ui.layering import MAPS
from seglab.ui.place_marker import PlaceMarker
from seglab.ui.toolbar import set_shown

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

VEILED = frozenset({*MAPS, "labels"})
"""Panes that would tell what the map says, or what it has learnt from."""


class Checking:
    """Handlers of the panels of a check. While places are asked about, nothing shows what the map says, and the map
    takes no clicks.

    Args:
        app: the labeler; its map must be there.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.is_on = False
        """Whether places are asked about."""
        self._number = 0
        self._known: MapCheck | None = None
        self.section = CheckSection(self)
        self.panel = CheckPanel(self)
        self.sheet = CheckResults()
        self._marker = PlaceMarker(app.view)

    # -- begin and end

    def toggle(self) -> None:
        """Begin a check, go on with it, or end it for now."""
        check = self._app.session.check
        if self.is_on:
            self.end()
        elif check is None:
            self.start()
        elif check.next is None:
            self.results()
        else:
            self.go_on()

    def start(self) -> None:
        """Draw a sample in the background, and ask."""
        app, session, size = self._app, self._app.session, self.section.size.value
        if "check" in app.work.running:
            return
        with app.messages:
            work = lambda reporter: session.start_check(size, reporter=reporter)  # noqa: E731
            app.work.follow("check", jobs.start(work, title="draw places to check", unit="Mpx"), self._started)

    def _started(self, check: Any) -> None:
        if check == self._app.session.check:  # not when another scene is shown meanwhile
            self.go_on()

    def go_on(self) -> None:
        """Ask about the first place without an answer."""
        app, check = self._app, self._app.session.check
        with app.messages:
            if check is None or check.next is None:
                return
            if app.session.mask is not None or not app.session.prompts.is_empty:
                app.messages.show("Accept or reject the mask in hand, then check the map.", "warning")
                return
            app.settling.end()
            if app.review.is_on:
                app.review.end()
            app.objects.select(())
            self._turn(True)
            if check.map.get("date") in app.session.dates and check.map["date"] != app.dating.date:
                app.dating.look(check.map["date"])
            remarks = app.session.check_remarks
            self._ask(check, check.next)
            if remarks:
                app.messages.show(" ".join(remarks), "warning")

    def end(self) -> None:
        """Show everything again; the answers are saved."""
        if not self.is_on:
            return
        self._turn(False)
        check = self._app.session.check
        if check is not None:
            left = check.size - check.answered
            words = f"{check.answered} of {check.size} places are answered; {keys_of('check')} goes on."
            self._app.messages.show(words if left else f"All {check.size} places are answered.", "done")

    def _turn(self, is_on: bool) -> None:
        """Go into the check, or out of it."""
        app = self._app
        self.is_on, self._known = is_on, app.session.check
        app.hover.clear()
        app.layering.veil(VEILED if is_on else frozenset())
        if is_on:
            app.side.add_class("seglab-checking")  # nothing else stands in the column
        else:
            app.side.remove_class("seglab-checking")
            self._marker.show(None)
        set_shown(self.panel, is_on)
        app.suggesting.refresh()

    # -- questions and answers

    def _ask(self, check: MapCheck, number: int) -> None:
        """Ask about a place."""
        app, self._number = self._app, number
        self.panel.show(check, number, app.session.classes)
        self._marker.show(check.outline(number))
        self._marker.look_at(check.outline(number))
        several = len(app.session.classes)
        keys = f"1 to {several}" if 1 < several < 10 else "1" if several == 1 else "1 to 9"
        app.messages.show(
            f"Place {number + 1} of {check.size}: what is in the outlined pixel? {keys} for a class, "
            f"{keys_of('background')} for none, {keys_of('unsure')} if you cannot tell; {keys_of('candidate')} skips."
        )

    def look(self) -> None:
        """Bring the place to the middle of the map again."""
        check = self._app.session.check
        if check is not None:
            self._marker.look_at(check.outline(self._number))

    def step(self, step: int) -> None:
        """Skip to the next place without an answer (1), or go back to the place before (-1)."""
        check = self._app.session.check
        if check is None or not self.is_on:
            return
        number = check.next_after(self._number) if step > 0 else max(0, self._number - 1)
        if number is not None and number != self._number:
            self._ask(check, number)

    def answer(self, class_name: str | None) -> None:
        """Say what is there, and go to the next place; after the last one come the figures."""
        app = self._app
        with app.messages:
            if not self.is_on:
                return
            after = app.session.answer_check(class_name, self._number)
            check = app.session.check
            if after is None or check is None:
                self.end()
                self.results()
            else:
                self._ask(check, after)

    def answer_number(self, number: int) -> None:
        """Answer with the class at a place of the list, from 1; nothing where there is none."""
        names = list(self._app.session.classes)
        if number <= len(names):
            self.answer(names[number - 1])

    def refuses(self) -> bool:
        """Whether the map takes no clicks now; says why."""
        if self.is_on:
            keys = keys_of("escape")
            self._app.messages.show(f"The map is being checked: answer by a key or in the column; {keys} ends it.")
        return self.is_on

    # -- what it shows

    def refresh(self) -> None:
        """Follow the session: answers, undo, another check, other classes."""
        app = self._app
        check, before = app.session.check, self._known
        can_start = app.session.prediction is not None and "check" not in app.work.running
        self.section.show(check, can_start)
        if not self.is_on:
            return
        self._known = check
        if check is None or before is None or check.id != before.id:
            self.end()
            return
        turned = [i for i, name in before.answers.items() if i not in check.answers or check.answers[i] != name]
        if len(turned) == 1 and check.classes == before.classes and turned[0] != self._number:  # undone
            self._ask(check, turned[0])
        else:
            self.panel.show(check, self._number, app.session.classes)

    def results(self) -> None:
        """Show the figures that the answers so far give."""
        with self._app.messages:
            self.sheet.give(self._app.session.area_estimate())
