"""A web server on this machine that gives ranges of files, as storage services do, and counts what it gives."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Web:
    """What a running server gave, and whether it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.given = 0
        """Bytes of bodies."""
        self.fails_after: int | None = None
        """Answers to requests for pixels before it says 503; None: it always answers."""
        self.refused = 0
        """Requests that got a 503."""

    def __truediv__(self, name: str) -> str:
        return f"{self.address}/{name}"


class _Ranges(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, web: Web) -> None:
        self.web = web
        super().__init__(*args, directory=str(web.folder))

    def send_head(self) -> None:
        path = Path(self.translate_path(self.path.partition("?")[0]))
        if not path.is_file():
            self._end(404, b"")
        elif self.command == "GET" and self._fails():
            self._end(503, b"")
        else:
            self._give(path.read_bytes())

    def _fails(self) -> bool:
        web = self.web
        if web.fails_after is None:
            return False
        web.fails_after = max(0, web.fails_after - 1)
        web.refused += web.fails_after == 0
        return web.fails_after == 0

    def _give(self, data: bytes) -> None:
        wanted = self.headers.get("Range")
        first, last = 0, len(data) - 1
        if wanted:
            low, _, high = wanted.removeprefix("bytes=").partition("-")
            first, last = int(low), min(int(high or last), last)
        headers = {
            "Content-Range": f"bytes {first}-{last}/{len(data)}",
            "Accept-Ranges": "bytes",
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
        }
        self._end(206 if wanted else 200, data[first : last + 1], headers)

    def _end(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.web.given += len(body)
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    """Serve a folder while the block runs."""
    web = Web(folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Ranges, web=web)) as server:
        web.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield web
        server.shutdown()
        thread.join()
