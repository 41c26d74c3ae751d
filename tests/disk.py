"""A disk that is full: here, a limit on the size of the files that this process writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: as on a full disk, the system refuses and the rest stays."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on the size of a process's files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
