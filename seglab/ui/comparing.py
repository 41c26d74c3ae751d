"""What a person does with another annotator's labels: compare them, settle what is disputed, merge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seglab import jobs
from seglab.app.annotators.annotators import Merged
from seglab.app.annotators.disputes import Comparison
from seglab.app.labels.labelled import LabelledObject
from seglab.errors import AgreementError
from seglab.ui.agreement_panel import AgreementSheet, AnnotatorsSection
from seglab.ui.agreement_words import objects

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler


class Comparing:
    """Handlers of the section and the sheet of two annotators.

    Args:
        app: the labeler.
    """

    def __init__(self, app: Labeler) -> None:
        self._app, self._session = app, app.session
        self.compared: Comparison | None = None
        """What was compared last."""
        self._before = app.session.state.objects
        """The objects that there were then."""
        self.sheet = AgreementSheet(self)
        self.section = AnnotatorsSection(self, self.sheet)

    def refresh(self) -> None:
        """Show who there is, and what is settled by now."""
        self.section.show_authors(self._session.authors)
        if self.compared is not None:
            state = self._session.state
            self.section.show(self.compared, len(self.compared.open_disputes(state)))
            self.sheet.show_settled(self.compared, state, state.objects != self._before)

    @property
    def _is_shown(self) -> bool:
        """Whether the labeler still shows the scene."""
        return self._session is self._app.session

    # -- compare

    def compare(self) -> None:
        """Compare those that are chosen."""
        section, session = self.section, self._session
        if "compare" in self._app.work.running:
            return
        with self._app.messages:
            pair, name = section.who.value, section.file.value.strip()
            if pair is None and not name:
                raise AgreementError(
                    "name the other labels first: a project's folder, or a file of this scene's labels"
                )

            def work(reporter: jobs.Reporter) -> Comparison:
                if pair is None:
                    return _measured(session.compare_with(name, None, reporter))
                first, second = map(session.author, pair)
                return _measured(session.compare_with(second, first, reporter))

            self._follow(jobs.start(work, title="compare annotators", unit="Mpx"))

    def again(self) -> None:
        """Compare the same ones again, with the labels as they are now; a file or project is not read anew."""
        session, before = self._session, self.compared
        if before is None or "compare" in self._app.work.running:
            return

        def work(reporter: jobs.Reporter) -> Comparison:
            if before.within:
                first, second = (session.author(side.name) for side in (before.first, before.second))
                return _measured(session.compare_with(second, first, reporter))
            return _measured(session.compare_with(before.second, None, reporter))

        with self._app.messages:
            self._follow(jobs.start(work, title="compare annotators", unit="Mpx"))

    def _follow(self, job: jobs.Job[Comparison]) -> None:
        before = self._session.state.objects
        self._app.work.follow("compare", job, lambda compared: self._show(compared, before))

    def _show(self, compared: Comparison, before: tuple[LabelledObject, ...]) -> None:
        if not self._is_shown:
            return
        self.compared, self._before = compared, before
        self.sheet.show_comparison(compared, self._session.state)
        self.sheet.show(True)
        self.refresh()

    def settle(self) -> None:
        """Go through what is disputed."""
        if self.compared is not None:
            self.sheet.show(False)
            self._app.settling.begin(self.compared)

    # -- merge

    def plan_merge(self) -> None:
        """Say what merging would do, and ask."""
        session, compared, keep = self._session, self.compared, self.sheet.rule.value
        if compared is None:
            return

        def asked(plan: Merged) -> None:
            if not (plan.added or plan.marked or plan.removed):
                self._app.messages.show("Nothing would change: there is nothing to merge by that rule.")
            elif self.sheet.rule.value == keep:
                self.sheet.ask(plan, compared.second.name)

        with self._app.messages:
            work = lambda reporter: session.plan_merge(compared.second, keep, reporter)  # noqa: E731
            self._app.work.follow("merge", jobs.start(work, title="plan the merge", unit="Mpx"), asked)

    def merge(self) -> None:
        """Merge, and compare again."""
        session, compared, keep = self._session, self.compared, self.sheet.rule.value
        if compared is None:
            return
        self.sheet.ask(None, "")

        def merged(done: Merged) -> None:
            came = f"{objects(done.added)} of {compared.second.name} came in"
            self._app.messages.show(f"Merged: {came}, {done.marked} became unsure; undo takes it back.", "done")
            if self._is_shown:
                self.again()

        with self._app.messages:
            work = lambda reporter: session.merge_from(compared.second, keep, reporter)  # noqa: E731
            self._app.work.follow("merge", jobs.start(work, title="merge labels", unit="Mpx"), merged)


def _measured(compared: Comparison) -> Comparison:
    """With what takes its time to work out already worked out, on a job's thread."""
    compared.hectares, compared.disputes  # noqa: B018
    return compared
