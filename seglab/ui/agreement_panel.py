"""Where another annotator is chosen, and the sheet that shows how far two agree and merges their labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Protocol

import ipywidgets as widgets

from seglab.app.annotators.annotators import KEEP, Merged
from seglab.app.annotators.disputes import Comparison
from seglab.app.history.state import State
from seglab.ui.agreement_words import (
    disputes_html,
    disputes_words,
    kappa_words,
    meaning_html,
    merge_words,
    summary_html,
    table_html,
)
from seglab.ui.panels import faint, on_enter, row, section
from seglab.ui.sheet import Sheet
from seglab.ui.toolbar import button, set_shown

ELSEWHERE = "Another project or file"
"""The choice of labels that are not in this project."""
RULES = dict(
    zip(
        KEEP,
        (
            "Both: add theirs; disputed ones are unsure",
            "Only what both have; the rest is unsure",
            "Theirs, where the two differ",
        ),
        strict=True,
    )
)
"""The ways to merge, in words."""


class ComparingHandlers(Protocol):
    """What the section and the sheet set off."""

    def compare(self) -> None:
        """Compare those that are chosen."""

    def again(self) -> None:
        """Compare the same ones again."""

    def settle(self) -> None:
        """Go through what is disputed."""

    def plan_merge(self) -> None:
        """Say what merging would do."""

    def merge(self) -> None:
        """Merge."""


class AnnotatorsSection(widgets.VBox):
    """Who is compared with whom.

    Args:
        handlers: what the buttons call.
        sheet: opened by a button, once there is something in it.
    """

    def __init__(self, handlers: ComparingHandlers, sheet: AgreementSheet) -> None:
        self.who = widgets.Dropdown(options=[(ELSEWHERE, None)], tooltip="Whose labels are compared")
        self.who.observe(lambda _: self._follow(), names=["value"])
        self.file = widgets.Text(
            placeholder="hers.seglab",
            tooltip="Another project's folder, or a file of labels of this scene: GeoJSON, GeoPackage, Shapefile, COCO",
            continuous_update=False,
        )
        on_enter(self.file, handlers.compare)
        told = "Say how far two annotators agree: IoU, kappa, objects, and what they dispute"
        self.compare = button("Compare", "balance-scale", told, handlers.compare)
        self.words = widgets.HTML()
        self.show_table = button("Table", "table", "Show how far they agree", lambda: sheet.show(True))
        self.settle = button("Settle", "gavel", "Go through what they dispute, one by one", handlers.settle)
        for part in (self.show_table, self.settle):
            part.add_class("seglab-wide")
        self._found = row(self.show_table, self.settle)
        parts = (row(self.who), row(self.file, self.compare), self.words, self._found)
        super().__init__(section("Two annotators", *parts).children)
        self.add_class("seglab-section")
        set_shown(self._found, False)
        self.show_authors(())

    def show_authors(self, authors: Sequence[str]) -> None:
        """Offer the authors of this project to be compared, each with each."""
        pairs = [(f"{first} and {second}", (first, second)) for first, second in combinations(authors, 2)]
        options = [(ELSEWHERE, None), *pairs]
        if list(self.who.options) != options:
            before = self.who.value
            self.who.options = options
            self.who.value = before if before in [value for _, value in options] else None
        set_shown(self.who, bool(pairs))

    def show(self, compared: Comparison, open_disputes: int) -> None:
        """Show what was found, in short."""
        name = compared.second.name if not compared.within else f"{compared.first.name}, {compared.second.name}"
        self.words.value = faint(f"{name}: {kappa_words(compared.agreement.kappa)}.")
        set_shown(self._found, True)
        self.settle.description = f"Settle {open_disputes}" if open_disputes else "Settle"
        self.settle.disabled = not open_disputes

    def _follow(self) -> None:
        set_shown(self.file, self.who.value is None)


class AgreementSheet(Sheet):
    """How far two annotators agree, what they dispute, and how their labels are merged.

    Args:
        handlers: what the buttons call.
    """

    def __init__(self, handlers: ComparingHandlers) -> None:
        self.summary, self.table, self.meaning = widgets.HTML(), widgets.HTML(), widgets.HTML(meaning_html())
        self.words, self.list = widgets.HTML(), widgets.HTML()
        self.settle = button("Settle one by one", "gavel", "Go through what they dispute, on the map", handlers.settle)
        self.again = button("Compare again", "refresh", "With the labels as they are now", handlers.again)
        self.rule = widgets.Dropdown(
            options=[(words, keep) for keep, words in RULES.items()], tooltip="How two annotators' labels become one"
        )
        self.rule.add_class("seglab-rule")
        self.rule.observe(lambda _: self.ask(None, ""), names=["value"])
        self.plan = button("Merge…", "compress", "Say what merging would do, and ask", handlers.plan_merge)
        self.question = widgets.HTML()
        self.merge = button("Merge", "check", "Do it; one undo takes it back", handlers.merge, "success")
        self.leave = button("Leave it", "times", "Merge nothing", lambda: self.ask(None, ""))
        self._asked = row(self.question, self.merge, self.leave)
        merging = section("Merge their labels into this project", row(self.rule, self.plan), self._asked)
        self._merging = merging
        disputed = section("What they dispute", row(self.words, self.settle, self.again), self.list)
        super().__init__("Two annotators", [self.summary, self.table, self.meaning, disputed, merging])
        self.add_class("seglab-agreement-sheet")
        self.ask(None, "")

    def show_comparison(self, compared: Comparison, state: State) -> None:
        """Show a comparison.

        Args:
            compared: what was found.
            state: of the project, for its colours and for what is settled.
        """
        self.summary.value = summary_html(compared)
        self.table.value = table_html(compared, state.classes)
        set_shown(self._merging, not compared.within)
        self.ask(None, "")
        self.show_settled(compared, state, False)

    def show_settled(self, compared: Comparison, state: State, changed: bool) -> None:
        """Show what is settled of it by now.

        Args:
            compared, state: see `show_comparison`.
            changed: whether there are other labels now than were compared.
        """
        left = compared.open_disputes(state)
        since = " The labels have changed since." if changed else ""
        self.words.value = disputes_words(left, len(compared.disputes)) + since
        self.list.value = disputes_html(compared, state.settled)
        self.settle.disabled = not left

    def ask(self, plan: Merged | None, name: str) -> None:
        """Ask whether to merge; None: nothing is asked.

        Args:
            plan: what would be done.
            name: of the other annotator.
        """
        set_shown(self._asked, plan is not None)
        self.question.value = "" if plan is None else f'<span role="status">{merge_words(plan, name)}</span>'
