"""What a session does with the dates of its source: which one clicks are answered on, and the scene of each."""

from __future__ import annotations

from typing import Any

from seglab.app.history.ledger import Ledger
from seglab.app.prompting.proposals import Draft
from seglab.core.dated_scenes import DatedScenes
from seglab.core.raster import Scene
from seglab.store.project import Project


class Dating:
    """The part of a LabelSession that knows dates. Labels belong to the ground and not to a date, but each object knows
    on which date's imagery it was made, and rounds show it there: what is water on one date may be dry on another.

    Which date is in use is a setting, such as the scale, and no event: each object's event holds its own.
    """

    project: Project
    _ledger: Ledger
    _draft: Draft
    _imagery: DatedScenes
    scene_name: str

    @property
    def scene(self) -> Scene:
        """The imagery that the model sees: that of the date in use."""
        return self._imagery.scene

    @property
    def dates(self) -> tuple[str, ...]:
        """ISO 8601 dates of the source, the oldest first; () where it has no time axis."""
        return self._imagery.dates

    @property
    def date(self) -> str:
        """The date that clicks are answered on, and maps and suggestions are made of; "" without a time axis."""
        return self._imagery.date

    def use_date(self, date: Any) -> None:
        """Answer clicks on another date, also when the project is opened the next time.

        What is clicked for the object at hand is answered again, on that date; a mask drawn by hand is dropped.

        Args:
            date: one of `dates`, or a part of it that is the beginning of no other one ("2020").

        Raises:
            DateError: the source has no such date, or its raster does not fit the others.
            SegLabError: the raster cannot be read; the date before stays in use.
        """
        with self._ledger.acting():
            wanted = self._imagery.find(date)
            if wanted == self.date:
                return
            self._imagery.use(wanted)
            self.project.update_scene(self.scene_name, date=wanted)
            asked = self._draft.asked
            self._clear_draft()
            self._ledger.tell("date")
            self._ledger.tell("mask")
            for prompts in asked:
                self._prompt(prompts)

    def scene_at(self, date: Any) -> Scene:
        """The imagery of a date, to look at; nothing else changes.

        Raises:
            DateError, SegLabError: see `use_date`.
        """
        return self._imagery.at(self._imagery.find(date))

    def imagery_of(self, date: str) -> Scene:
        """The imagery that an object of a date was made on; that in use where it has none, or the source has it no
        more.

        Raises:
            SegLabError: see `use_date`.
        """
        return self._imagery.at(date)
