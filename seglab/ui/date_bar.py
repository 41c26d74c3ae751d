"""The dates of the source below the map: which one is seen, and on which one clicks are answered."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Protocol

import ipywidgets as widgets

from seglab.ui.keys import keys_of, tip
from seglab.ui.panels import faint
from seglab.ui.toolbar import button, set_shown

SAME = "Clicks are answered on this date."


class DateHandlers(Protocol):
    """What the bar sets off."""

    def look(self, date: str) -> None:
        """Another date is to be seen."""

    def step(self, by: int) -> None:
        """The date after (1) or before (-1) the one that is seen."""

    def use(self) -> None:
        """Clicks are to be answered on the date that is seen."""


class DateBar(widgets.HBox):
    """A slider over the dates; not shown for a source that has one date or none.

    Args:
        dates: ISO 8601, the oldest first.
        handlers: told what a person does.
    """

    def __init__(self, dates: Sequence[str], handlers: DateHandlers) -> None:
        self._handlers = handlers
        self._following = False
        keys = f"{keys_of('date:previous')} {keys_of('date:next')}"
        self.slider = widgets.SelectionSlider(
            options=list(dates) or [""],
            description="Date",
            continuous_update=False,  # each date on the way would be drawn
            tooltip=f"Date of the imagery that is seen ({keys})",
        )
        self.slider.observe(lambda change: self._chosen(change["new"]), names=["value"])
        self.back = button("", "step-backward", tip("Earlier date", "date:previous"), lambda: handlers.step(-1))
        self.forward = button("", "step-forward", tip("Later date", "date:next"), lambda: handlers.step(1))
        self.words = widgets.HTML()
        self.use = button(
            "Use this date", "crosshairs", tip("Answer clicks on the date that is seen", "date:use"), handlers.use
        )
        super().__init__([self.back, self.slider, self.forward, self.words, self.use])
        self.add_class("seglab-dates")
        set_shown(self, len(dates) > 1)

    def show(self, seen: str, used: str) -> None:
        """Show which date is seen, and on which one clicks are answered."""
        self._following = True
        self.slider.value = seen
        self._following = False
        dates = self.slider.options
        self.back.disabled, self.forward.disabled = seen == dates[0], seen == dates[-1]
        set_shown(self.use, seen != used)
        if seen == used:
            self.words.value = faint(SAME)
        else:
            words = f"Viewing {html.escape(seen)}; clicks are answered on {html.escape(used)}."
            self.words.value = f'<span role="status">⚠ {words}</span>'

    def _chosen(self, date: str) -> None:
        if not self._following:
            self._handlers.look(date)
