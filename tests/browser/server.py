"""A real notebook server in a process of its own, with settings and a runtime folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Server:
    """A running process that serves pages on a port of this machine.

    Args:
        home: folder for all its files.
        environ: more environment variables for it and its kernels.
    """

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home = home
        self.runtime = home / "runtime"
        self.log = home / "server.log"
        self._settings(home / "config")
        self.port = _free_port()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=home,
                env=self.environ(home, environ),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def command(self) -> Sequence[str]:
        """What starts it, on its port."""
        raise NotImplementedError

    def said(self) -> str:
        """What it has written so far; fails when it has died."""
        text = self.log.read_text(errors="replace")
        assert self._process.poll() is None, f"{type(self).__name__} has ended:\n{text[-4000:]}"
        return text

    def stop(self) -> None:
        """End the server and its kernels."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
            self._process.wait(20)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            if os.name == "posix":
                os.killpg(self._process.pid, number)
            else:
                self._process.terminate()

    @staticmethod
    def environ(home: Path, more: Mapping[str, str]) -> dict[str, str]:
        """Environment of a server that keeps its files in a folder, and of its kernels."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY_", "VOILA"))}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {
            **environ,
            "PYTHONPATH": path,
            "OMP_NUM_THREADS": "1",
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            **more,
        }

    @staticmethod
    def _settings(config: Path) -> None:
        """No question about news over the page, and no look for updates on the network."""
        quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
        file = config / "labconfig" / "default_setting_overrides.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(quiet), encoding="utf-8")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
