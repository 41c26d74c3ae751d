"""What stands below the list while labels that rounds contradict are looked at again."""

from __future__ import annotations

import html
from typing import Protocol

import ipywidgets as widgets

from seglab.app.labels.doubts import Doubt
from seglab.app.maps.map_check import BACKGROUND_NAME
from seglab.ui.keys import tip
from seglab.ui.panels import faint, row
from seglab.ui.toolbar import button, set_shown


class SecondLookHandlers(Protocol):
    """What the panel sets off."""

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) one."""

    def keep(self) -> None:
        """The label is right."""

    def agree(self) -> None:
        """The rounds are right."""

    def ask(self) -> None:
        """Let the rounds look again."""


class SecondLookPanel(widgets.VBox):
    """One label in doubt at a time: what rounds say instead, and the answers.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: SecondLookHandlers) -> None:
        do = handlers
        self.back = button("", "chevron-left", tip("Back to the one before", "review:back"), lambda: do.step(-1))
        self.skip = button("", "chevron-right", tip("Skip: go to the next one", "candidate"), lambda: do.step(1))
        self.ask = button("Look again", "refresh", "Let the latest rounds look at all labels again", do.ask)
        self.progress, self.words = widgets.HTML(), widgets.HTML()
        self.progress.add_class("seglab-progress")
        self.words.add_class("seglab-doubt")
        self.keep = button("Keep", "check", tip("The label is right: never ask again", "accept"), do.keep, "success")
        self.agree = button("", "", "The rounds are right", do.agree)
        for part in (self.keep, self.agree):
            part.add_class("seglab-wide")
        self.answers = row(self.keep, self.agree)
        super().__init__([row(self.back, self.progress, self.skip, self.ask), self.words, self.answers])
        self.add_class("seglab-object-actions")
        self.add_class("seglab-review")
        set_shown(self, False)

    def show(self, doubt: Doubt | None, place: int, total: int, waiting: int, is_looking: bool) -> None:
        """Show where the second look is.

        Args:
            doubt: the one that is looked at; None: none is left.
            place: of it, from 1.
            total: labels in doubt, those that are answered included.
            waiting: those without an answer.
            is_looking: whether rounds are looking now.
        """
        self.back.disabled = self.skip.disabled = waiting < 2
        self.ask.disabled = is_looking
        set_shown(self.answers, doubt is not None)
        if doubt is None:
            self.progress.value = faint(f"all {total} done" if total else "")
            self.words.value = faint("The rounds are looking …" if is_looking else "")
            return
        self.progress.value = f"<b>{place}</b> of {total}"
        self.words.value = f'<span role="status">{html.escape(doubt.words)}.</span>'
        is_nothing = doubt.instead == BACKGROUND_NAME
        self.agree.description = "Delete it" if is_nothing else f"Make it {doubt.instead!r}"
        self.agree.tooltip = tip("There is no such object", "delete") if is_nothing else "The rounds are right"
