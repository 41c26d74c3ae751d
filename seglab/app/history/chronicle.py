"""A project's log as this process lives with it: followed once, for the sessions on all of its scenes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from seglab.app.history.label_events import Labels
from seglab.app.history.state import History
from seglab.app.labels.labels_file import LabelsFile
from seglab.app.project.scene_cards import grid_of
from seglab.store.events import Event
from seglab.store.project import Project
from seglab.store.schema import scene_cards

if TYPE_CHECKING:
    from seglab.app.history.ledger import Ledger


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
        self._stale: set[str | None] = set()
        """Scenes whose labels.gpkg is no longer what the log says."""

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
        before = self.history.by_scene
        event = self.project.append(kind, data, author)
        self.follow()
        self._stale |= {scene for scene, old in before.items() if _differ(old, self.history.labels(scene))}
        return event

    def write_labels(self, scene: str | None) -> None:
        """Bring labels.gpkg to what the log says, after an event.

        Args:
            scene: in which it happened. Another one's file is written too if its objects or their colours are others
                now, because a class is.

        Raises:
            WriteError: another program has a file open; the next action makes up for it.
        """
        for name in [scene, *(self._stale - {scene})]:
            self._stale.add(name)
            self._file(name).write(self.history.state(name))
            self._stale.discard(name)

    def _file(self, scene: str | None) -> LabelsFile:
        if scene not in self._files:
            self.project.reload_manifest()  # another notebook may have added it
            cards = scene_cards(self.project.manifest)
            card = cards[0] if scene is None else next(card for card in cards if card["name"] == scene)
            self._files[scene] = LabelsFile(self.project, grid_of(card), scene)
        return self._files[scene]


def _differ(before: Labels, now: Labels) -> bool:
    """Whether two states of a scene look different in its labels.gpkg; classes without objects do not matter."""
    if now is before:
        return False
    recoloured = any(now.classes.get(name, colour) != colour for name, colour in before.classes.items())
    return now.objects != before.objects or (recoloured and bool(now.objects))
