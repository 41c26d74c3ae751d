"""What a session does ahead of clicks: it follows where a person looks and has the windows there encoded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.rounds.learner import Learner
from seglab.core.grid import Grid
from seglab.core.windows import Window, lattice_window
from seglab.encoding.prefetch import Bounds, Outlook, Prefetcher, around, windows_ahead

SIDE_POINTS = 9
"""Points along each side of a view that are brought to pixels: its sides are curves in the scene's CRS."""
EXPECTED = 3
"""Places of each kind that a person will probably go to next, at most."""


@dataclass
class Ahead:
    """Where a person looks, and who encodes what is there."""

    worker: Prefetcher
    outlook: Outlook | None = None
    """None before anybody has said what is in view."""
    expected: tuple[Window, ...] = field(default=())
    """Where a person will probably go next, whatever is in view."""
    wanted: bool = True


class Prefetching:
    """The part of a LabelSession that encodes windows before they are clicked in.

    A click never waits for it. It is kept to its own share of the memory, and nothing of it is recorded.
    """

    _ledger: Ledger
    _learner: Learner
    _ahead: Ahead
    grid: Grid
    state: State
    shape: tuple[int, int]
    scale: int
    model_size: int

    def _prefetcher(self) -> Ahead:
        """What the session's constructor makes, once ledger and learner are there."""

        def give_way() -> None:
            with self._ledger.lock:  # whoever is at work holds it
                pass

        self._ledger.subscribe(self._changed)
        return Ahead(Prefetcher(lambda: self._learner.current.encoder, give_way, lambda: self._ledger.tell("encoded")))

    @property
    def prefetches(self) -> bool:
        """Whether windows are encoded ahead of clicks; may be set."""
        return self._ahead.wanted

    @prefetches.setter
    def prefetches(self, wanted: bool) -> None:
        self._ahead.wanted = bool(wanted)
        self._encode_ahead()

    @property
    def encoded_windows(self) -> tuple[Window, ...]:
        """Windows that the model in use has encoded and still holds: clicks in them are answered at once.

        Listeners are told "encoded" when there are more, a few times a second at most.
        """
        return self._learner.current.encoder.encoded()

    def look_at(self, west: float, south: float, east: float, north: float, crs: Any = None) -> None:
        """Say what a person sees: the windows there are encoded in the background, the middle first.

        Args:
            west, south, east, north: of the view, longitude/latitude or in `crs`; what is not in the scene does not
                count.
            crs: see `click`.
        """
        view = self._pixel_bounds(west, south, east, north, crs)
        before = self._ahead.outlook
        if view is None:
            return
        moved, zoomed_in = (0.0, 0.0), False
        if before is not None:
            last, now = before.view, view
            zoomed_in = now[2] - now[0] < 0.99 * (last[2] - last[0])
            if math.isclose(now[2] - now[0], last[2] - last[0], rel_tol=0.01):
                moved = (now[0] - last[0], now[1] - last[1])
        self._ahead.outlook = Outlook(view, moved, zoomed_in)
        self._encode_ahead()

    def point_at(self, x: float, y: float, crs: Any = None) -> None:
        """Say where the pointer is: the window of a click there is encoded first.

        Args:
            x, y: longitude/latitude or in `crs`; nothing happens where the scene does not reach.
            crs: see `click`.
        """
        outlook, pointer = self._ahead.outlook, self.grid.to_pixel(x, y, crs)
        if outlook is None or not self.grid.contains(*pointer):
            return
        before = outlook.pointer
        self._ahead.outlook = replace(outlook, pointer=pointer)
        if before is None or self._window_at(before) != self._window_at(pointer):
            self._encode_ahead()

    def expect(self, windows: Sequence[Window]) -> None:
        """Say where a person will probably go next: suggestions do so by themselves, and so do proposed objects.

        Args:
            windows: scene pixels, the first one first; they take the place of those expected before.
        """
        self._ahead.expected = tuple(windows)
        self._encode_ahead()

    def _window_at(self, place: tuple[float, float]) -> Window:
        return lattice_window(*place, self.model_size, self.scale, self.shape)

    def _changed(self, what: str) -> None:
        if what in ("round", "scale", "proposals", "date"):
            self._encode_ahead()
        elif what == "mask" and self._ahead.wanted:
            self._ahead.worker.clicked()

    def _encode_ahead(self) -> None:
        ahead = self._ahead
        if not ahead.wanted:
            ahead.worker.stop()
            return
        size, shape, outlook = self.model_size, self.shape, ahead.outlook
        parts: list[Iterator[Window]] = []
        if outlook is not None:
            parts.append(windows_ahead(outlook, self.scale, size, shape))
        next_places = (*ahead.expected[:EXPECTED], *(p.window for p in self.state.proposals[:EXPECTED]))
        parts += [around(window, size, shape) for window in next_places]
        if parts:
            ahead.worker.encode(chain(*parts))

    def _pixel_bounds(self, west: float, south: float, east: float, north: float, crs: Any) -> Bounds | None:
        """The part of a view that is in the scene, scene pixels; None where there is none."""
        along = np.linspace(0, 1, SIDE_POINTS)
        x, y = np.meshgrid(west + along * (east - west), south + along * (north - south))
        cols, rows = self.grid.to_pixel(x, y, crs)
        seen = np.isfinite(cols) & np.isfinite(rows)
        if not seen.any():
            return None
        cols = np.clip(cols[seen], 0, self.grid.width)
        rows = np.clip(rows[seen], 0, self.grid.height)
        bounds = (float(cols.min()), float(rows.min()), float(cols.max()), float(rows.max()))
        return bounds if bounds[0] < bounds[2] and bounds[1] < bounds[3] else None
