"""Arrays in memory-mapped files, one file per key, under a byte budget; damage is noticed and is a miss.

A file holds, in this order: 8 bytes of magic, the CRC-32 of all that follows (4 bytes, little-endian), the
length of the header (4 bytes), the header (JSON: key, kind, and name, dtype, shape, offset of each array),
and the arrays in C order, each at a multiple of 64 bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seglab.errors import ProjectBusyError, WriteError
from seglab.store import atomic
from seglab.store.lock import FolderLock

Value = np.ndarray | tuple[np.ndarray, ...] | dict[str, np.ndarray]

SUFFIX = ".arrays"
_MAGIC = b"seglabA1"
_CRC_AT, _LENGTH_AT, _HEADER_AT = 8, 12, 16
_ALIGN = 64
_CLOCK_STEP_NS = 1000
"""NTFS keeps times in steps of 100 ns; uses closer together than this could not be told apart."""

_LOCK_WAIT_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    path: Path
    size: int
    used_ns: int


def arrays_of(value: Value) -> dict[str, np.ndarray]:
    """The arrays of a value by name ('0', '1', ... in a tuple).

    Raises:
        TypeError: It is no array, tuple of arrays or dict of arrays, or a dtype is not plain (objects,
            fields).
    """
    if isinstance(value, dict):
        arrays = value
    else:
        arrays = {str(index): item for index, item in enumerate(value if isinstance(value, tuple) else (value,))}
    for name, array in arrays.items():
        plain = isinstance(array, np.ndarray) and not array.dtype.hasobject and array.dtype.fields is None
        if not plain or not isinstance(name, str):
            raise TypeError(
                "a cache keeps NumPy arrays of plain dtypes, and tuples or dicts (string keys) of them; "
                f"got {name!r}: {type(array).__name__}"
            )
    return arrays


def encode(key: str, value: Value) -> list[bytes | memoryview]:
    """The file of a value, in pieces to be written one after the other."""
    kind = {tuple: "tuple", dict: "dict"}.get(type(value), "array")
    described, pieces, offset = [], [], 0
    for name, array in arrays_of(value).items():
        described.append({"name": name, "dtype": array.dtype.str, "shape": array.shape, "offset": offset})
        gap = -(offset + array.nbytes) % _ALIGN
        pieces += [memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8)), bytes(gap)]
        offset += array.nbytes + gap
    header = json.dumps({"key": key, "kind": kind, "arrays": described}).encode("ascii")
    header += b" " * (-(_HEADER_AT + len(header)) % _ALIGN)
    rest = [len(header).to_bytes(4, "little"), header, *pieces]
    crc = 0
    for piece in rest:
        crc = zlib.crc32(piece, crc)
    return [_MAGIC, crc.to_bytes(4, "little"), *rest]


def decode(path: Path, key: str, own: bool = False) -> Value | None:
    """The value in a file as views of its mapping; None if missing, damaged or of another key.

    Args:
        path: of the file.
        key: whose value is wanted.
        own: whether the caller may write to the arrays. Pages it writes to are copied then; the file stays as it
            is. Otherwise the arrays are read-only.
    """
    try:
        buffer = np.memmap(path, dtype=np.uint8, mode="c" if own else "r").view(np.ndarray)
    except (OSError, ValueError):  # missing, or empty
        return None
    if buffer.size < _HEADER_AT or buffer[:_CRC_AT].tobytes() != _MAGIC:
        return None
    if zlib.crc32(buffer[_LENGTH_AT:]) != int.from_bytes(buffer[_CRC_AT:_LENGTH_AT].tobytes(), "little"):
        return None
    # from here on the bytes are the ones that were written
    start = _HEADER_AT + int.from_bytes(buffer[_LENGTH_AT:_HEADER_AT].tobytes(), "little")
    header = json.loads(buffer[_HEADER_AT:start].tobytes())
    if header["key"] != key:
        return None
    arrays = {}
    for item in header["arrays"]:
        dtype, first = np.dtype(item["dtype"]), start + item["offset"]
        raw = buffer[first : first + dtype.itemsize * math.prod(item["shape"])]
        arrays[item["name"]] = raw.view(dtype).reshape(item["shape"])
    if header["kind"] == "dict":
        return arrays
    return tuple(arrays.values()) if header["kind"] == "tuple" else arrays["0"]


def _key_in(path: Path) -> str | None:
    """The key in a file's header; None where there is none to be read."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_AT)
            header = file.read(int.from_bytes(start[_LENGTH_AT:], "little")) if start.startswith(_MAGIC) else b""
        return str(json.loads(header)["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class ArrayFolder:
    """A folder of array files under a byte budget; it is its own index, so processes can share it."""

    def __init__(self, folder: Path, budget: int) -> None:
        """Open the folder and bring it under the budget.

        Args:
            folder: Made when needed, its parents too.
            budget: In bytes, over all files.
        """
        self._folder = folder
        self._budget = budget
        self._lock = FolderLock(folder, timeout_s=_LOCK_WAIT_S)
        self._clock = threading.Lock()
        self._last_ns = 0
        self._stale: set[str] = set()  # names that Windows would not let go of (mapped) although out of date
        self._locked(self._tidy)

    def get(self, key: str, own: bool = False) -> Value | None:
        """The value put last under `key`, mapped from its file, or None; `own`: see `decode`."""
        path = self._path(key)
        value = None if path.name in self._stale else decode(path, key, own)
        if value is not None:
            with contextlib.suppress(OSError):  # read-only folder, or evicted by another process meanwhile
                os.utime(path, ns=(self._now_ns(),) * 2)
        return value

    def holds(self, key: str) -> bool:
        """Whether there is a file for `key`."""
        path = self._path(key)
        return path.name not in self._stale and path.exists()

    def keys(self) -> list[str]:
        """The keys that the files say they are of."""
        found = (_key_in(entry.path) for entry in self._entries() if entry.path.name not in self._stale)
        return [key for key in found if key is not None]

    def put(self, key: str, value: Value) -> None:
        """Write a value if it fits the budget and the system allows; the key's former value goes anyway."""
        path = self._path(key)
        pieces = encode(key, value)
        self._stale.add(path.name)  # whatever happens below, the former value is out of date

        def write() -> None:
            size = sum(len(piece) for piece in pieces)
            if not self._remove(path) or size > self._budget or not self._make_room(size):
                return
            with atomic.temporary(path) as temp:
                with temp.open("wb") as file:
                    for piece in pieces:
                        file.write(piece)
                # not flushed to disk: the checksum catches what a power cut leaves
                os.utime(temp, ns=(self._now_ns(),) * 2)
                os.replace(temp, path)

        self._locked(write)

    def clear(self) -> None:
        """Remove every file."""

        def remove_all() -> None:
            for entry in self._entries():
                self._remove(entry.path)

        self._locked(remove_all)

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self._entries())

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._entries())

    def _locked(self, action: Callable[[], None]) -> None:
        """Do it under the folder's lock; a system that refuses leaves a smaller cache, not an error."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock.held():
                action()
        except (OSError, WriteError, ProjectBusyError) as error:
            _log.warning("the cache in %s was not written: %s", self._folder, error)

    def _tidy(self) -> None:
        atomic.remove_leftovers(self._folder)
        self._make_room(0)

    def _path(self, key: str) -> Path:
        return self._folder / (hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest() + SUFFIX)

    def _entries(self) -> list[_Entry]:
        """All files, least recently used first."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as scan:
            for item in scan:
                if item.name.endswith(SUFFIX) and atomic.TEMP_MARK not in item.name:
                    with contextlib.suppress(FileNotFoundError):
                        status = item.stat()
                        found.append(_Entry(Path(item.path), status.st_size, status.st_mtime_ns))
        return sorted(found, key=lambda entry: entry.used_ns)

    def _make_room(self, size: int) -> bool:
        """Remove the least recently used files until `size` more bytes fit; False if they do not."""
        entries = self._entries()
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total + size <= self._budget:
                break
            if self._remove(entry.path):
                total -= entry.size
        return total + size <= self._budget

    def _remove(self, path: Path) -> bool:
        try:
            path.unlink(missing_ok=True)
        except OSError:  # Windows: an array of it is still in use
            self._stale.add(path.name)
            return False
        self._stale.discard(path.name)
        return True

    def _now_ns(self) -> int:
        """The time, and never the same one twice."""
        with self._clock:
            self._last_ns = max(time.time_ns(), self._last_ns + _CLOCK_STEP_NS)
            return self._last_ns
