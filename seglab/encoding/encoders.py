"""One model's encoders for the scenes of all dates."""

from __future__ import annotations

import threading
from collections.abc import Callable

from seglab.core.dated_scenes import DatedScenes
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder


class Encoders:
    """An encoder for each date's scene, made when it is first asked for. Their keys hold the scene's fingerprint, so
    that they can share caches.

    Args:
        scenes: the dates.
        make: makes the encoder of a scene.
    """

    def __init__(self, scenes: DatedScenes, make: Callable[[Scene], WindowEncoder]) -> None:
        self._scenes, self._make = scenes, make
        self._made: dict[Scene, WindowEncoder] = {}
        self._lock = threading.Lock()
        self.now()  # at once, as a model's first encoder looks at its weights

    @classmethod
    def single(cls, encoder: WindowEncoder) -> Encoders:
        """Those of a scene without a date."""
        return cls(DatedScenes.of(encoder.scene), lambda scene: encoder)

    def of(self, date: str) -> WindowEncoder:
        """The encoder of a date's scene: see `DatedScenes.known`.

        Raises:
            SegLabError: the scene of that date cannot be opened.
        """
        scene = self._scenes.at(date)
        with self._lock:
            if scene not in self._made:
                self._made[scene] = self._make(scene)
            return self._made[scene]

    def known(self, date: str) -> str:
        """See `DatedScenes.known`."""
        return self._scenes.known(date)

    def now(self) -> WindowEncoder:
        """The encoder of the date in use."""
        return self.of(self._scenes.date)
