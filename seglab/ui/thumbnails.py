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

from seglab.app.labels.thumbnails import thumbnail
from seglab.core.raster import Scene
from seglab.errors import SegLabError

KEPT = 500
"""Thumbnails that are kept, at most: about a megabyte."""

Wanted = tuple[int, BaseGeometry, str]
"""Number of an object, its outline in scene pixels, and the date that it was made on."""


def stamps(outlines: Sequence[BaseGeometry]) -> list[int]:
    """A number for each outline that changes when it does."""
    return [zlib.crc32(wkb) for wkb in shapely.to_wkb(list(outlines))]


class Thumbnails:
    """Makes the thumbnails that were asked for last; what was asked for before and is not yet made is dropped.

    Args:
        scene_of: gives the imagery of a date; see `LabelSession.imagery_of`.
        give: called with an object's number, its stamp and a data: URL; from another thread.
    """

    def __init__(self, scene_of: Callable[[str], Scene], give: Callable[[int, int, str], None]) -> None:
        self._scene_of, self._give = scene_of, give
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._wanted: list[Wanted] = []
        self._is_running = False

    def ask(self, wanted: Sequence[Wanted]) -> None:
        """Ask for the thumbnails of objects."""
        with self._lock:
            self._wanted = list(wanted)
            if self._is_running or not wanted:
                return
            self._is_running = True
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._work,), name="seglab-thumbnails", daemon=True).start()

    def _work(self) -> None:
        while (one := self._next()) is not None:
            number, outline, date = one
            (stamp,) = stamps([outline])
            try:
                self._give(number, stamp, self._picture(number, stamp, outline, date))
            except SegLabError:  # the scene is closed or gone: the list does without
                self.ask(())

    def _next(self) -> Wanted | None:
        with self._lock:
            if self._wanted:
                return self._wanted.pop(0)
            self._is_running = False
            return None

    def _picture(self, number: int, stamp: int, outline: BaseGeometry, date: str) -> str:
        key = number, stamp
        if key not in self._made:
            data = base64.b64encode(thumbnail(self._scene_of(date), outline)).decode("ascii")
            self._made[key] = f"data:image/jpeg;base64,{data}"
            if len(self._made) > KEPT:
                self._made.popitem(last=False)
        return self._made[key]
