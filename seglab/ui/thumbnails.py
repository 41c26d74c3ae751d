"""Thumbnails for the rows in view, made beside the event loop and kept while their objects stay as they are."""

from __future__ import annotations

import base64
import contextvars
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.thumbnails import thumbnail
from seglab.core.raster import Scene
from seglab.errors import SegLabError

KEPT = 500
"""Thumbnails that are kept, at most: about a megabyte."""


def stamps(outlines: Sequence[BaseGeometry]) -> list[int]:
    """A number for each outline that changes when it does."""
    return [zlib.crc32(wkb) for wkb in shapely.to_wkb(list(outlines))]


class Thumbnails:
    """Makes the thumbnails that were asked for last; what was asked for before and is not yet made is dropped.

    Args:
        scene: where the objects are.
        give: called with an object's number, its stamp and a data: URL; from another thread.
    """

    def __init__(self, scene: Scene, give: Callable[[int, int, str], None]) -> None:
        self._scene, self._give = scene, give
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._wanted: list[tuple[int, BaseGeometry]] = []
        self._is_running = False

    def ask(self, wanted: Sequence[tuple[int, BaseGeometry]]) -> None:
        """Ask for the thumbnails of objects: number and outline, scene pixels, of each."""
        with self._lock:
            self._wanted = list(wanted)
            if self._is_running or not wanted:
                return
            self._is_running = True
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._work,), name="seglab-thumbnails", daemon=True).start()

    def _work(self) -> None:
        while (one := self._next()) is not None:
            number, outline = one
            (stamp,) = stamps([outline])
            try:
                self._give(number, stamp, self._picture(number, stamp, outline))
            except SegLabError:  # the scene is closed or gone: the list does without
                self.ask(())

    def _next(self) -> tuple[int, BaseGeometry] | None:
        with self._lock:
            if self._wanted:
                return self._wanted.pop(0)
            self._is_running = False
            return None

    def _picture(self, number: int, stamp: int, outline: BaseGeometry) -> str:
        key = number, stamp
        if key not in self._made:
            data = base64.b64encode(thumbnail(self._scene, outline)).decode("ascii")
            self._made[key] = f"data:image/jpeg;base64,{data}"
            if len(self._made) > KEPT:
                self._made.popitem(last=False)
        return self._made[key]
