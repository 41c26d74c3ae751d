"""A project's log as this process lives with it: followed once, for the sessions on all of its scenes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from seglab.app.labels_file import LabelsFile
from seglab.app.scene_cards import grid_of
from seglab.app.state import SHARED, History
from seglab.store.events import Event
from seglab.store.project import Project
from seglab.store.schema import scene_cards

if TYPE_CHECKING:
    from seglab.app.ledger import Ledger

REWRITING = {*SHARED, "undo", "redo"} - {"class", "round", "rollback"}
"""Kinds that may change what stands in the labels.gpkg of every scene."""


class Chronicle:
    """Follows the log, and lets the sessions of one process know of each other.

    Args:
        project: whose log it is.

    Attributes:
        lock: held while something changes; sessions hold it too while they prompt.
        history: what the log says, as far as it was followed.
        version: another number after every change of `history`.
        ledgers: of the sessions that are open.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.lock = threading.RLock()
        self.history = History()
        self.version = 0
        self.ledgers: list[Ledger] = []
        self._followed: list[int] = []
        self._files: dict[str | None, LabelsFile] = {}

    def follow(self) -> None:
        """Take into account what this and other notebooks have appended since the last look."""
        events = self.project.events()
        seen = len(self._followed)
        if [event.id for event in events[:seen]] != self._followed:
            # An older copy of the log was put back.
            self.history, self._followed, seen = History(), [], 0
        elif seen == len(events):
            return
        self.version += 1
        for event in events[seen:]:
            self.history.follow(event)
            self._followed.append(event.id)

    def append(self, kind: str, data: dict[str, Any], author: str | None) -> Event:
        """Put an event on disk, and follow it.

        Raises:
            WriteError: nothing was saved.
        """
        event = self.project.append(kind, data, author)
        self.follow()
        return event

    def write_labels(self, kind: str, scene: str | None) -> None:
        """Bring labels.gpkg to what the log says, after an event.

        Args:
            kind: of the event.
            scene: in which it happened; those of others are written where classes have changed.

        Raises:
            WriteError: another program has a file open; the next action makes up for it.
        """
        scenes = [scene]
        if kind in REWRITING:
            scenes += [name for name in self.project.scenes.values() if name != scene and self.history.count(name)]
        for name in scenes:
            self._file(name).write(self.history.state(name))

    def _file(self, scene: str | None) -> LabelsFile:
        if scene not in self._files:
            cards = scene_cards(self.project.manifest)
            card = cards[0] if scene is None else next(card for card in cards if card["name"] == scene)
            self._files[scene] = LabelsFile(self.project, grid_of(card), scene)
        return self._files[scene]
