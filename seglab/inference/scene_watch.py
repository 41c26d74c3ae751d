"""Whether a scene stays what it is while it is mapped: blocks of two states are no map."""

from __future__ import annotations

import time

from seglab.core.raster import Scene
from seglab.core.remote import opened_version, server_version
from seglab.errors import SceneChangedError

REMOTE_S = 30.0
"""Seconds between two questions to a server."""


class SceneWatch:
    """Looks at a scene's files, or asks the server that has them, from now on.

    Args:
        scene: open.
    """

    def __init__(self, scene: Scene) -> None:
        self._path = scene.path
        self._scene = scene
        self._stamp = scene.stamp()
        self._version = opened_version(scene.path)
        self._asked = time.monotonic()

    def check(self, *, now: bool = False) -> None:
        """Look whether it is still the same.

        Args:
            now: ask the server, even if it was asked a moment ago.

        Raises:
            SceneChangedError: it was written to.
        """
        changed = self._scene.stamp() != self._stamp
        if self._version is not None and (now or time.monotonic() - self._asked >= REMOTE_S):
            self._asked = time.monotonic()
            changed |= server_version(self._path) not in (None, self._version)  # a server may be away for a moment
        if changed:
            raise SceneChangedError(
                f"{self._path!r} was changed while it was being mapped; open it again, and map it then"
            )
