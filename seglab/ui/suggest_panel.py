"""Where next: what is asked for in the column, and the bar below the map that goes through the suggested windows."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Protocol

import ipywidgets as widgets

from seglab.app.suggestions.queue import COUNT, SuggestionQueue
from seglab.app.suggestions.suggesting import NEED_A_FILE
from seglab.ui.keys import keys_of, tip
from seglab.ui.panels import faint, number_field, row, section
from seglab.ui.toolbar import button, set_shown

MOST = 50
"""Windows that are suggested at a time."""
CHOSEN_BY_SEGLAB = ("Chosen by seglab", None)
"""The choice of no strategy: what it is called, and its value."""

USUAL = "where the class map is least certain; before any class has an object, windows that look different"
"""What that one looks for."""


class SuggestHandlers(Protocol):
    """What section and bar set off."""

    def suggest(self) -> None:
        """Ask for windows."""

    def step(self, step: int) -> None:
        """The next (1) or the previous (-1) one that waits."""

    def done(self) -> None:
        """All is labelled in the one that is looked at."""

    def skip(self) -> None:
        """Never suggest it again."""

    def objects(self) -> None:
        """Review what the model proposes in it."""

    def look(self) -> None:
        """Bring it to the middle of the map again."""

    def end(self) -> None:
        """Show no suggestions any more."""


class SuggestSection(widgets.VBox):
    """Asks for suggestions.

    Args:
        handlers: what the button calls.
        strategies: what each looks for, by its name.
    """

    def __init__(self, handlers: SuggestHandlers, strategies: Mapping[str, str]) -> None:
        self._words = dict(strategies)
        self.suggest = button(
            "Suggest", "lightbulb-o", tip("Find windows where a label helps most", "suggest"), handlers.suggest
        )
        self.suggest.add_class("seglab-wide")
        self.more = widgets.ToggleButton(description="More", tooltip="How windows are chosen, and how many")
        offered = [(name.replace("_", ", "), name) for name in strategies if name not in NEED_A_FILE]
        self.strategy = widgets.Dropdown(
            options=[CHOSEN_BY_SEGLAB, *offered], tooltip="The strategy: by what windows are chosen"
        )
        self.count = number_field(COUNT, 1, MOST, "Windows, at most")
        self.meaning, self.note = widgets.HTML(), widgets.HTML()
        self._more = widgets.VBox(
            [row(self.strategy), self.meaning, row(self.count, widgets.HTML(faint("windows at a time")))]
        )
        self._more.add_class("seglab-more")
        self.strategy.observe(lambda _: self._explain(), names=["value"])
        self.more.observe(lambda change: set_shown(self._more, change["new"]), names=["value"])
        self._explain()
        super().__init__([section("Where next", row(self.suggest, self.more), self._more, self.note)])
        self.add_class("seglab-suggest-section")
        set_shown(self._more, False)

    def _explain(self) -> None:
        words = USUAL if self.strategy.value is None else self._words[self.strategy.value]
        self.meaning.value = faint(f"{words[:1].upper()}{words[1:]}.")

    def show(self, queue: SuggestionQueue, is_looking: bool) -> None:
        """Show how far it is.

        Args:
            queue: of the session.
            is_looking: whether suggestions are being looked for.
        """
        self.suggest.disabled = is_looking
        left = len(queue.waiting)
        self.note.value = faint(f"{queue.total - left} of {queue.total} done or skipped." if queue.total else "")


class SuggestBar(widgets.HBox):
    """One suggested window at a time, with its reason and what can be said of it.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: SuggestHandlers) -> None:
        do = handlers
        self.back = button("", "chevron-left", tip("The suggestion before", "suggestion:previous"), lambda: do.step(-1))
        self.forward = button("", "chevron-right", tip("The next suggestion", "suggestion:next"), lambda: do.step(1))
        self.progress, self.words = widgets.HTML(), widgets.HTML()
        self.progress.add_class("seglab-progress")
        self.words.add_class("seglab-dispute")
        self.centre = button("", "crosshairs", "Show the window in the middle of the map", do.look)
        self.objects = button(
            "Objects", "search", tip("Review what the model finds in the window", "suggestion:objects"), do.objects
        )
        self.skip = button("Skip", "", tip("Never suggest this window again", "suggestion:skip"), do.skip)
        self.done = button(
            "Done",
            "check",
            tip("All is labelled in it: what is not is background", "suggestion:done"),
            do.done,
            "success",
        )
        self.close_button = button("", "times", "End; what is done or skipped stays so", do.end)
        self.answers = (self.centre, self.objects, self.skip, self.done)
        super().__init__([self.back, self.progress, self.forward, self.words, *self.answers, self.close_button])
        self.add_class("seglab-settle")
        self.add_class("seglab-suggest-bar")
        set_shown(self, False)

    def show(self, queue: SuggestionQueue, is_looking: bool, is_finding: bool) -> None:
        """Show a queue.

        Args:
            queue: of the session.
            is_looking: whether suggestions are being looked for.
            is_finding: whether objects are being looked for in the window.
        """
        current = queue.current
        self.progress.value = f"<b>{queue.place}</b> of {queue.total}" if current is not None else ""
        self.back.disabled = self.forward.disabled = len(queue.waiting) < 2
        for part in self.answers:
            part.disabled = current is None
        self.objects.disabled = current is None or is_finding
        if current is not None:
            words = current.reason[:1].upper() + current.reason[1:] + "."
        elif is_looking:
            words = "Looking for more …"
        else:
            words = f"{_all(queue.total)} done or skipped; {keys_of('suggest')} looks for more."
        self.words.value = f'<span role="status">{html.escape(words)}</span>'


def _all(count: int) -> str:
    return "The window is" if count == 1 else f"All {count} windows are"
