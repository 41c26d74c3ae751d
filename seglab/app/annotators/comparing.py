"""What a session does with another annotator's labels of its scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab import jobs
from seglab.app.annotators.annotators import (
    Annotator,
    Merged,
    Merging,
    annotator_of,
    author_of,
    compare,
    read_annotator,
    today,
)
from seglab.app.annotators.authors import authors
from seglab.app.annotators.disputes import Comparison, Dispute, Settlement
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.core.agreement import Agreement
from seglab.core.grid import Grid
from seglab.errors import AgreementError

if TYPE_CHECKING:
    from seglab.app.session import LabelSession

OWN = "this project"
"""What a project is called whose labels have no author yet."""


class Comparing:
    """The part of a LabelSession that compares annotators, settles what they dispute, and merges their labels."""

    _ledger: Ledger
    grid: Grid
    state: State
    model_size: int
    shape: tuple[int, int]

    @property
    def authors(self) -> tuple[str, ...]:
        """Who has made objects of this scene, in the order of the first one."""
        return authors(self._ledger.in_force())

    def author(self, name: str) -> Annotator:
        """What one of the authors says is there, as if the others had labelled nothing.

        Raises:
            AgreementError: nobody of that name has made an object.
        """
        with self._ledger.acting():
            return author_of(self._ledger.in_force(), name)

    def agreement(self, other: str | Path | LabelSession | Annotator, first: Annotator | None = None) -> Agreement:
        """How far another annotator's labels of this scene agree with these: pixels, objects, and where they differ.

        Args:
            other, first: see `compare_with`.

        Raises:
            LabelsFileError, ProjectDamagedError: the other labels cannot be read.
        """
        return self.compare_with(other, first).agreement

    def compare_with(
        self,
        other: str | Path | LabelSession | Annotator,
        first: Annotator | None = None,
        reporter: jobs.Reporter | None = None,
    ) -> Comparison:
        """Compare another annotator's labels of this scene with these.

        Args:
            other: a project's folder, a file of labels (see `import_labels`), an open session, or an `author` of this
                project.
            first: the author of this project that they are compared with; None: all of its labels.
            reporter: for calls inside a job.

        Returns:
            Their agreement, this project being the first annotator, and what they dispute; `settle` answers it.

        Raises:
            LabelsFileError, ProjectDamagedError: the other labels cannot be read.
        """
        second = self._other(other, reporter)
        with self._ledger.acting():
            mine = self._own() if first is None else today(first, self.state)
        return Comparison(mine, second, compare(mine, second, self.shape, reporter), self.grid)

    def settle(self, compared: Comparison, dispute: Dispute, answer: str) -> None:
        """Answer something that two annotators have otherwise; one action, which undo takes back.

        The one who is right has the ground, with the object as it is drawn there; what the other one has instead is
        removed. An answer is kept: `Comparison.open_disputes` has those without one, and `merge_from` leaves the
        others as they are.

        Args:
            compared: by `compare_with`.
            dispute: one of `compared.disputes`.
            answer: "first" or "second", for who is right; "unsure" marks it as unsure, with a note of who says what.

        Raises:
            AgreementError: `answer` is something else, or there is one already.
        """
        settled = Settlement(compared, dispute, answer)
        with self._ledger.acting():
            if dispute.key in self.state.settled:
                raise AgreementError("that is settled already; undo takes the answer back")
            self._ledger.record("settle", settled.data(self.state, self.shape, self.model_size), "classes")

    def plan_merge(
        self,
        other: str | Path | LabelSession | Annotator,
        keep: str = "both",
        reporter: jobs.Reporter | None = None,
    ) -> Merged:
        """What `merge_from` would do; nothing is changed."""
        return self._merged(self._compared(other, reporter), keep)[0]

    def merge_from(
        self,
        other: str | Path | LabelSession | Annotator,
        keep: str = "both",
        reporter: jobs.Reporter | None = None,
    ) -> Merged:
        """Take over another annotator's labels of this scene; one action, which undo takes back.

        Objects that both have with the same class stay as they are here, and so does what was settled. Objects of this
        project that the other annotator has otherwise are marked as unsure, with a note of who says what. Then it
        depends on `keep`:

        Args:
            other: see `compare_with`.
            keep: "both": what they alone have is added; unsure where this project has something else there, or has
                reviewed the place. "agreed": nothing is added, and what this project alone has becomes unsure too.
                "theirs": where the two differ their objects replace the ones here, and nothing is marked.
            reporter: for calls inside a job.

        Raises:
            AgreementError: `keep` is something else, or the other one is an author of this project.
            LabelsFileError, ProjectDamagedError: the other labels cannot be read.
        """
        before, compared = self.state, self._compared(other, reporter)
        with self._ledger.acting():
            if self.state is not before:  # somebody has labelled on meanwhile
                compared = self._compared(other, reporter)
            done, data = self._merged(compared, keep)
            if data["found"] or data["marked"] or data["gone"]:
                self._ledger.record("merge_from", data, "classes")
            return done

    # -- parts

    def _compared(self, other: str | Path | LabelSession | Annotator, reporter: jobs.Reporter | None) -> Comparison:
        """A comparison with labels that are to be merged into these."""
        compared = self.compare_with(other, None, reporter)
        if compared.within:
            raise AgreementError(
                f"the labels of {compared.second.name} are in this project already; settle what is disputed, or merge "
                "another project"
            )
        return compared

    def _merged(self, compared: Comparison, keep: str) -> tuple[Merged, dict[str, Any]]:
        """What a merge does, and the data of its event."""
        merging = Merging(compared.first, compared.second, compared.unsettled(self.state), keep)
        data = merging.data(self.state, self.shape, self.model_size)
        return Merged(compared.agreement, len(data["found"]), len(data["marked"]), len(data["gone"])), data

    def _own(self) -> Annotator:
        return replace(annotator_of(self.state, OWN), here=True)

    def _other(self, other: str | Path | LabelSession | Annotator, reporter: jobs.Reporter | None) -> Annotator:
        if isinstance(other, Annotator):
            return today(other, self.state)
        if isinstance(other, (str, Path)):
            return today(read_annotator(other, self.grid, self.model_size, reporter), self.state)
        return today(annotator_of(other.state, other.project.folder.stem), self.state)
