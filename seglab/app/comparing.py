"""What a session does with another annotator's labels of its scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seglab.app.annotators import Annotator, Merged, Merging, annotator_of, compare, read_annotator, today
from seglab.app.ledger import Ledger
from seglab.app.state import State
from seglab.core.agreement import Agreement
from seglab.core.grid import Grid

if TYPE_CHECKING:
    from seglab.app.session import LabelSession


class Comparing:
    """The part of a LabelSession that compares annotators and merges their labels."""

    _ledger: Ledger
    grid: Grid
    state: State
    model_size: int
    shape: tuple[int, int]

    def agreement(self, other: str | Path | LabelSession) -> Agreement:
        """How far another annotator's labels of this scene agree with these: pixels, objects, and where they differ.

        Args:
            other: a project's folder, a file of labels (see `import_labels`), or an open session.

        Returns:
            This project is the first annotator, the other one the second.

        Raises:
            LabelsFileError, ProjectDamagedError: the other labels cannot be read.
        """
        return compare(annotator_of(self.state, "this project"), self._other(other), self.shape)

    def merge_from(self, other: str | Path | LabelSession, keep: str = "both") -> Merged:
        """Take over another annotator's labels of this scene; one action, which undo takes back.

        Objects that both have with the same class stay as they are here. Objects of this project that the other
        annotator has otherwise are marked as unsure, with a note of who says what. Then it depends on `keep`:

        Args:
            other: see `agreement`.
            keep: "both": what they alone have is added; unsure where this project has something else there, or has
                reviewed the place. "agreed": nothing is added, and what this project alone has becomes unsure too.
                "theirs": where the two differ their objects replace the ones here, and nothing is marked.

        Raises:
            AgreementError: `keep` is something else.
            LabelsFileError, ProjectDamagedError: the other labels cannot be read.
        """
        with self._ledger.acting():
            theirs = self._other(other)
            mine = annotator_of(self.state, "this project")
            found = compare(mine, theirs, self.shape)
            data = Merging(mine, theirs, found, keep).data(self.state, self.shape, self.model_size)
            if data["found"] or data["marked"] or data["gone"]:
                self._ledger.record("merge_from", data, "classes")
            return Merged(found, len(data["found"]), len(data["marked"]), len(data["gone"]))

    def _other(self, other: str | Path | LabelSession) -> Annotator:
        if isinstance(other, (str, Path)):
            return today(read_annotator(other, self.grid, self.model_size), self.state)
        return today(annotator_of(other.state, other.project.folder.stem), self.state)
