"""By which addresses a page may reach the tile server; which of them works only the browser can say.

A kernel is told the notebook server's base_url behind a JupyterHub and under Voila, but not under a plain
`--ServerApp.base_url`; the server writes it into its runtime folder, where it is found here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE_BASE = "{base_url}"
"""Stands in a route for the base_url that the page itself knows."""

PROXY = "localtileserver-proxy"
"""Where localtileserver's extension of the notebook server forwards to a port of this machine."""

SERVER_PROXY = "proxy"
"""The same by jupyter-server-proxy, which hubs often have where the extension is missing."""

_BASE_URL_VARIABLES = ("JUPYTERHUB_SERVICE_PREFIX", "JPY_BASE_URL", "VOILA_BASE_URL")


@dataclass(frozen=True)
class Route:
    """One way from the page to the tile server."""

    name: str
    """"server", "page", "server-proxy" or "direct"; "comm" or "bytes" of those that need no address."""
    url: str
    """Address of a tile, absolute or from the page's origin; PAGE_BASE stands in the route "page"; may be empty."""
    reason: str = ""
    """Why it is tried, and where it leads, for a person."""


WITHOUT_ADDRESS = (
    Route("comm", "", "the widgets' own messages, where no address works: VS Code, Colab, a proxy that is blocked"),
    Route("bytes", "", "a picture of the view after each change of it, where those bring no tiles either"),
)
"""The last ways, in order: they need nothing but the kernel."""


@dataclass(frozen=True)
class Base:
    """The base_url of the notebook server that started this kernel."""

    url: str
    """With a slash at both ends."""
    reason: str
    """How it is known, for a person."""


def candidates(
    port: int | str | None,
    path: str,
    environ: Mapping[str, str] | None = None,
    servers: Sequence[Mapping[str, Any]] | None = None,
    parent_pid: int | None = None,
) -> list[Route]:
    """The routes to try, best first; the first one is complete without the page's help.

    Args:
        port: of the tile server, or what shall stand for it; None: it has none.
        path: below its root, starting with "/".
        environ: of the kernel; None: this process's.
        servers: as `running_servers` returns; None: ask it.
        parent_pid: of the kernel; None: this process's.

    Returns:
        The notebook server's proxy under the base_url known here, the same under the page's own,
        jupyter-server-proxy, and the port itself, which a browser on this machine reaches. Without a port, none.
    """
    if port is None:
        return []
    known = find_base(
        os.environ if environ is None else environ,
        running_servers() if servers is None else servers,
        os.getppid() if parent_pid is None else parent_pid,
    )
    base = known.url
    forwards = "localtileserver's extension of the notebook server"
    return [
        Route("server", f"{base}{PROXY}/{port}{path}", f"{forwards}; {base!r} by {known.reason}"),
        Route("page", f"{PAGE_BASE}{PROXY}/{port}{path}", "the same, under the base_url that the page itself knows"),
        Route("server-proxy", f"{base}{SERVER_PROXY}/{port}{path}", "jupyter-server-proxy, which hubs often have"),
        Route("direct", f"http://127.0.0.1:{port}{path}", "the port itself, for a browser on this machine"),
    ]


def find_base(environ: Mapping[str, str], servers: Sequence[Mapping[str, Any]], parent_pid: int) -> Base:
    """The base_url of the notebook server that started this kernel, and how it is known.

    Args:
        environ: of the kernel.
        servers: of this user that are running, each with "base_url" and "pid".
        parent_pid: of the kernel.

    Returns:
        What a hub or Voila says; else that of the server whose process started the kernel; else the one that
        all running servers share; else "/".
    """
    for name in _BASE_URL_VARIABLES:
        if environ.get(name):
            return Base(_slashed(environ[name]), name)
    parents = {str(parent_pid), environ.get("JPY_PARENT_PID", "")}  # on Windows the variable holds a handle
    for server in servers:
        if str(server.get("pid")) in parents:
            return Base(_slashed(str(server.get("base_url", ""))), "the notebook server that started this process")
    shared = {_slashed(str(server.get("base_url", ""))) for server in servers}
    if len(shared) == 1:
        return Base(shared.pop(), "the notebook server that is running")
    return Base("/", "default: no notebook server says otherwise" if not shared else "default: the servers differ")


def running_servers(runtime_dir: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """What the notebook servers of this user have written about themselves, newest first.

    Args:
        runtime_dir: Jupyter's runtime folder; None: the one of this process.

    Returns:
        One mapping per server; some may have crashed and left theirs behind.
    """
    if runtime_dir is None:
        from jupyter_core.paths import jupyter_runtime_dir

        runtime_dir = jupyter_runtime_dir()
    found = []
    for file in Path(runtime_dir).glob("jpserver-*.json"):
        try:
            found.append((file.stat().st_mtime, json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError):  # a server that is just starting or stopping
            continue
    found.sort(key=lambda item: item[0], reverse=True)
    return [server for _, server in found if isinstance(server, dict)]


def _slashed(path: str) -> str:
    inner = path.strip("/")
    return f"/{inner}/" if inner else "/"
