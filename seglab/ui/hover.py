"""A preview under the pointer: the mask that a click would give."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seglab.ui.labelling import POINTS

if TYPE_CHECKING:
    from seglab.ui.labeler import Labeler

REST = 0.05
"""Seconds that a preview waits: what the page has sent meanwhile, a click above all, goes first."""


class HoverPreview:
    """Shows what a click would give where the pointer rests, while a point tool is in hand.

    Args:
        app: the labeler.

    Attributes:
        is_on: whether a person wants it.
    """

    def __init__(self, app: Labeler) -> None:
        self._app = app
        self.is_on = True
        self._place: tuple[float, float] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def move(self, place: tuple[float, float] | None) -> None:
        """The pointer is at (latitude, longitude); None: it has left the map, or presses."""
        self._place = place
        if place is None or not self._is_wanted():
            self.clear()
        elif self._timer is None:
            self._timer = self._later()

    def switch(self, is_on: bool) -> None:
        """Show previews from now on, or none."""
        self.is_on = is_on
        self.clear()

    def clear(self) -> None:
        """Take the preview away, and the one that is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._app.view.show_preview(None, "")

    def _is_wanted(self) -> bool:
        app = self._app
        return (
            self.is_on
            and app.toolbar.tool in POINTS
            and not (app.review.answers or app.checking.is_on or app.clusters.picks)
        )

    def _later(self) -> asyncio.TimerHandle | None:
        try:
            return asyncio.get_running_loop().call_later(REST, self._show)
        except RuntimeError:  # no loop, as in a script: at once
            self._show()
            return None

    def _show(self) -> None:
        """The preview of the latest place; those before it are never computed."""
        self._timer = None
        app, place = self._app, self._place
        if place is None or not self._is_wanted():
            return
        with app.messages:
            x, y = app.frame.to_crs(*place)
            positive = app.toolbar.tool == "plus"
            seen = app.session.peek(x, y, positive, crs=app.frame.crs)
            app.view.show_preview(None if seen is None else seen.polygon, app.strokes.colour)
