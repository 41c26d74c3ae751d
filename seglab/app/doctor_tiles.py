"""Whether tiles of a scene can be served and fetched here, and the ways a page would try to reach them."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from jupyter_core.paths import jupyter_config_path

from seglab.datasets.examples import example
from seglab.errors import SegLabError
from seglab.serve.routes import WITHOUT_ADDRESS, Route, candidates
from seglab.serve.tiles import HOST, TileLayerHandle, TileServer

TIMEOUT = 30.0
"""Seconds for a tile."""
EXTENSION = "localtileserver._jupyter"
"""localtileserver's extension of the notebook server, as its configuration names it."""
ANY_PATH = "/TOKEN/LAYER/{z}/{x}/{y}.png"
"""Stands for a tile's path: a real one holds the token."""
ANY_PORT = "PORT"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    value: str
    """What was found."""
    ok: bool = True
    advice: str = ""
    """What to do; empty when all is well."""


def check_tiles() -> Iterator[Check]:
    """Serve a tile of the packaged Landsat scene; fetch it with the token, and see it refused without."""
    server = TileServer()
    try:
        handle = server.add(example("landsat"), indexes=(3, 2, 1))
        yield from _drawn(server, handle)
        if server.port is None:
            advice = f"let Python open ports on {HOST} (firewall, sandbox); till then tiles come by messages, slowly"
            yield Check("tiles", f"no server: {server.problem}", False, advice)
        else:
            yield from _fetched(server, handle)
    except SegLabError as error:
        yield Check("tiles", "the packaged scene cannot be served", False, str(error))
    except httpx.HTTPError as error:
        advice = f"allow connections to {HOST} from this machine (firewall, sandbox)"
        yield Check("tiles", f"not fetched: {error!r}", False, advice)
    finally:
        server.close()


def _probe_path(handle: TileLayerHandle) -> str:
    return handle.path_template.format(**dict(zip("zxy", handle.probe_tile, strict=True)))


def _drawn(server: TileServer, handle: TileLayerHandle) -> Iterator[Check]:
    status, png = server.render(_probe_path(handle))
    if status == 200:
        yield Check("messages", f"a tile of {len(png):,} bytes is drawn for the widgets' own messages")
    else:
        yield Check("messages", f"no tile is drawn ({status})", False, "pip install --force-reinstall localtileserver")


def _fetched(server: TileServer, handle: TileLayerHandle) -> Iterator[Check]:
    path = _probe_path(handle)
    # loopback never goes through a proxy that the environment names
    with httpx.Client(base_url=f"http://{HOST}:{server.port}", timeout=TIMEOUT, trust_env=False) as client:
        answer = client.get(path)
        refused = client.get(path.replace(server.token, "x" * len(server.token)))
    if answer.status_code == 200 and answer.headers.get("content-type") == "image/png":
        yield Check("tiles", f"one of {len(answer.content):,} bytes came with the token")
    else:
        advice = "pip install --force-reinstall localtileserver; the scene itself comes with it"
        yield Check("tiles", f"the server answers {answer.status_code}", False, advice)
    if refused.status_code == 404:
        yield Check("token", "without it the same tile is refused")
    else:
        advice = "do not open confidential scenes on a shared machine, and report this"
        yield Check("token", f"without it the server answers {refused.status_code}", False, advice)


def check_routes() -> tuple[tuple[Route, ...], tuple[Check, ...]]:
    """The routes that a page would try, in order, and what they need on the side of the notebook server."""
    routes = (*candidates(ANY_PORT, ANY_PATH), *WITHOUT_ADDRESS)
    extension = extension_is_on(jupyter_config_path())
    proxy = _installed("jupyter-server-proxy")
    on = Check("extension", "localtileserver's, on for notebook servers of this environment")
    if not extension:
        works = "without it, jupyter-server-proxy or a browser on this machine brings tiles, else messages, slowly"
        advice = f"in the notebook server's environment: jupyter server extension enable {EXTENSION}; {works}"
        on = Check("extension", "localtileserver's is not on", False, advice)
    other = f"installed, {proxy}" if proxy else "not installed; needed only where the extension is missing"
    return routes, (on, Check("jupyter-server-proxy", other))


def extension_is_on(folders: Iterable[str]) -> bool:
    """Whether a notebook server that reads these configuration folders loads localtileserver's extension.

    Args:
        folders: the most important first, as `jupyter_config_path` returns.
    """
    for folder in folders:
        base = Path(folder)
        for file in [base / "jupyter_server_config.json", *sorted((base / "jupyter_server_config.d").glob("*.json"))]:
            try:
                found = json.loads(file.read_bytes())["ServerApp"]["jpserver_extensions"][EXTENSION]
            except (OSError, ValueError, LookupError, TypeError):
                continue
            return found is True
    return False


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
