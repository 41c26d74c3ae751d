"""What a session says of its project's economics, and its report."""

from __future__ import annotations

from pathlib import Path

from seglab.app.economics.accounts import Accounts
from seglab.app.economics.report import project_accounts, report_of
from seglab.app.history.ledger import Ledger
from seglab.app.labels.doubts import Doubt
from seglab.app.project.open_project import OpenProject
from seglab.store import atomic
from seglab.store.project import Project


class Accounting:
    """The part of a LabelSession that accounts for time and labels."""

    _ledger: Ledger
    _opened: OpenProject
    _doubts: tuple[Doubt, ...] | None
    doubts: tuple[Doubt, ...]
    scene_name: str
    project: Project

    @property
    def accounts(self) -> Accounts:
        """What labelling has cost in all scenes of the project, what rounds made of it, and whether more is worth it.

        Time is that between a person's actions, gaps of two minutes and more left out as breaks.
        """
        with self._ledger.lock:
            self._opened.chronicle.follow()
            return project_accounts(self.project, self._opened.chronicle)

    def report(self, path: str | Path = "report.html") -> Path:
        """Write what there is to know of the project into one HTML file that needs no other: classes and hectares, what
        they have cost, rounds with their accuracy, checks of maps, settings; after a `second_look` also how many labels
        are in doubt.

        Raises:
            WriteError: the file could not be written, or is the scene itself.
        """
        target = self._new_file(path)
        with self._ledger.lock:
            self._opened.chronicle.follow()
            page = report_of(self.project, self._opened.chronicle, self._in_doubt())
        atomic.write_bytes(target, page.encode())
        return target

    def _in_doubt(self) -> dict[str, int]:
        """How many labels of this scene are in doubt; nothing where no second look was taken."""
        return {} if self._doubts is None else {self.scene_name: len(self.doubts)}
