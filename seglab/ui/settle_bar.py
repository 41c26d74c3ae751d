"""The bar below the map while disputes are settled: what is the matter, and who is right."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Protocol

import ipywidgets as widgets

from seglab.app.annotators.disputes import Dispute
from seglab.ui.keys import tip
from seglab.ui.toolbar import button, set_shown

MOST = 18
"""Characters of an annotator's name that a button shows."""


class SettlingHandlers(Protocol):
    """What the bar sets off."""

    def step(self, step: int) -> None:
        """The next (1) or the previous (-1) dispute."""

    def answer(self, answer: str) -> None:
        """Who is right: one of `disputes.ANSWERS`."""

    def end(self) -> None:
        """No more of it."""


class SettleBar(widgets.HBox):
    """One dispute at a time, with its answers.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: SettlingHandlers) -> None:
        say: Callable[[str], Callable[[], None]] = lambda answer: lambda: handlers.answer(answer)  # noqa: E731
        self.back = button("", "chevron-left", tip("Back to the one before", "review:back"), lambda: handlers.step(-1))
        self.skip = button("", "chevron-right", tip("Skip: go to the next one", "candidate"), lambda: handlers.step(1))
        self.progress, self.words = widgets.HTML(), widgets.HTML()
        self.words.add_class("seglab-dispute")
        self.first = button("", "", tip("As the whole line has it", "class:1"), say("first"))
        self.second = button("", "", tip("As the broken line has it", "class:2"), say("second"))
        self.first.add_class("seglab-whole")
        self.second.add_class("seglab-broken")
        self.unsure = button("Unsure", "flag", tip("Nobody knows: mark it as unsure", "unsure"), say("unsure"))
        self.close_button = button("", "times", tip("End; what is settled stays settled", "escape"), handlers.end)
        answers = (self.first, self.second, self.unsure)
        super().__init__([self.back, self.progress, self.skip, self.words, *answers, self.close_button])
        self.add_class("seglab-settle")
        set_shown(self, False)

    def show(self, dispute: Dispute | None, place: int, total: int, waiting: int) -> None:
        """Show a dispute.

        Args:
            dispute: what is looked at; None: all are settled.
            place: of it, from 1.
            total: disputes in all.
            waiting: those without an answer.
        """
        self.progress.value = f"<b>{place}</b> of {total}" if dispute is not None else ""
        self.back.disabled = self.skip.disabled = waiting < 2
        for part in (self.first, self.second, self.unsure):
            part.disabled = dispute is None
        if dispute is None:
            self.words.value = f'<span role="status">All {total} are settled.</span>' if total else ""
            return
        self.words.value = f'<span role="status">{html.escape(dispute.words)}</span>'
        self.first.description, self.second.description = choices(dispute)


def choices(dispute: Dispute) -> tuple[str, str]:
    """What the two answers do, in words."""
    if dispute.first is None:
        return "Leave it out", "Add it"
    if dispute.second is None:
        return "Keep it", "Remove it"
    first, second = (_short(one.author) for one in (dispute.first, dispute.second))
    if first == second:
        first, second = "The first", "The second"
    return f"{first} is right", f"{second} is right"


def _short(name: str) -> str:
    return name if len(name) <= MOST else f"{name[: MOST - 1]}…"
