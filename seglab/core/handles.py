"""Open raster files: one GDAL handle per thread, since they must not be shared, and a new one when the file changes."""

from __future__ import annotations

import os
import secrets
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from seglab.core.gdal_errors import told
from seglab.errors import (
    DamagedSceneError,
    NotARasterError,
    SceneChangedError,
    SceneClosedError,
    SceneNotFoundError,
)

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"\xff\xd8\xff", b"\0\0\0\x0cjP")
"""First bytes of TIFF, BigTIFF, PNG, JPEG and JPEG 2000."""

_REMOTE_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing of the server's folder
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
}

SETTLED_S = 2.0
"""FAT's step of time. A file that was written less than this ago may be written again and look the same."""

_SIDECARS = ("", ".ovr", ".msk", ".aux.xml")  # GDAL takes pixels, masks and nodata values from them too

BLOCK_CACHE_MB = 128
"""What GDAL keeps of the rasters' blocks for the whole process. Its own choice is a twentieth of all memory, which
somebody who pans over a large scene fills; 128 MB hold what a window as coarse as 24 scene pixels reads."""

MAPPING_CACHE_MB = 48
"""The same in a process that only maps: it goes through a scene once, and windows that overlap are read one after the
other."""

# Whoever has set it knows better. GDAL looks at it when it reads its first block.
os.environ.setdefault("GDAL_CACHEMAX", str(BLOCK_CACHE_MB))

_warnings_lock = threading.Lock()  # catch_warnings swaps a global


def keep_few_blocks() -> None:
    """Say that this process only maps, and those that it starts too; before the first raster is read."""
    if os.environ["GDAL_CACHEMAX"] == str(BLOCK_CACHE_MB):
        os.environ["GDAL_CACHEMAX"] = str(MAPPING_CACHE_MB)


def is_remote(path: str) -> bool:
    """Whether GDAL reads it through one of its virtual file systems: a URL, s3://..., /vsicurl/..."""
    return "://" in path or path.startswith("/vsi")


def gdal_options(path: str) -> AbstractContextManager[object]:
    """The GDAL settings under which a source is opened and read."""
    return rasterio.Env(**_REMOTE_OPTIONS) if is_remote(path) else nullcontext()


def open_dataset(path: str) -> rasterio.DatasetReader:
    """Open a raster.

    Raises:
        SceneNotFoundError: no such file, or the server says so.
        NotARasterError: no driver reads it.
        DamagedSceneError: it starts like a raster and does not go on like one.
    """
    if not is_remote(path) and not Path(path).exists():
        raise SceneNotFoundError(f"there is no file {path!r}; check the path (now in {os.getcwd()!r})")
    try:
        with gdal_options(path), _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a plain image is a scene too
            return rasterio.open(path)
    except RasterioIOError as error:
        raise _explain(path, error) from error


def _explain(path: str, error: RasterioIOError) -> Exception:
    if is_remote(path):
        said = str(error)
        if "404" in said or "does not exist" in said or "No such file" in said:
            return SceneNotFoundError(f"nothing is found at {path!r}; check the address ({said})")
        return NotARasterError(
            f"{path!r} cannot be opened as a raster; check the address, the network and whether it needs a "
            f"signed link ({said})"
        )
    if Path(path).is_file():
        with open(path, "rb") as file:
            start = file.read(16)
        if start.startswith(_MAGIC):
            return DamagedSceneError(f"the file {path!r} is damaged or cut short; copy it again ({error})")
    return NotARasterError(
        f"{path!r} is not a raster that GDAL reads; give a GeoTIFF, a PNG, a JPEG or another image ({error})"
    )


def _unreadable(path: str, error: RasterioIOError) -> DamagedSceneError:
    if is_remote(path):
        return DamagedSceneError(
            f"pixels of {path!r} cannot be read: the server or the connection failed, or the file is damaged there; "
            f"try again ({told(error)})"
        )
    return DamagedSceneError(
        f"pixels of {path!r} cannot be read: the file is damaged or cut short; copy it again ({told(error)})"
    )


def file_state(path: str) -> tuple[str, int]:
    """What the file system says of a file, in words, and when it was last written to, in ns since 1970."""
    try:
        status = os.stat(path)
    except OSError:  # no such sidecar; a file that has gone is noticed by whoever opens it
        return "-", 0
    # The change time cannot be set back; Windows calls the time of creation so, and keeps it.
    written = status.st_mtime_ns if os.name == "nt" else status.st_ctime_ns
    return f"{status.st_size},{status.st_mtime_ns},{status.st_ctime_ns},{status.st_ino}", written


class _Handle:
    """One thread's dataset and the lock that keeps `close` out while it is being read."""

    def __init__(self, dataset: rasterio.DatasetReader, state: str | None) -> None:
        self.dataset = dataset
        self.state = state
        self.lock = threading.Lock()
        self.pid = os.getpid()


class ThreadHandles:
    """A raster that any number of threads read at once.

    Args:
        path: a local file or a URL.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._local = threading.local()
        self._open: weakref.WeakSet[_Handle] = weakref.WeakSet()  # a thread that ends drops its handle
        self._lock = threading.Lock()
        self._closed = False
        self._parts: tuple[str, ...] = () if is_remote(path) else tuple(path + suffix for suffix in _SIDECARS)
        self._session = secrets.token_hex(8)
        self._layout = ""

    def state(self) -> str | None:
        """What the file system says of the raster's files: while it stays the same, so do the pixels.

        Returns:
            Sizes, times and inodes of the file, its sidecars and, for a virtual raster, its sources. None if that
            says nothing: a file was written moments ago, within the file system's step of time. A remote raster
            is taken to stay as it is for as long as it is open here.
        """
        found = [file_state(part) for part in self._parts]
        now = time.time_ns()
        if any(abs(now - written) < SETTLED_S * 1e9 for _, written in found):
            return None
        return ";".join(state for state, _ in found) or self._session

    def stamp(self) -> str:
        """As `state`, whenever the files were written: when it differs they were written to, when not, maybe."""
        return ";".join(file_state(part)[0] for part in self._parts)

    @contextmanager
    def dataset(self) -> Iterator[rasterio.DatasetReader]:
        """This thread's dataset, opened on first use and again when the file has changed: GDAL keeps blocks of it.

        Raises:
            SceneClosedError: after `close`.
            SceneNotFoundError: the file has gone.
            SceneChangedError: the file has become another raster.
            DamagedSceneError: the pixels cannot be read.
        """
        handle: _Handle | None = getattr(self._local, "handle", None)
        state = self.state()
        if handle is None or handle.pid != os.getpid():  # a forked child must not share a file position
            handle = self._new(state)
        elif state is None or state != handle.state:
            self._drop(handle)
            handle = self._new(state)
        with handle.lock:
            if self._closed:
                raise self._closed_error()
            try:
                with gdal_options(self.path):
                    yield handle.dataset
            except RasterioIOError as error:
                raise _unreadable(self.path, error) from error

    def close(self) -> None:
        """Close every thread's dataset, once its read in progress has ended."""
        with self._lock:
            self._closed = True
            handles = list(self._open)
        for handle in handles:
            with handle.lock:
                handle.dataset.close()

    def _new(self, state: str | None) -> _Handle:
        if self._closed:
            raise self._closed_error()
        dataset = open_dataset(self.path)
        handle = _Handle(dataset, state)
        # as text, where a nodata value of NaN equals itself
        pixels = (dataset.shape, dataset.dtypes, dataset.nodatavals, dataset.mask_flag_enums)
        layout = repr((*pixels, dataset.transform, dataset.crs))
        with self._lock:
            self._layout = self._layout or layout
            if layout != self._layout:
                dataset.close()
                raise SceneChangedError(
                    f"the file {self.path!r} was replaced by another raster since it was opened; open it again with "
                    "seglab.open"
                )
            if not is_remote(self.path):
                sources = (part for part in dataset.files if not is_remote(part))
                self._parts = tuple(dict.fromkeys([*self._parts, *sources]))
            if self._closed:
                handle.dataset.close()
                raise self._closed_error()
            self._open.add(handle)
        self._local.handle = handle
        return handle

    def _drop(self, handle: _Handle) -> None:
        with self._lock:
            self._open.discard(handle)
        with handle.lock:
            handle.dataset.close()

    def _closed_error(self) -> SceneClosedError:
        return SceneClosedError(f"the scene {self.path!r} is closed; open it again with seglab.open")
