"""Checking a map: where it begins, the question and its answers, and the figures at the end."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Protocol

import ipywidgets as widgets

from seglab.app.maps.map_check import BACKGROUND_NAME, MapCheck
from seglab.core.area_estimate import AreaEstimate, Z
from seglab.core.sample_size import EXPECTED_ACCURACY, expected_se, sample_size
from seglab.ui.keys import CLASS_KEYS, keys_of, tip
from seglab.ui.panels import faint, number_field, row, section
from seglab.ui.sheet import Sheet
from seglab.ui.toolbar import button, set_shown

MOST = 100_000
"""Places of a sample."""
CHOSEN = "check"
"""Icon of the answer that was given."""


class CheckHandlers(Protocol):
    """What the panels set off."""

    def start(self) -> None:
        """Draw a sample, and ask."""

    def go_on(self) -> None:
        """Ask on."""

    def results(self) -> None:
        """Show the figures."""

    def answer(self, class_name: str | None) -> None:
        """Say what is there; None: nobody can tell."""

    def step(self, step: int) -> None:
        """Skip to the next place (1), or go back to the one before (-1)."""

    def look(self) -> None:
        """Bring the place to the middle of the map again."""

    def end(self) -> None:
        """Ask no more for now."""


class CheckSection(widgets.VBox):
    """Begins a check, or goes on with it.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: CheckHandlers) -> None:
        self.size = number_field(sample_size(), 2, MOST, "Places of the map that you will be asked about")
        self.start = button(
            "Check", "check-square-o", tip("Draw places and be asked about them", "check"), handlers.start
        )
        self.go_on = button("Go on", "play", tip("Answer the places that are left", "check"), handlers.go_on, "primary")
        self.results = button("Results", "table", "Accuracy and area of each class, from the answers", handlers.results)
        for part in (self.start, self.go_on, self.results):
            part.add_class("seglab-wide")
        self.note = widgets.HTML()
        self.progress = widgets.HTML()
        self._begun = widgets.VBox([self.progress, row(self.go_on, self.results)])
        self._begun.add_class("seglab-answers")
        self.size.observe(lambda _: self._expect(), names=["value"])
        self._expect()
        places = widgets.HTML(faint("places"))
        super().__init__([section("How good is the map?", row(self.size, places, self.start), self.note, self._begun)])
        self.add_class("seglab-check-section")

    def _expect(self) -> None:
        points = 100 * Z * expected_se([1.0], [self.size.value], [EXPECTED_ACCURACY])
        self.note.value = faint(
            f"Overall accuracy to about ± {points:.1f} points, if {EXPECTED_ACCURACY:.0%} of the map is right."
        )

    def show(self, check: MapCheck | None, can_start: bool) -> None:
        """Show how far a check is.

        Args:
            check: the latest one.
            can_start: whether there is a map, and no sample is being drawn.
        """
        self.start.disabled = self.size.disabled = not can_start
        self.start.description = "Check" if check is None else "New check"
        set_shown(self._begun, check is not None)
        if check is not None:
            self.progress.value = faint(f"{check.answered} of {check.size} places answered.")
            self.go_on.disabled = check.next is None
            self.results.disabled = check.answered == 0


class CheckPanel(widgets.VBox):
    """The question: what is in the outlined pixel? It takes the place of the other panels, and says nothing of the map.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: CheckHandlers) -> None:
        self._do = do = handlers
        self.back = button("", "chevron-left", tip("Back to the place before", "review:back"), lambda: do.step(-1))
        self.skip = button("", "chevron-right", tip("Skip: go to the next place", "candidate"), lambda: do.step(1))
        self.place = widgets.HTML()
        self.place.add_class("seglab-progress")
        self.centre = button("", "crosshairs", "Show the place in the middle of the map", do.look)
        self.bar = widgets.FloatProgress(min=0, max=1)
        self.bar.add_class("seglab-check-bar")
        self.answers: dict[str | None, widgets.Button] = {}
        self._names: tuple[str, ...] | None = None
        self._list = widgets.VBox()
        self._others = widgets.VBox()
        for part in (self._list, self._others):
            part.add_class("seglab-classes")
        self.end = button("End", "", f"Go on later; what is answered is saved ({keys_of('escape')})", do.end)
        self.end.add_class("seglab-wide")
        hint = "Judge by the imagery alone: the map and the labels are hidden meanwhile."
        super().__init__(
            [
                section("Check the map", row(self.back, self.place, self.skip, self.centre), self.bar),
                section("What is in the pixel?", self._list, self._others, widgets.HTML(faint(hint)), row(self.end)),
            ]
        )
        self.add_class("seglab-check")
        set_shown(self, False)

    def show(self, check: MapCheck, number: int, classes: Mapping[str, str]) -> None:
        """Ask about a place.

        Args:
            check: where it belongs.
            number: of the place, from 0.
            classes: of the project, in order.
        """
        names = tuple(name for name in classes if name != BACKGROUND_NAME)
        if names != self._names:
            self._names = names
            self._make_answers(classes)
        self.place.value = f"<b>{number + 1}</b> of {check.size}"
        self.bar.value = check.answered / check.size
        self.bar.tooltip = f"{check.answered} of {check.size} places answered"
        self.back.disabled = number == 0
        self.skip.disabled = check.next_after(number) in (None, number)
        for name, made in self.answers.items():
            made.icon = CHOSEN if number in check.answers and check.answers[number] == name else ""

    def _make_answers(self, classes: Mapping[str, str]) -> None:
        before = (*self._list.children, *self._others.children)
        self.answers = {}
        for place, name in enumerate(classes):
            if name != BACKGROUND_NAME:
                key = keys_of(f"class:{place + 1}") if place < CLASS_KEYS else ""
                self._offer(name, name, key, f"seglab-class-{place}")
        self._offer(BACKGROUND_NAME, "Background: no class", keys_of("background"), "seglab-no-class")
        self._offer(None, "Cannot tell", keys_of("unsure"), "seglab-no-class")
        made = list(self.answers.values())
        self._list.children, self._others.children = made[:-2], made[-2:]  # the latter are always in sight
        for child in before:
            child.close()

    def _offer(self, answer: str | None, label: str, key: str, look: str) -> None:
        words = "It is left out, and counted" if answer is None else f"The pixel is mostly {answer}"
        made = button(f"{label} ({key})" if key else label, "", words, lambda: self._do.answer(answer))
        made.add_class("seglab-class")
        made.add_class(look)
        self.answers[answer] = made


class CheckResults(Sheet):
    """The figures of a check."""

    def __init__(self) -> None:
        self.text = widgets.HTML()
        super().__init__("How good is the map?", [self.text])
        self.add_class("seglab-results")

    def give(self, estimate: AreaEstimate) -> None:
        """Show figures."""
        self.text.value = results_html(estimate)
        self.show(True)


def results_html(estimate: AreaEstimate) -> str:
    """An estimate as it is shown: the figures, what they mean, and the table of answers that they come from."""
    meaning = (
        "User's accuracy: how much of what is mapped as a class is of it. Producer's accuracy: how much of a class is "
        "mapped so. Estimated area: the mapped area, put right by the errors that were found. ± is half of a 95 % "
        "interval, after Olofsson et al. 2014 (Remote Sensing of Environment 148)."
    )
    return f"{estimate._repr_html_()}<p>{html.escape(meaning)}</p>{_counts_html(estimate)}"


def _counts_html(estimate: AreaEstimate) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in estimate.classes)
    body = ""
    for stratum, counts in zip(estimate.strata, estimate.matrix.counts.tolist(), strict=True):
        cells = "".join(f"<td>{count}</td>" for count in counts)
        body += f'<tr><th scope="row">{html.escape(stratum.class_name)}</th>{cells}</tr>'
    title = "<caption>Places by what the map says (rows) and what you said (columns)</caption>"
    return f'<table>{title}<thead><tr><th scope="col">map</th>{head}</tr></thead><tbody>{body}</tbody></table>'
