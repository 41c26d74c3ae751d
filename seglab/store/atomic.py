"""Files that appear whole or not at all: write beside the final name, flush to disk, then rename."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from seglab.errors import WriteError

TEMP_MARK = ".seglab-tmp"
"""Every temporary name contains it, so that leftovers of killed processes are recognised."""

_WINDOWS = os.name == "nt"
_REPLACE_ATTEMPTS = 10
_REPLACE_PAUSE_S = 0.05


def sync_file(descriptor: int) -> None:
    """Force a file's bytes onto the disk.

    Args:
        descriptor: An open file descriptor with write access.
    """
    if not _WINDOWS:
        import fcntl

        # macOS: fsync leaves the bytes in the drive's own cache; F_FULLFSYNC does not.
        full_sync = getattr(fcntl, "F_FULLFSYNC", None)
        if full_sync is not None:
            with contextlib.suppress(OSError):  # not every file system knows it; fsync follows
                fcntl.fcntl(descriptor, full_sync)
                return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries (new names, renames) onto the disk; not on Windows, which has no such call."""
    if _WINDOWS:
        return
    with contextlib.suppress(OSError):  # some network file systems refuse; the files themselves are synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def temporary(final: Path) -> Iterator[Path]:
    """Yield a free temporary path in the folder of `final`, with its suffix; whatever is left of it is
    removed.

    Args:
        final: The path that the result is meant for.

    Raises:
        WriteError: The folder of `final` does not exist, or the system refuses a write inside the block.
    """
    if not final.parent.is_dir():
        raise WriteError(
            f"cannot write {str(final)!r}: the folder {str(final.parent)!r} does not exist; "
            "create it or choose another path"
        )
    temp = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMP_MARK}{final.suffix}")
    try:
        yield temp
    except OSError as error:
        raise WriteError(
            f"cannot write {str(final)!r}: {error}; check free space and permissions, or choose another path"
        ) from error
    finally:
        remove_temporary(temp)


def put_in_place(temp: Path, final: Path) -> None:
    """Flush `temp` (a file or a folder) to disk and give it its final name.

    Args:
        temp: What was written.
        final: Its name from now on; a file of that name is replaced in one step, a folder must not exist.

    Raises:
        WriteError: Another program holds `final` open (Windows).
        OSError: The system refuses.
    """
    for path in _files_in(temp):
        with path.open("r+b") as file:
            sync_file(file.fileno())
    if temp.is_dir():
        sync_folder(temp)
    _replace(temp, final)
    sync_folder(final.parent)


@contextlib.contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `final` when the block ends well and vanishes when not.

    Args:
        final: The path that the result is meant for.

    Raises:
        WriteError: It could not be written; what stood under `final` still does.
    """
    with temporary(final) as temp:
        yield temp
        put_in_place(temp, final)


def write_bytes(final: Path, data: bytes) -> None:
    """Write `data` to `final` atomically and durably.

    Raises:
        WriteError: It could not be written; what stood under `final` still does.
    """
    with replacing(final) as temp:
        temp.write_bytes(data)


def remove_temporary(temp: Path) -> None:
    """Remove a temporary file or folder and the sidecar files that a driver put beside it."""
    if not temp.parent.is_dir():
        return
    for path in temp.parent.iterdir():
        if not path.name.startswith(temp.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # Windows: still open somewhere; the next clean-up gets it
                path.unlink(missing_ok=True)


def remove_leftovers(folder: Path, final_name: str = "", older_than_s: float = 0.0) -> None:
    """Remove temporary files that killed processes left in a folder.

    Args:
        folder: Where to look (not below it).
        final_name: Only the leftovers of this file; all of them when empty.
        older_than_s: Only those last written to this many seconds ago. Leave it at 0 only while holding a
            lock that every writer of this folder takes: then nobody is writing.
    """
    if not folder.is_dir():
        return
    start = f".{final_name}." if final_name else "."
    for path in folder.iterdir():
        if not (path.name.startswith(start) and TEMP_MARK in path.name):
            continue
        with contextlib.suppress(FileNotFoundError):  # its owner was quicker
            if older_than_s == 0 or time.time() - path.stat().st_mtime >= older_than_s:
                remove_temporary(path)


def _files_in(path: Path) -> list[Path]:
    if path.is_dir():
        return [child for child in path.rglob("*") if child.is_file()]
    return [path]


def _replace(temp: Path, final: Path) -> None:
    for attempt in range(_REPLACE_ATTEMPTS if _WINDOWS else 1):
        if attempt:
            time.sleep(_REPLACE_PAUSE_S)  # virus scanners hold a fresh file open for a moment
        try:
            os.replace(temp, final)
        except PermissionError as error:
            refusal = error
        else:
            return
    raise WriteError(
        f"cannot replace {str(final)!r} ({refusal.strerror}): close it in other programs or check its "
        "permissions, then try again"
    ) from refusal
