"""Windows that are encoded before they are clicked in: which ones, and the thread that does it.

A click in a window that is not yet encoded waits for the encoder, ten times as long as for the decoder. So while a
person looks at the map, the windows that the next click is likely to take are encoded, the likeliest first.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from seglab.core.windows import Window, lattice_window, lattice_windows
from seglab.encoding.encoder import WindowEncoder
from seglab.models.device import in_background

MOST = 120
"""Windows that are encoded for one view, at most: about 20 s on one core with the embedded model."""
REACH = 6
"""Sides of a window, to each side of a place, within which windows are likely at all: that is more than MOST."""
RING = 0.5
"""Width of the ring around the view that is encoded too, in views: a person pans by about that."""
PREFIXES = 16
"""Windows clicked in last whose prefixes are stored, so that the next round has them quickly."""
TELL_SECONDS = 0.4
"""Between two notices that windows have been encoded."""

CLOSING = 10.0
"""Seconds that closing waits for a window: the largest models take longer, and find the scene closed."""

Bounds = tuple[float, float, float, float]
"""(left, top, right, bottom), scene pixels."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outlook:
    """What is known of the next click."""

    view: Bounds
    """What a person sees."""
    moved: tuple[float, float] = (0.0, 0.0)
    """How the view moved last, (cols, rows) in scene pixels: it may go on."""
    zoomed_in: bool = False
    """Whether it last became finer."""
    pointer: tuple[float, float] | None = None
    """(col, row) of the pointer, scene pixels, where it is known."""


def windows_ahead(outlook: Outlook, scale: int, size: int, shape: tuple[int, int]) -> Iterator[Window]:
    """The windows that clicks may ask for, the likeliest first: those of the view, those around it, and those of the
    next scale. Some come twice.

    Args:
        outlook: what is known.
        scale: at which a click looks, scene pixels per model pixel.
        size: side of the model's input, model pixels.
        shape: (rows, cols) of the scene.
    """
    view = outlook.view
    middle = (view[0] + view[2]) / 2, (view[1] + view[3]) / 2
    if outlook.pointer is not None:
        yield lattice_window(*outlook.pointer, size, scale, shape)
    near = outlook.pointer or middle

    def within(bounds: Bounds, place: tuple[float, float], scale: int) -> list[Window]:
        windows = lattice_windows(_part(bounds, place, REACH * size * scale), size, scale, shape)
        return sorted(windows, key=lambda window: math.dist(window.center, place))

    yield from within(view, near, scale)
    # A mask that its window cuts is looked at again from twice as far, and zooming out does the same.
    coarser = within(view, near, 2 * scale) if size * scale < max(shape) else []
    next_middle = middle[0] + outlook.moved[0], middle[1] + outlook.moved[1]
    ring = within(_grown(view, RING), next_middle, scale)
    across, along = (view[2] - view[0]) / 4, (view[3] - view[1]) / 4
    half = near[0] - across, near[1] - along, near[0] + across, near[1] + along
    finer = within(half, near, scale // 2) if scale > 1 else []
    yield from (*finer, *coarser, *ring) if outlook.zoomed_in else (*coarser, *ring, *finer)


def around(window: Window, size: int, shape: tuple[int, int]) -> Iterator[Window]:
    """The windows that a click near the middle of a window would take, and the window itself.

    Args:
        window: which a person is likely to go to.
        size: side of the model's input, model pixels.
        shape: (rows, cols) of the scene.
    """
    col, row = window.center
    if window.model_shape == (size, size):
        yield window
    quarter = (col - window.width / 8, row - window.height / 8, col + window.width / 8, row + window.height / 8)
    yield from lattice_windows(quarter, size, window.scale, shape)


def _grown(bounds: Bounds, share: float) -> Bounds:
    left, top, right, bottom = bounds
    across, along = share * (right - left), share * (bottom - top)
    return left - across, top - along, right + across, bottom + along


def _part(bounds: Bounds, place: tuple[float, float], reach: float) -> Bounds:
    """What of a rectangle is not farther from a place than that, along each axis."""
    left, top, right, bottom = bounds
    col, row = place
    return max(left, col - reach), max(top, row - reach), min(right, col + reach), min(bottom, row + reach)


class Prefetcher:
    """Encodes windows on a thread of its own, one at a time, whenever nothing else is to be done.

    A window that cannot be encoded (the scene's file is gone or has changed) ends the work until it is given more:
    whoever clicks there is told what is wrong.

    Args:
        encoder: the one in use, asked for before every window: a new round starts anew by itself.
        give_way: called before every window; returns when nobody wants the processor.
        tell: called from the thread when windows have been encoded, now and then.
    """

    def __init__(
        self, encoder: Callable[[], WindowEncoder], give_way: Callable[[], None], tell: Callable[[], None]
    ) -> None:
        self._encoder, self._give_way, self._tell = encoder, give_way, tell
        self._wanted: deque[Window] = deque()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._resting = True
        self._visited = False
        self._untold = False
        self._told = 0.0

    def encode(self, windows: Iterable[Window]) -> None:
        """Encode these windows, the first ones first, in place of those that were to be encoded.

        Args:
            windows: those that the encoder has no room for are left out, and those beyond MOST.
        """
        wanted = list(dict.fromkeys(windows))[: min(MOST, self._encoder().room_ahead)]
        with self._change:
            if self._closed:
                return
            self._wanted = deque(wanted)
            self._resting = self._resting and not wanted
            if wanted and self._thread is None:
                context = contextvars.copy_context()
                self._thread = threading.Thread(
                    target=context.run, args=(self._work,), name="seglab prefetch", daemon=True
                )
                self._thread.start()
                # a thread that is stopped inside PyTorch when the interpreter ends aborts the process
                atexit.register(self.close)
            self._change.notify_all()

    def clicked(self) -> None:
        """A window was clicked in: it may have been encoded for that, and its prefix is worth keeping."""
        with self._change:
            if self._thread is not None:
                self._visited, self._resting = True, False
                self._change.notify_all()

    def stop(self) -> None:
        """Encode nothing more, until there is something new to encode."""
        with self._change:
            self._visited = False
            self._wanted.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything is encoded.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            Whether it is.
        """
        with self._change:
            return self._change.wait_for(lambda: self._resting or self._closed, timeout)

    def close(self) -> None:
        """End the thread, and wait until it has encoded the window at hand."""
        atexit.unregister(self.close)
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSING)

    # -- the thread

    def _work(self) -> None:
        in_background()
        while not self._closed:
            try:
                self._work_off()
            except Exception as error:  # the thread's boundary: whoever clicks there is told what is wrong
                _log.info("nothing more is encoded ahead: %r", error)
                self.stop()
            self._rest()

    def _work_off(self) -> None:
        while (window := self._next()) is not None:
            self._give_way()
            if self._closed:
                return
            self._untold |= self._encoder().encode_ahead(window)
            if self._untold and time.monotonic() - self._told >= TELL_SECONDS:
                self._tell_now()
        if self._untold or self._visited:
            self._tell_now()
        if self._visited:
            self._visited = False
            self._store_prefixes()

    def _store_prefixes(self) -> None:
        encoder = self._encoder()
        for window in encoder.visited(PREFIXES):
            self._give_way()
            if self._closed or self._wanted:
                self._visited = True
                return
            encoder.store_prefix(window)

    def _next(self) -> Window | None:
        with self._change:
            return self._wanted.popleft() if self._wanted and not self._closed else None

    def _tell_now(self) -> None:
        self._untold, self._told = False, time.monotonic()
        self._tell()

    def _rest(self) -> None:
        with self._change:
            if not self._wanted and not self._visited:
                self._resting = True
                self._change.notify_all()
            self._change.wait_for(lambda: self._wanted or self._visited or self._closed)
