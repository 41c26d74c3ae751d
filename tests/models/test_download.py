"""Downloads against a server of our own, which can lose connections, lie and change its mind."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seglab.errors import ChecksumError, DownloadError, JobCancelled, ModelNotFoundError
from seglab.models import download as downloads
from seglab.models.download import CHECKPOINTS, Checkpoint, cache_folder, download

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several reports


@dataclass
class Origin:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    ranges: bool = True
    status: int | None = None
    """Answer every request with this."""
    announce: bool = True
    """Send a Content-Length."""
    wrong_offset: bool = False
    """Answer a range with the right status and the wrong bytes."""
    cuts: list[int] = field(default_factory=list)
    """Bytes of body after which the next connections are dropped, one entry each."""
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""
    url: str = ""

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint("toy", f"{self.url}/toy.pth", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class _Handler(BaseHTTPRequestHandler):
    origin: Origin

    def do_GET(self) -> None:
        origin = self.origin
        asked = self.headers.get("Range")
        origin.asked.append(asked)
        if origin.status:
            self.send_error(origin.status)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and origin.ranges else 0
        if self.headers.get("If-Range") not in (None, origin.etag):
            start = 0
        total = len(origin.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = origin.content[start:]
        self.send_response(206 if start else 200)
        if origin.etag:
            self.send_header("ETag", origin.etag)
        if start:
            shown = start + 5 if origin.wrong_offset else start
            self.send_header("Content-Range", f"bytes {shown}-{total - 1}/{total}")
        if origin.announce:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = origin.cuts.pop(0) if origin.cuts else len(body)
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def origin(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Origin()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"origin": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


class Recorder:
    """A reporter that keeps what it is told and can cancel after some megabytes."""

    def __init__(self, cancel_at: float | None = None) -> None:
        self.reports: list[tuple[float, float | None]] = []
        self.messages: list[str] = []
        self.cancel_at = cancel_at

    def update(self, done, total=None, message=None, **values):
        self.reports.append((done, total))
        if message:
            self.messages.append(message)
        self.check()

    def check(self):
        if self.cancel_at is not None and self.reports and self.reports[-1][0] >= self.cancel_at:
            raise JobCancelled("cancelled")


def part_of(folder: Path) -> Path:
    return folder / "toy.pth.part"


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"toy.pth.lock"}


def test_a_download_is_complete_verified_and_reported(origin, tmp_path):
    recorder = Recorder()
    path = download(origin.checkpoint, tmp_path / "new" / "folder", recorder)
    assert path == tmp_path / "new" / "folder" / "toy.pth"
    assert path.read_bytes() == CONTENT
    assert leftovers(path.parent) == {"toy.pth"}
    done = [report[0] for report in recorder.reports]
    assert done == sorted(done)
    assert len(done) >= 4
    assert done[-1] == pytest.approx(len(CONTENT) / 1e6)
    assert {total for _, total in recorder.reports if total} == {len(CONTENT) / 1e6}
    assert any("toy.pth" in message for message in recorder.messages)


def test_a_second_call_asks_nobody(origin, tmp_path):
    first = download(origin.checkpoint, tmp_path)
    assert download(origin.checkpoint, tmp_path) == first
    assert len(origin.asked) == 1


def test_a_file_of_another_size_is_replaced(origin, tmp_path):
    (tmp_path / "toy.pth").write_bytes(b"half a checkpoint")
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT


def test_a_lost_connection_is_resumed_within_one_call(origin, tmp_path):
    origin.cuts = [1_000_000, 700_000]
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert origin.asked[0] is None
    offsets = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in origin.asked[1:]]
    assert len(offsets) == 2
    assert 0 < offsets[0] <= 1_000_000
    assert offsets[0] < offsets[1] <= 1_700_000


def test_a_download_that_failed_is_resumed_by_the_next_call(origin, tmp_path):
    origin.cuts = [1_000_000, 0]
    with pytest.raises(DownloadError, match=r"are kept in .*toy\.pth\.part.*call again.*checkpoint=PATH"):
        download(origin.checkpoint, tmp_path)
    held = part_of(tmp_path).stat().st_size
    assert 0 < held <= 1_000_000
    assert not (tmp_path / "toy.pth").exists()
    origin.asked.clear()
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert origin.asked == [f"bytes={held}-"]
    assert leftovers(tmp_path) == {"toy.pth"}


def test_without_ranges_the_download_starts_again(origin, tmp_path):
    origin.ranges = False
    part_of(tmp_path).write_bytes(b"x" * 1000)
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT


def test_bytes_of_an_older_file_are_not_mixed_with_the_new_one(origin, tmp_path):
    part_of(tmp_path).write_bytes(b"x" * 1000)
    tag = {"url": origin.checkpoint.url, "etag": '"zero"'}
    (tmp_path / "toy.pth.part.json").write_text(json.dumps(tag))
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert len(origin.asked) == 1  # If-Range spared a second request


def test_a_range_at_the_wrong_place_is_not_used(origin, tmp_path):
    origin.wrong_offset = True
    part_of(tmp_path).write_bytes(CONTENT[:1000])
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert origin.asked == ["bytes=1000-", None]


def test_a_changed_tag_is_seen_without_if_range(origin, tmp_path, monkeypatch):
    # a server that ignores If-Range and sends the rest of the new file
    part_of(tmp_path).write_bytes(b"x" * 1000)
    tag = tmp_path / "toy.pth.part.json"
    tag.write_text(json.dumps({"url": origin.checkpoint.url, "etag": '"zero"'}))
    original = _Handler.parse_request

    def without_if_range(handler):
        parsed = original(handler)
        del handler.headers["If-Range"]
        return parsed

    monkeypatch.setattr(_Handler, "parse_request", without_if_range)
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert origin.asked == ["bytes=1000-", None]


def test_a_part_that_is_already_whole_needs_no_request(origin, tmp_path):
    part_of(tmp_path).write_bytes(CONTENT)
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert origin.asked == []


def test_a_part_that_is_too_long_is_thrown_away(origin, tmp_path):
    part_of(tmp_path).write_bytes(CONTENT + b"more")
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_behind(origin, tmp_path):
    origin.content = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with pytest.raises(ChecksumError, match=r"(?s)SHA-256 .* instead of .*checkpoint=PATH"):
        download(origin.checkpoint, tmp_path)
    assert leftovers(tmp_path) == set()


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:-5], b"<title>Please log in</title>"])
def test_a_file_of_another_length_is_refused_at_once(origin, tmp_path, content):
    origin.content = content
    with pytest.raises(ChecksumError, match=rf"gives {len(content)} bytes instead of {len(CONTENT)}"):
        download(origin.checkpoint, tmp_path)
    assert leftovers(tmp_path) == set()


def test_a_longer_file_of_unknown_length_is_refused(origin, tmp_path):
    origin.announce, origin.content = False, CONTENT + b"more"
    with pytest.raises(ChecksumError, match="gives more bytes"):
        download(origin.checkpoint, tmp_path)
    assert leftovers(tmp_path) == set()


def test_a_shorter_file_of_unknown_length_is_refused(origin, tmp_path):
    origin.announce, origin.content, origin.ranges = False, CONTENT[:-5], False
    with pytest.raises(DownloadError, match="sent nothing more"):
        download(origin.checkpoint, tmp_path)
    assert not (tmp_path / "toy.pth").exists()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_says_which_and_keeps_what_is_here(origin, tmp_path, status):
    origin.status = status
    part_of(tmp_path).write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match=rf"answered {status} .*checkpoint=PATH"):
        download(origin.checkpoint, tmp_path)
    assert part_of(tmp_path).read_bytes() == CONTENT[:1000]


def test_an_unreachable_server_is_a_download_error(tmp_path, origin):
    gone = Checkpoint("toy", "http://127.0.0.1:1/toy.pth", 10, "0" * 64)
    with pytest.raises(DownloadError, match="the connection failed"):
        download(gone, tmp_path)


def test_cancel_keeps_the_part_for_resuming(origin, tmp_path):
    with pytest.raises(JobCancelled):
        download(origin.checkpoint, tmp_path, Recorder(cancel_at=1.0))
    held = part_of(tmp_path).stat().st_size
    assert 1_000_000 <= held < len(CONTENT)
    origin.asked.clear()
    assert download(origin.checkpoint, tmp_path).read_bytes() == CONTENT
    assert origin.asked == [f"bytes={held}-"]


def test_two_downloads_of_one_file_share_it(origin, tmp_path):
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(download(origin.checkpoint, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / "toy.pth"] * 3
    assert len(origin.asked) == 1


def test_a_full_disk_is_seen_before_the_download(origin, tmp_path):
    huge = Checkpoint("toy", f"{origin.url}/toy.pth", 10**18, "0" * 64)
    with pytest.raises(DownloadError, match="MB free"):
        download(huge, tmp_path)
    assert origin.asked == []


def test_a_folder_that_cannot_be_made_is_a_download_error(origin, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="SEGLAB_CACHE"):
        download(origin.checkpoint, tmp_path / "file" / "folder")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ModelNotFoundError, match=r"'vit_x'.*'vit_b', 'vit_l', 'vit_h'"):
        download("vit_x")


def test_the_default_folder_is_in_the_cache(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "CHECKPOINTS", {"toy": origin.checkpoint})
    assert download("toy") == tmp_path / "cache" / "checkpoints" / "toy.pth"


def test_the_cache_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("SEGLAB_CACHE", raising=False)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache_folder() == tmp_path / "local" / "seglab"
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "xdg" / "seglab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "seglab"


def test_the_official_checkpoints_are_fully_described():
    assert set(CHECKPOINTS) == {"vit_b", "vit_l", "vit_h"}
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.url.startswith("https://")
        assert checkpoint.filename == f"sam_{checkpoint.name}_{checkpoint.filename[-10:-4]}.pth"
        assert re.fullmatch(r"[0-9a-f]{64}", checkpoint.sha256)
