"""Rasters behind URLs: which version of them a server has, and what GDAL must forget when it has another one."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from contextlib import suppress

import rasterio

from seglab.core.handles import open_dataset
from seglab.errors import SegLabError

_HEAD_TIMEOUT = 10.0  # seconds

_opened: dict[str, str] = {}
"""The version of each URL that was opened last in this process."""
_lock = threading.Lock()


def server_version(url: str) -> str | None:
    """What the server says of the version of a file, and its size; None if it says nothing, or does not answer.

    Args:
        url: http or https; of other addresses nobody is asked.
    """
    if not url.startswith(("http://", "https://")):
        return None
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_HEAD_TIMEOUT) as answer:
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            length = answer.headers.get("Content-Length")
    except (urllib.error.URLError, OSError, ValueError):  # GDAL opens some that do not answer a HEAD
        return None
    return None if version is None else f"{version}|{length}"


def note_version(url: str) -> str | None:
    """Ask for the version of a URL that is about to be opened. Where it is another one than the last time, GDAL forgets
    what it keeps of it: by itself it would go on with pixels of both.

    Returns:
        See `server_version`.
    """
    version = server_version(url)
    if version is None:
        return None
    with _lock:
        before, _opened[url] = _opened.get(url, version), version
    if before != version:
        with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=f"/vsicurl/{url}"), suppress(SegLabError):
            open_dataset(url).close()
    return version


def opened_version(url: str) -> str | None:
    """The version of a URL that was opened last in this process, as far as the server told."""
    with _lock:
        return _opened.get(url)
