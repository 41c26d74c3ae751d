"""One writer at a time, among the threads of this process and among processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import filelock

from seglab.errors import ProjectBusyError, WriteError

LOCK_NAME = ".lock"
DEFAULT_TIMEOUT_S = 20.0
"""Longer than any single write of a project takes; a holder beyond it hangs."""


class FolderLock:
    """A lock on a folder, held by the operating system: a killed holder lets go of it by dying."""

    def __init__(self, folder: Path, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Prepare the lock; nothing is written before it is taken.

        Args:
            folder: The folder to guard; it holds the lock file.
            timeout_s: How long to wait for another process, in seconds.
        """
        self._folder = folder
        self._timeout_s = timeout_s
        self._threads = threading.RLock()  # threads wait here, without the polling of the file lock
        self._file = filelock.FileLock(str(folder / LOCK_NAME))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock in this block; the same thread may take it again inside.

        Raises:
            ProjectBusyError: Another process keeps it.
            WriteError: The lock file cannot be made.
        """
        with self._threads:
            try:
                self._file.acquire(timeout=self._timeout_s)
            except filelock.Timeout as error:
                raise ProjectBusyError(
                    f"another process has been writing to {str(self._folder)!r} for {self._timeout_s:g} s; "
                    "close the other notebook or wait for its job, then try again"
                ) from error
            except OSError as error:
                raise WriteError(
                    f"cannot write to {str(self._folder)!r}: {error}; check that the folder exists and is writable"
                ) from error
            try:
                yield
            finally:
                self._file.release()
