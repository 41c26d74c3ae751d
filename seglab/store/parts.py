"""Finished parts of a long piece of work, in a folder: what a killed run, or a worker elsewhere, has done already."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seglab.errors import ProjectBusyError, WriteError
from seglab.store import atomic
from seglab.store.lock import LOCK_NAME, FolderLock

PLAN_NAME = "plan.json"


class PartStore:
    """A folder of parts, each a file of arrays that is there whole or not at all.

    The plan says what the parts are parts of: they are believed only for that. Any number of processes may read and put
    parts at once, on any machine that sees the folder; two that make the same part write the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        """Open a store that is there.

        Args:
            folder: its place.
        """
        self.folder = folder
        self._finished = False

    @classmethod
    @contextlib.contextmanager
    def making(cls, folder: Path, plan: Mapping[str, Any]) -> Iterator[PartStore]:
        """The store of a plan, and the right to say what its parts become, which one run at a time has.

        What is there of the same plan stays, what is there of another one goes. When the block is left, the store
        stays for the next run, unless `finish` was called.

        Args:
            folder: made when needed; its parent must exist.
            plan: JSON-serialisable; the same for the same work.

        Raises:
            ProjectBusyError: another run makes the same thing now.
            WriteError: the folder cannot be made or emptied.
        """
        store = cls(folder)
        with _refusals(folder):
            if not folder.parent.is_dir():
                raise FileNotFoundError(f"the folder {str(folder.parent)!r} does not exist")
            folder.mkdir(exist_ok=True)
        try:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(FolderLock(folder, timeout_s=0).held())
                except ProjectBusyError as error:
                    raise ProjectBusyError(
                        f"another process is making {folder.stem!r} now; wait for it, stop it, or choose another path"
                    ) from error
                with _refusals(folder):
                    store._begin(_text(plan))
                try:
                    yield store
                finally:
                    if store._finished:
                        with contextlib.suppress(OSError):
                            store._clear()  # while nobody else may begin there
        finally:
            if store._finished:
                with contextlib.suppress(OSError):  # another run has begun there
                    (folder / LOCK_NAME).unlink(missing_ok=True)
                    folder.rmdir()

    def _begin(self, plan: str) -> None:
        path = self.folder / PLAN_NAME
        if not path.exists() or path.read_text(encoding="utf-8") != plan:
            self._clear()
            atomic.write_bytes(path, plan.encode())

    def _clear(self) -> None:
        for part in self.folder.iterdir():
            if part.name != LOCK_NAME:
                part.unlink(missing_ok=True)  # a worker that was late may have put it away itself

    def finish(self) -> None:
        """Say that the parts have become what they were made for: the store goes when `making` ends."""
        self._finished = True

    @property
    def plan(self) -> dict[str, Any]:
        """What the parts are parts of.

        Raises:
            WriteError: there is no store here.
        """
        return json.loads(self._plan())

    @property
    def identity(self) -> str:
        """Differs for stores of different plans: SHA-256, in hexadecimal.

        Raises:
            WriteError: there is no store here.
        """
        return hashlib.sha256(self._plan()).hexdigest()

    def _plan(self) -> bytes:
        try:
            return (self.folder / PLAN_NAME).read_bytes()
        except OSError as error:
            raise WriteError(
                f"there is no {PLAN_NAME} in {str(self.folder)!r} ({error}): is it on a file system that this machine "
                "sees? If it was deleted, start again"
            ) from error

    def put(self, name: str, **arrays: np.ndarray) -> None:
        """Keep a part.

        Args:
            name: of the part; a former one of that name is replaced in one step.
            arrays: of plain dtypes, by name.

        Raises:
            WriteError: the system refused; no half of it is left.
        """
        path = self._path(name)
        with atomic.temporary(path) as temp:
            # Not flushed to the disk: what a power cut leaves is noticed, for every array has a checksum.
            np.savez_compressed(temp, **arrays)
            temp.replace(path)

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """A part's arrays; None where it is not there, or is damaged: then it is removed."""
        path = self._path(name)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None

    def holds(self, name: str) -> bool:
        """Whether there is a part of a name."""
        return self._path(name).exists()

    def names(self, kind: str) -> set[str]:
        """The names, so far, that begin with a kind."""
        return {path.stem for path in self.folder.glob(f"{kind}*.npz") if atomic.TEMP_MARK not in path.name}

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def plan_identity(plan: Mapping[str, Any]) -> str:
    """Differs for different plans, also of what is no store: SHA-256, in hexadecimal."""
    return hashlib.sha256(_text(plan).encode()).hexdigest()


def _text(plan: Mapping[str, Any]) -> str:
    return json.dumps(plan, sort_keys=True, indent=1)


@contextlib.contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"cannot write to {str(folder)!r}: {error}; check free space and permissions, or choose another path"
        ) from error
