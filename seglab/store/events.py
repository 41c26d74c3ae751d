"""The append-only event log of a project, one JSON object per line: the one truth, never rewritten."""

from __future__ import annotations

import contextlib
import getpass
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seglab.errors import ProjectDamagedError, ProjectError, WriteError
from seglab.store import atomic
from seglab.store.lock import FolderLock

EVENTS_NAME = "events.jsonl"


@dataclass(frozen=True)
class Event:
    """One thing that happened in a project. The store keeps events and never interprets them."""

    id: int
    """Grows with every event of the project, across processes."""
    time: str
    """When, in UTC, ISO 8601 with milliseconds."""
    author: str
    """Who; the account's name unless the caller said otherwise."""
    kind: str
    """What, in the vocabulary of the caller."""
    data: dict[str, Any]
    """The rest, as JSON gives it back (lists, never tuples). Not to be changed in place."""


class EventLog:
    """Reads and appends events; safe between threads and between processes.

    An event counts when its line, newline included, is on disk. Bytes after the last newline are the rest of
    a write that was killed: they are ignored, and kept in a file of their own when the next event is
    appended.
    """

    def __init__(self, path: Path, lock: FolderLock) -> None:
        """Open a log; nothing is read yet.

        Args:
            path: The file, which must exist when it is read.
            lock: The lock of the project, taken while appending.
        """
        self._path = path
        self._lock = lock
        self._threads = threading.RLock()
        self._events: list[Event] = []
        self._offset = 0  # bytes of the file that self._events holds; always the end of a line

    def read(self) -> list[Event]:
        """All events in order, those that other processes appended included.

        Raises:
            ProjectDamagedError: The file is missing or a line of it is not an event.
        """
        with self._threads:
            self._refresh()
            return list(self._events)

    def append(self, kind: str, data: dict[str, Any], author: str | None = None) -> Event:
        """Append an event; it is on the disk when this returns.

        Args:
            kind: What happened.
            data: JSON-serialisable details (string keys, no NaN).
            author: Who did it; the account's name when None.

        Returns:
            The event as it will be read back.

        Raises:
            ProjectError: `data` cannot be written as JSON; nothing was appended.
            ProjectDamagedError: The log is damaged; nothing was appended.
            ProjectBusyError: Another process keeps the project locked.
            WriteError: The system refused to write; nothing was appended.
        """
        author = account_name() if author is None else author
        _line(0, "", author, kind, data)  # refuse bad data before anything is touched
        with self._lock.held(), self._threads:
            self._refresh()
            self._set_torn_tail_aside()
            number = self._events[-1].id + 1 if self._events else 1
            line = _line(number, datetime.now(UTC).isoformat(timespec="milliseconds"), author, kind, data)
            self._write(line)
            event = _parse(line, self._path, len(self._events) + 1, number - 1)
            self._events.append(event)
            self._offset += len(line)
            return event

    def extend(self, events: Iterable[Event]) -> None:
        """Append events of another log as they are, all or none: their numbers, times and authors stay.

        Args:
            events: In order; numbered above those that are here.

        Raises:
            ProjectError: A number is taken or out of order; nothing was appended.
            ProjectDamagedError, ProjectBusyError, WriteError: As `append` raises.
        """
        with self._lock.held(), self._threads:
            self._refresh()
            self._set_torn_tail_aside()
            last, lines = self._events[-1].id if self._events else 0, []
            for event in events:
                if event.id <= last:
                    raise ProjectError(f"event {event.id} cannot follow event {last}; copy events into a new project")
                last = event.id
                lines.append(_line(event.id, event.time, event.author, event.kind, event.data))
            self._write(b"".join(lines))
            self._refresh()

    def _refresh(self) -> None:
        """Read what was appended since the last look."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    # shorter than what was read: restored from an older copy, so nothing read before counts
                    self._events, self._offset = [], 0
                file.seek(self._offset)
                data = file.read()
        except OSError as error:
            raise ProjectDamagedError(
                f"cannot read {str(self._path)!r} ({error}): restore the file from a backup; without it the "
                "project has lost its history. Nothing was changed."
            ) from error
        complete = data[: data.rfind(b"\n") + 1]
        fresh: list[Event] = []
        for line in complete.split(b"\n")[:-1]:
            so_far = fresh or self._events
            last_id = so_far[-1].id if so_far else 0
            fresh.append(_parse(line, self._path, len(self._events) + len(fresh) + 1, last_id))
        self._events.extend(fresh)
        self._offset += len(complete)

    def _set_torn_tail_aside(self) -> None:
        """Copy the rest of a killed write into a file of its own; `_write` then cuts it off."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            torn = file.read()
        if torn:
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            atomic.write_bytes(self._path.with_name(f"events.torn-{stamp}.bin"), torn)

    def _write(self, line: bytes) -> None:
        try:
            with self._path.open("r+b", buffering=0) as file:
                try:
                    file.truncate(self._offset)
                    file.seek(self._offset)
                    rest = memoryview(line)
                    while rest:
                        rest = rest[file.write(rest) :]
                    atomic.sync_file(file.fileno())
                except OSError:
                    with contextlib.suppress(OSError):  # if this fails too, the torn tail is cut next time
                        file.truncate(self._offset)
                    raise
            atomic.sync_folder(self._path.parent)
        except OSError as error:
            raise WriteError(
                f"the action was not saved: cannot write {str(self._path)!r} ({error}); free disk space or "
                "check permissions, then repeat it. All earlier actions are saved."
            ) from error


def account_name() -> str:
    """The name of the account that runs this process, or 'unknown' where there is none (some containers)."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return "unknown"


def _line(number: int, time: str, author: str, kind: str, data: dict[str, Any]) -> bytes:
    event = {"id": number, "time": time, "author": author, "kind": kind, "data": data}
    try:
        # ASCII: a cut never falls inside a character, and lone surrogates survive
        text = json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ProjectError(
            f"the event {kind!r} cannot be saved as JSON ({error}): give it plain numbers, strings, lists "
            "and dictionaries, and no NaN"
        ) from error
    return text.encode("ascii") + b"\n"


def _parse(line: bytes, path: Path, number: int, last_id: int) -> Event:
    """Read one line, or say which line is damaged and how."""
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise _damaged(path, number, f"is not valid JSON ({error})") from error
    if not isinstance(raw, dict):
        raise _damaged(path, number, "is not a JSON object")
    for field, kind in (("id", int), ("time", str), ("author", str), ("kind", str), ("data", dict)):
        if not isinstance(raw.get(field), kind):
            raise _damaged(path, number, f"has no usable {field!r} (found {raw.get(field)!r})")
    if raw["id"] <= last_id:
        raise _damaged(path, number, f"has id {raw['id']} after id {last_id}; ids must grow")
    return Event(raw["id"], raw["time"], raw["author"], raw["kind"], raw["data"])


def _damaged(path: Path, number: int, what: str) -> ProjectDamagedError:
    return ProjectDamagedError(
        f"{str(path)!r}, line {number} {what}. Restore the file from a backup, or move that line into "
        "another file by hand and open the project again. Nothing was changed or deleted."
    )
