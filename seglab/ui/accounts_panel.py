"""What labelling has cost, what it has brought, and whether more is worth it: a part of the project's column."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from seglab.app.economics.accounts import Accounts
from seglab.app.economics.curve import curve_svg
from seglab.ui.panels import faint, on_enter, row, section
from seglab.ui.toolbar import button


class AccountsPanel(widgets.VBox):
    """Time, clicks and accuracy, and the report.

    Args:
        on_report: called with the name of a file to write.
    """

    def __init__(self, on_report: Callable[[str], None]) -> None:
        self.spent = widgets.HTML()
        self.curve = widgets.HTML()
        self.curve.add_class("seglab-curve-box")
        self.advice = widgets.HTML()
        self.file = widgets.Text("report.html", tooltip="A page of HTML", continuous_update=False)
        write = lambda: on_report(self.file.value.strip())  # noqa: E731
        on_enter(self.file, write)
        self.report = button("Report", "file-text-o", "Write all that is known of the project to that file", write)
        parts = (self.spent, self.curve, self.advice, row(self.file, self.report))
        super().__init__([section("Time and accuracy", *parts)])

    def show(self, accounts: Accounts) -> None:
        """Show how things stand."""
        self.spent.value = f"<span>{html.escape(accounts.spent)}</span>"
        self.curve.value = curve_svg(accounts)
        self.advice.value = faint(accounts.advice)
