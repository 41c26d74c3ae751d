"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def milliseconds(act: Callable[[], object]) -> float:
    """Of one call of `act()`."""
    started = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - started)
