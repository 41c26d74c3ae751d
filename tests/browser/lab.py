"""A real JupyterLab and what tests do in it: write a notebook, open it, run it, look at it.

Nothing here sleeps for time; everything waits for a condition.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
from jupyter_client import BlockingKernelClient
from PIL import Image
from playwright.sync_api import Locator, Page

from tests.browser import forking
from tests.browser.server import Server

TIMEOUT = 120.0
"""Seconds a condition may take; a machine that also trains a model is slow."""
_POLL = 0.05  # seconds between two looks at a condition

HUB = {"base_url": "/user/ada/", "environ": {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}}
"""How JupyterHub starts the server of one of its users."""

_ERRORS = '[data-mime-type="application/vnd.jupyter.error"]'
_KERNEL_IDLE = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.sessionContext;
    const kernel = session?.session?.kernel;
    return session?.isReady && kernel?.status === "idle" && "jupyter.widget" in kernel._targetRegistry;
}"""
"""The page is also ready for widgets: those that a kernel makes before are lost."""
_INK = """pane => {
    let painted = 0;
    for (const canvas of document.querySelectorAll(`.leaflet-${pane}-pane canvas`)) {
        const values = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        for (let i = 3; i < values.length; i += 4) painted += values[i] > 0;
    }
    return painted;
}"""
_RUN_ALL = """() => {
    window.cellsHaveRun = false;
    window.jupyterapp.commands.execute("notebook:run-all-cells").finally(() => { window.cellsHaveRun = true; });
}"""


def wait_for(predicate: Callable[[], Any], what: str, page: Page | None = None, timeout: float = TIMEOUT) -> Any:
    """Look again and again until `predicate()` is true, and return what it returned.

    Args:
        predicate: looks once.
        what: is waited for, for the message.
        page: kept alive meanwhile, so that its events arrive.
        timeout: seconds.
    """
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still waiting after {timeout:.0f} s for {what}")
        if page is None:
            time.sleep(_POLL)
        else:
            page.wait_for_timeout(_POLL * 1000)


class Lab(Server):
    """A running `jupyter lab` with settings, runtime folder and notebooks of its own.

    Args:
        home: folder for all its files.
        base_url: what its addresses start with, "/" at both ends.
        environ: more environment variables for it and its kernels.
    """

    module = "jupyterlab"
    """What Python runs."""
    forks = hasattr(os, "fork")
    """Whether its kernels are forked from a process that has imported everything: see forking."""
    page = "lab/tree/"
    """Below the base_url: where a notebook is shown, followed by its name."""
    options = (
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=",
    )

    def __init__(self, home: Path, base_url: str = "/", environ: Mapping[str, str] | None = None) -> None:
        self.base_url = base_url
        self.token = "test-token"
        self.root = home / "notebooks"
        self.root.mkdir(parents=True)
        changed = dict(environ or {})
        self._forker = None
        if self.forks:
            changed["JUPYTER_PATH"] = str(home / "forked")
            self._forker = self._start_forker(home, changed)
        super().__init__(home, changed)

    @staticmethod
    def _start_forker(home: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        folder, address = Path(environ["JUPYTER_PATH"]) / "kernels" / "python3", home / "forker"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(forking.kernelspec(str(address))), encoding="utf-8")
        command = [sys.executable, "-P", forking.__file__, "serve", str(address)]
        return subprocess.Popen(command, cwd=home, env=Server.environ(home, environ))

    def stop(self) -> None:
        """End the server and its kernels."""
        super().stop()
        if self._forker is not None:
            self._forker.terminate()
            self._forker.wait(20)

    def url(self, path: str = "", **query: str) -> str:
        """Address of a page or an API of the server."""
        return f"http://127.0.0.1:{self.port}{self.base_url}{path}?{urlencode({'token': self.token, **query})}"

    def get(self, path: str) -> Any:
        """Answer of one of its APIs, as JSON; None while it does not answer."""
        try:
            answer = httpx.get(self.url(path), timeout=10, trust_env=False)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def wait_until_ready(self) -> None:
        """Wait until the server answers; fails at once with its log when it has died."""

        def ready() -> bool:
            self.said()
            return self.get("api/status") is not None

        wait_for(ready, self.module)

    def clean(self) -> None:
        """Shut every kernel down and empty the notebooks' folder."""
        for session in self.get("api/sessions"):
            httpx.delete(self.url(f"api/sessions/{session['id']}"), timeout=60, trust_env=False)
        wait_for(lambda: self.get("api/kernels") == [], "the kernels to end")
        shutil.rmtree(self.root)
        self.root.mkdir()

    def run(self, code: str, notebook: str | None = None, timeout: float = TIMEOUT) -> str:
        """Run code in the kernel of an open notebook, beside the page, and return what it printed.

        Args:
            code: Python.
            notebook: file name; None: the only one that is open.
            timeout: seconds.
        """
        sessions = [s for s in self.get("api/sessions") if notebook is None or s["path"] == notebook]
        assert len(sessions) == 1, f"open notebooks: {[s['path'] for s in sessions]}"
        with self._client(sessions[0]["kernel"]["id"], timeout) as client:
            printed: list[str] = []

            def collect(message: dict[str, Any]) -> None:
                if message["msg_type"] == "stream":
                    printed.append(message["content"]["text"])

            reply = client.execute_interactive(code, timeout=timeout, output_hook=collect, store_history=False)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        return "".join(printed)

    @contextmanager
    def _client(self, kernel: str, timeout: float) -> Any:
        client = BlockingKernelClient(connection_file=str(self.runtime / f"kernel-{kernel}.json"))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=timeout)
            yield client
        finally:
            client.stop_channels()

    def command(self) -> list[str]:
        """What starts it."""
        return [
            sys.executable,
            "-m",
            self.module,
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.base_url={self.base_url}",
            f"--ServerApp.root_dir={self.root}",
            f"--IdentityProvider.token={self.token}",
            *self.options,
        ]


class Notebook(Lab):
    """A running `jupyter notebook`, version 7: JupyterLab's parts, one notebook a page."""

    module = "notebook"
    page = "notebooks/"
    options = ("--JupyterNotebookApp.expose_app_in_browser=True", "--LabApp.news_url=")
    forks = False


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells for the kernel "python3" (without one JupyterLab would ask which)."""
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")


def open_notebook(page: Page, lab: Lab, name: str) -> None:
    """Show a notebook of the lab's root folder and wait until its kernel is idle."""
    page.goto(lab.url(f"{lab.page}{name}", reset=""))
    page.wait_for_function(_KERNEL_IDLE, timeout=TIMEOUT * 1000)


def run_all(page: Page, timeout: float = TIMEOUT) -> None:
    """Run > Run All Cells; returns when all have ended. Fails with the traceback of a cell that failed."""
    page.evaluate(_RUN_ALL)
    page.wait_for_function("() => window.cellsHaveRun", timeout=timeout * 1000)
    page.wait_for_function(_KERNEL_IDLE, timeout=TIMEOUT * 1000)
    failed = page.locator(_ERRORS)
    assert failed.count() == 0, failed.first.inner_text()


def wait_for_tiles(page: Page, least: int = 1) -> None:
    """Wait until the map shows at least so many tiles, all fully loaded and faded in."""
    page.wait_for_function(
        """least => {
            const tiles = [...document.querySelectorAll("img.leaflet-tile")];
            return tiles.length >= least && tiles.every(tile =>
                tile.complete && tile.naturalWidth > 0 && tile.classList.contains("leaflet-tile-loaded")
                && getComputedStyle(tile).opacity === "1");
        }""",
        arg=least,
        timeout=TIMEOUT * 1000,
    )


def pixels(place: Locator | Page, clip: Mapping[str, float] | None = None) -> np.ndarray:
    """What is seen of an element, or of a part of the page: (rows, cols, 3) uint8.

    Args:
        place: the element, or the page.
        clip: {"x", "y", "width", "height"} in CSS pixels, of a page only.
    """
    png = place.screenshot() if clip is None else place.screenshot(clip=dict(clip))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def ink(page: Page, pane: str) -> int:
    """How many pixels the outlines of a map's pane paint: they are drawn on a canvas.

    Args:
        page: with one map.
        pane: its name.
    """
    return page.evaluate(_INK, pane)


def artefacts() -> Path:
    """The folder that screenshots are kept in: SEGLAB_ARTEFACTS, or one among the temporary files."""
    folder = Path(os.environ.get("SEGLAB_ARTEFACTS") or Path(tempfile.gettempdir()) / "seglab-artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def screenshot(page: Page, name: str) -> Path:
    """Keep a picture of the page and return where."""
    path = artefacts() / f"{name}.png"
    page.screenshot(path=path)
    return path
