"""Caches of arrays under a byte budget: in memory, or in memory-mapped files that survive the process."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from seglab.store.array_files import ArrayFolder, Value, arrays_of


def cache_key(**parts: Any) -> str:
    """A key that is equal only when every part is: source fingerprint, bands, scaling, window, weights and so
    on.

    Args:
        **parts: None, bool, int, float, str, NumPy scalars, and tuples, lists, dicts (string keys) and
            dataclasses of them. A tuple and a list of the same items are equal, 1 and 1.0 are not.

    Returns:
        The SHA-256 of the parts' canonical JSON, in hexadecimal.

    Raises:
        TypeError: A part has no canonical form.
    """
    text = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class ArrayCache:
    """Least-recently-used cache of arrays, or of tuples or dicts of arrays, under a byte budget.

    A hit is what was put last under that key; everything else (evicted, damaged, deleted, written by another
    version) is a miss, never an exception. Values come back read-only, unless the caller asks for its own. Safe
    between threads; with a folder also between processes, which then share the budget.
    """

    def __init__(self, budget_bytes: int, folder: str | Path | None = None) -> None:
        """Open a cache.

        Args:
            budget_bytes: Never hold more than this, in bytes. A larger value is not kept at all.
            folder: Where the memory-mapped files go (made when needed); None keeps values in memory.
        """
        self.budget_bytes = int(budget_bytes)
        self._store = _Memory(self.budget_bytes) if folder is None else ArrayFolder(Path(folder), self.budget_bytes)

    def get(self, key: str, *, own: bool = False) -> Value | None:
        """The value that was put last under `key`, or None.

        Args:
            key: as in `put`.
            own: whether the caller may write to the arrays, which never changes the cache: for torch, which knows
                no read-only tensors. With a folder nothing is copied before it is written to; each value keeps a
                file open while it is in use (up to Python 3.12).
        """
        return self._store.get(key, own)

    def put(self, key: str, value: Value) -> None:
        """Keep a value, dropping the least recently used ones to make room.

        Args:
            key: Usually from `cache_key`.
            value: An array, or a tuple or dict (string keys) of arrays; any plain dtype, any shape.

        Raises:
            TypeError: The value is something else.
        """
        arrays_of(value)
        self._store.put(key, value)

    def __contains__(self, key: str) -> bool:
        """Whether a value stands under `key`; asking is no use of it, and nothing is read to see if it is damaged."""
        return self._store.holds(key)

    def keys(self) -> list[str]:
        """The keys of all values that are held now."""
        return self._store.keys()

    def clear(self) -> None:
        """Drop every value."""
        self._store.clear()

    @property
    def nbytes(self) -> int:
        """Bytes held now; with a folder, the size of its files."""
        return self._store.nbytes

    def __len__(self) -> int:
        """How many values are held."""
        return len(self._store)

    def __repr__(self) -> str:
        """The cache's size, for a person."""
        return f"<ArrayCache {len(self)} values, {self.nbytes / 2**20:.1f} MiB>"


class _Memory:
    """Values in memory, copied on the way in so that a caller's later change cannot reach them."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def get(self, key: str, own: bool) -> Value | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            value = self._values[key][0]
        if own:
            return _copy(value)
        return dict(value) if isinstance(value, dict) else value

    def put(self, key: str, value: Value) -> None:
        size = sum(array.nbytes for array in arrays_of(value).values())
        copy = _copy(value, frozen=True) if size <= self._budget else None
        with self._lock:
            _, old = self._values.pop(key, (None, 0))
            self._nbytes -= old
            if copy is None:
                return
            while self._nbytes + size > self._budget:
                _, (_, freed) = self._values.popitem(last=False)
                self._nbytes -= freed
            self._values[key] = (copy, size)
            self._nbytes += size

    def holds(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> list[str]:
        with self._lock:
            return list(self._values)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._nbytes = 0

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def __len__(self) -> int:
        return len(self._values)


def _copy(value: Value, frozen: bool = False) -> Value:
    if isinstance(value, tuple):
        return tuple(_copy(array, frozen) for array in value)
    if isinstance(value, dict):
        return {name: _copy(array, frozen) for name, array in value.items()}
    copy = np.array(value, order="C")
    copy.flags.writeable = not frozen
    return copy


def _canonical(part: Any) -> Any:
    """The part in JSON's own types, with nothing lost that tells it from another one."""
    if isinstance(part, np.generic):
        part = part.item()
    if part is None or isinstance(part, (bool, int, str)):
        return part
    if isinstance(part, float):
        # NaN is a fine nodata value, but JSON has no word for it
        return part if math.isfinite(part) else {"float": str(part)}
    if isinstance(part, (tuple, list)):
        return [_canonical(item) for item in part]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        return {"dataclass": type(part).__name__, "fields": _canonical(fields)}
    if isinstance(part, dict) and all(isinstance(key, str) for key in part):
        return {key: _canonical(item) for key, item in part.items()}
    raise TypeError(f"{part!r} cannot be a part of a cache key: use numbers, strings, tuples, dicts with string keys")
