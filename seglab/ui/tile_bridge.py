"""The kernel's half of the bridge: tiles that the page asks for by the widgets' own messages."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

Render = Callable[[str], tuple[int, bytes]]
"""Status (200, 404, 500) and PNG bytes of the tile at a path below the tile server's root."""

RENDERERS = 2
"""Tiles drawn at once: on two cores more would only take time from the click that is being decoded. The page bounds how
many it asks for at once, and asks for no tile that it has meanwhile moved away from."""


class TileBridge:
    """Draws tiles beside the main thread and sends them to the page.

    Args:
        render: draws a tile.
        send: of the widget, called with a message and its buffers.
    """

    def __init__(self, render: Render, send: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._render, self._send = render, send
        self._pool = ThreadPoolExecutor(RENDERERS, thread_name_prefix="seglab bridge")

    def answer(self, number: int, path: str) -> None:
        """Draw a tile and send it; returns at once.

        Args:
            number: by which the page knows its question.
            path: below the tile server's root, with the token.
        """
        self._pool.submit(copy_context().run, self._draw, number, path)

    def _draw(self, number: int, path: str) -> None:
        status, png = self._render(path)
        self._send({"tile": number, "status": status}, [png])

    def close(self) -> None:
        """Draw nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
