"""The official SAM checkpoints: downloaded once, with resume and checksum."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import httpx
from filelock import FileLock, Timeout

from seglab.errors import ChecksumError, DownloadError, ModelNotFoundError
from seglab.jobs import Reporter, SilentReporter

MB = 1e6
"""Bytes in the unit that downloads report."""

_READ_SIZE = 1 << 20
"""Bytes hashed between two looks at cancel."""
_NETWORK_TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as lost."""
_MAKE_ROOM = "Free some space, choose another folder, or set SEGLAB_CACHE."
_BY_HAND = "Or fetch the file by other means and pass checkpoint=PATH."
_LOCK_POLL = 0.5
"""Seconds between two looks at cancel while another process downloads the same file."""


@dataclass(frozen=True)
class Checkpoint:
    """A weights file that can be downloaded."""

    name: str
    """The model's name."""
    url: str
    """Where the file is."""
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal digest of the whole file."""

    @property
    def filename(self) -> str:
        """The last part of the URL."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1]


_OFFICIAL = "https://dl.fbaipublicfiles.com/segment_anything/"

CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {
        checkpoint.name: checkpoint
        for checkpoint in (
            Checkpoint(
                "vit_b",
                f"{_OFFICIAL}sam_vit_b_01ec64.pth",
                375_042_383,
                "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            ),
            Checkpoint(
                "vit_l",
                f"{_OFFICIAL}sam_vit_l_0b3195.pth",
                1_249_524_607,
                "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            ),
            Checkpoint(
                "vit_h",
                f"{_OFFICIAL}sam_vit_h_4b8939.pth",
                2_564_550_879,
                "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            ),
        )
    }
)
"""The official checkpoints of segment-anything (Apache-2.0), by model name."""


def cache_folder() -> Path:
    """The folder for files that can be fetched again.

    Returns:
        SEGLAB_CACHE where it is set; else LOCALAPPDATA/seglab on Windows and XDG_CACHE_HOME/seglab or
        ~/.cache/seglab elsewhere. It may not exist yet.
    """
    if chosen := os.environ.get("SEGLAB_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seglab"


def download(checkpoint: str | Checkpoint, folder: str | Path | None = None, report: Reporter | None = None) -> Path:
    """Fetch a checkpoint, or return it at once where it has been fetched before.

    A download that was cut off or cancelled is kept beside its final name and resumed by the next call. The
    file gets its final name only after its SHA-256 has been verified.

    Args:
        checkpoint: a name in CHECKPOINTS, or a Checkpoint of your own.
        folder: where to keep it; default: "checkpoints" in the cache folder.
        report: told the megabytes done and in all; cancelling it stops the download.

    Returns:
        The path of the complete, verified file.

    Raises:
        ModelNotFoundError: no checkpoint of that name.
        DownloadError: the server cannot be reached, refuses, or the disk is full.
        ChecksumError: the file is not the one that was expected.
        JobCancelled: `report` was cancelled.
    """
    wanted = _find(checkpoint)
    report = report or SilentReporter()
    folder = Path(folder).expanduser() if folder else cache_folder() / "checkpoints"
    target = folder / wanted.filename
    if _is_complete(target, wanted):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _FileLock(target, report):
            if not _is_complete(target, wanted):
                _Transfer(wanted, target, report).run()
    except OSError as error:
        raise DownloadError(f"{str(target)!r} cannot be written: {error}. {_MAKE_ROOM}") from error
    return target


def _find(checkpoint: str | Checkpoint) -> Checkpoint:
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    if checkpoint not in CHECKPOINTS:
        raise ModelNotFoundError(
            f"there is no checkpoint to download for {checkpoint!r}; there are "
            f"{', '.join(map(repr, CHECKPOINTS))} ('tiny' comes with the package)"
        )
    return CHECKPOINTS[checkpoint]


def _is_complete(target: Path, wanted: Checkpoint) -> bool:
    """The final name is only given to a verified file, so that its size is proof enough."""
    return target.is_file() and target.stat().st_size == wanted.size


class _FileLock:
    """Holds a checkpoint's lock, waiting for another process that downloads it, open to cancel."""

    def __init__(self, target: Path, report: Reporter) -> None:
        self._lock = FileLock(f"{target}.lock")
        self._report = report

    def __enter__(self) -> None:
        while True:
            self._report.check()
            try:
                self._lock.acquire(timeout=_LOCK_POLL)
            except Timeout:
                self._report.update(0, message="waiting for another process that downloads the same file")
            else:
                return

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


class _Transfer:
    """One checkpoint on its way to one path."""

    def __init__(self, wanted: Checkpoint, target: Path, report: Reporter) -> None:
        self.wanted = wanted
        self.target = target
        self.part = target.with_name(f"{target.name}.part")
        self.tag = target.with_name(f"{target.name}.part.json")
        self.report = report

    def run(self) -> None:
        """Fetch, verify, rename."""
        if self._held() > self.wanted.size:
            self._forget()
        self._check_space()
        self._fetch_all()
        self._verify()
        os.replace(self.part, self.target)
        self.tag.unlink(missing_ok=True)

    def _held(self) -> int:
        """Bytes already here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def _check_space(self) -> None:
        needed, free = self.wanted.size - self._held(), shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise DownloadError(
                f"{self.wanted.filename} needs {needed / MB:,.0f} MB and {str(self.target.parent)!r} has "
                f"{free / MB:,.0f} MB free. {_MAKE_ROOM}"
            )

    def _fetch_all(self) -> None:
        """Fetch until every byte is here, resuming for as long as each connection brings something."""
        timeout = httpx.Timeout(_NETWORK_TIMEOUT)
        with httpx.Client(timeout=timeout, follow_redirects=True) as client:
            while self._held() < self.wanted.size:
                before = self._held()
                try:
                    if not self._fetch(client):
                        continue
                except httpx.TransportError as error:
                    if self._held() <= before:
                        raise self._failed(f"the connection failed ({error!r})") from error
                except httpx.HTTPError as error:
                    raise self._failed(f"the request failed ({error!r})") from error
                else:
                    if self._held() <= before:
                        raise self._failed("the server sent nothing more")
        if self._held() > self.wanted.size:
            self._forget()
            raise self._other_file("more")

    def _fetch(self, client: httpx.Client) -> bool:
        """One request: append to what is here where the server can, else start again.

        Returns:
            False where what was here had to be thrown away.
        """
        held = self._held()
        headers = {"Accept-Encoding": "identity"}
        if held:
            headers["Range"] = f"bytes={held}-"
            if etag := self._read_tag():
                headers["If-Range"] = etag
        with client.stream("GET", self.wanted.url, headers=headers) as answer:
            resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
            refused = answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
            if held and (refused or (resumed and not self._continues(answer, held))):
                # What is here belongs to another file: throw it away; the next request asks for the whole.
                self._forget()
                return False
            if answer.status_code != httpx.codes.OK and not (resumed and held):
                raise self._failed(f"the server answered {answer.status_code} {answer.reason_phrase}")
            if not resumed:
                announced = answer.headers.get("Content-Length", str(self.wanted.size))
                if announced != str(self.wanted.size):
                    raise self._other_file(announced)
                self._write_tag(answer)
            self._receive(answer, "ab" if resumed else "wb")
        return True

    def _continues(self, answer: httpx.Response, held: int) -> bool:
        """Whether a 206 is the rest of the same file: right offset, right length, same ETag."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", "").strip())
        if not found or (int(found[1]), int(found[3])) != (held, self.wanted.size):
            return False
        before, now = self._read_tag(), answer.headers.get("ETag")
        return before is None or now is None or before == now

    def _receive(self, answer: httpx.Response, mode: str) -> None:
        total = self.wanted.size / MB
        with open(self.part, mode) as file:
            done = file.tell()
            shown = -MB
            for piece in answer.iter_raw():
                file.write(piece)
                done += len(piece)
                if done - shown >= MB:
                    shown = done
                    self.report.update(done / MB, total, f"downloading {self.wanted.filename}")
                self.report.check()
        self.report.update(done / MB, total)

    def _verify(self) -> None:
        """Hash the whole file and put it on disk for good; delete it where the digest is wrong."""
        self.report.update(self.wanted.size / MB, message=f"verifying {self.wanted.filename}")
        digest = hashlib.sha256()
        with open(self.part, "rb+") as file:
            while piece := file.read(_READ_SIZE):
                digest.update(piece)
                self.report.check()
            os.fsync(file.fileno())
        if digest.hexdigest() != self.wanted.sha256:
            self._forget()
            raise ChecksumError(
                f"{self.wanted.url!r} gave a file with SHA-256 {digest.hexdigest()} instead of "
                f"{self.wanted.sha256}; it was deleted. A proxy may have changed it. Try again. {_BY_HAND}"
            )

    def _read_tag(self) -> str | None:
        """The ETag that came with the bytes held, unless it was weak or the URL has changed since."""
        with suppress(OSError, ValueError):
            kept = json.loads(self.tag.read_text(encoding="utf-8"))
            if kept.get("url") == self.wanted.url:
                return kept.get("etag")
        return None

    def _write_tag(self, answer: httpx.Response) -> None:
        etag = answer.headers.get("ETag")
        if etag and etag.startswith("W/"):  # a weak tag does not promise equal bytes
            etag = None
        self.tag.write_text(json.dumps({"url": self.wanted.url, "etag": etag}), encoding="utf-8")

    def _failed(self, reason: str) -> DownloadError:
        return DownloadError(
            f"{self.wanted.url!r} could not be downloaded: {reason}. {self._held() / MB:,.1f} of "
            f"{self.wanted.size / MB:,.1f} MB are kept in {str(self.part)!r}; call again to go on from "
            f"there. {_BY_HAND}"
        )

    def _other_file(self, size: int | str) -> ChecksumError:
        return ChecksumError(
            f"{self.wanted.url!r} gives {size} bytes instead of {self.wanted.size}, so it is another file; a "
            f"proxy or a login page may stand in between. Try again. {_BY_HAND}"
        )
