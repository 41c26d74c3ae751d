"""What stands below the list while proposed objects are reviewed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import ipywidgets as widgets

from seglab.app.labels.proposed import ProposedObject
from seglab.app.labels.review import ORDERS, ReviewQueue
from seglab.ui.keys import tip
from seglab.ui.panels import faint, row
from seglab.ui.toolbar import button, set_shown

LEAST_AREA = 20
"""Scene pixels that a region of the class map has at least, to begin with."""


class ReviewHandlers(Protocol):
    """What the panel sets off."""

    def step(self, step: int) -> None:
        """Go to the next (1) or the previous (-1) one."""

    def confirm(self) -> None:
        """Make an object of it."""

    def dismiss(self) -> None:
        """Say no to it."""

    def refine(self) -> None:
        """Correct its outline first."""

    def change_class(self, name: str) -> None:
        """Confirm it as another class."""

    def confirm_likely(self) -> None:
        """Confirm all from a score on."""

    def show_likely(self) -> None:
        """Another score was chosen."""

    def reorder(self, order: str) -> None:
        """Go through them in another order."""

    def propose(self) -> None:
        """Propose the regions of the class map."""


class ReviewPanel(widgets.VBox):
    """Progress, answers, and where more proposals come from.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: ReviewHandlers) -> None:
        self._following = False  # the widgets follow the review; nobody has touched them
        self._do = do = handlers
        self.back = button("", "chevron-left", tip("Back to the one before", "review:back"), lambda: do.step(-1))
        self.skip = button("", "chevron-right", tip("Skip: go to the next one", "candidate"), lambda: do.step(1))
        self.progress = widgets.HTML()
        self.progress.add_class("seglab-progress")
        self.order = widgets.Dropdown(options=list(ORDERS), tooltip="In which order they come")
        self.class_of = widgets.Dropdown(options=[], tooltip="The class that it is confirmed as (1 to 9)")
        self.refine = button("Refine", "", tip("Correct its outline, then accept", "refine"), do.refine)
        self.confirm = button("Confirm", "check", tip("Make it an accepted object", "accept"), do.confirm, "success")
        self.dismiss = button("Dismiss", "times", tip("It is none: never propose it again", "reject"), do.dismiss)
        self.score = widgets.BoundedFloatText(
            value=0.9, min=0, max=1, step=0.05, tooltip="Confirm all of at least this score"
        )
        self.score.add_class("seglab-number")
        self.likely = button("", "check", "Confirm all of at least that score at once", do.confirm_likely)
        self.from_map = button(
            "From map", "map", "Propose the regions of the class map that are not labelled yet", do.propose
        )
        self.least_area = widgets.BoundedIntText(
            value=LEAST_AREA, min=1, max=10**9, tooltip="Leave out regions smaller than this, scene pixels"
        )
        self.least_area.add_class("seglab-number")
        for part in (self.confirm, self.dismiss, self.likely):
            part.add_class("seglab-wide")
        self.order.observe(lambda change: self._touched(do.reorder, change["new"]), names=["value"])
        self.class_of.observe(lambda change: self._touched(do.change_class, change["new"]), names=["value"])
        self.score.observe(lambda _: do.show_likely(), names=["value"])
        self.answers = widgets.VBox(
            [
                row(self.back, self.progress, self.skip, self.order),
                row(self.class_of, self.refine),
                row(self.confirm, self.dismiss),
                row(widgets.HTML(faint("Score ≥")), self.score, self.likely),
            ]
        )
        self.answers.add_class("seglab-answers")
        super().__init__(
            [self.answers, row(self.from_map, widgets.HTML(faint("≥")), self.least_area, widgets.HTML(faint("px")))]
        )
        self.add_class("seglab-object-actions")
        self.add_class("seglab-review")

    def _touched(self, handler: Any, value: Any) -> None:
        if not self._following and value is not None:
            handler(value)

    def show(self, queue: ReviewQueue, class_name: str | None, classes: Sequence[str], can_propose: bool) -> None:
        """Show where the review is.

        Args:
            queue: what is reviewed.
            class_name: of the one looked at.
            classes: names, in order.
            can_propose: whether there is a class map.
        """
        self._following = True
        if list(self.class_of.options) != list(classes):
            self.class_of.options = list(classes)
        self.class_of.value = class_name
        self._following = False
        self.progress.value = progress_text(queue)
        for part in (self.confirm, self.dismiss, self.refine, self.class_of):
            part.disabled = queue.current is None
        self.back.disabled = self.skip.disabled = len(queue.waiting) < 2
        self.show_likely(len(queue.likely(self.score.value)))
        self.from_map.disabled = self.least_area.disabled = not can_propose
        set_shown(self.answers, queue.total > 0)

    def show_likely(self, count: int) -> None:
        """Say how many have at least the score."""
        self.likely.description = f"Confirm {count}"
        self.likely.disabled = count == 0


def progress_text(queue: ReviewQueue) -> str:
    """Where a review is, as HTML: "12 of 80"."""
    if queue.current is None:
        return faint(f"all {queue.total} done" if queue.total else "")
    return f"<b>{queue.place}</b> of {queue.total}"


def describe(proposed: ProposedObject) -> str:
    """A proposed object for the message bar."""
    return f"{proposed.class_name!r}, score {proposed.score:.2f}, by {proposed.origin}"
