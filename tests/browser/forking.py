"""Kernels that begin with everything imported: one process imports what each notebook needs and forks for each kernel.

On the machines that run these tests the imports of a kernel take as long as many a test. Run as a program it is

    forking.py serve SOCKET            the process that forks
    forking.py kernel SOCKET FILE      what a server of notebooks starts in place of a kernel, and may interrupt or end

Where nothing forks (`os.fork` is missing) kernels are started as usual; so they are by Notebook 7 and Voila.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import threading
import time

PATIENCE = 120
"""Seconds that the imports may take."""


def kernelspec(address: str) -> dict[str, object]:
    """The kernel "python3" by way of the process that listens at an address."""
    argv = [sys.executable, "-PS", __file__, "kernel", address, "{connection_file}"]
    return {"argv": argv, "display_name": "Python 3", "language": "python", "metadata": {"debugger": False}}


def serve(address: str) -> None:
    """Import, then fork for whoever connects, for ever."""
    for name in ("ipykernel.kernelapp", "localtileserver", "seglab.ui.labeler"):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for kernels
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address + ".new")
        listening.listen()
        os.rename(address + ".new", address)
        while True:
            connection, _ = listening.accept()
            asked = json.loads(connection.makefile().readline())
            pid = os.fork()
            if pid == 0:
                listening.close()
                _be_kernel(connection, **asked)
            connection.sendall(f"{pid}\n".encode())
            connection.close()


def _be_kernel(connection: socket.socket, file: str, folder: str, environ: dict[str, str]) -> None:
    """In the forked process: run a kernel until it ends, or the other end of the connection does."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = ["ipykernel_launcher", "-f", file]

    def follow() -> None:
        connection.recv(1)
        os._exit(0)

    threading.Thread(target=follow, daemon=True).start()
    code = 1
    try:
        sys.modules["ipykernel.kernelapp"].launch_new_instance(argv=sys.argv[1:])
        code = 0
    finally:
        os._exit(code)


def kernel(address: str, file: str) -> None:
    """Have a kernel forked and live as long as it does."""
    end = time.monotonic() + PATIENCE
    while not os.path.exists(address):
        if time.monotonic() > end:
            raise SystemExit(f"nobody listens at {address}")
        time.sleep(0.02)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        asked = {"file": file, "folder": os.getcwd(), "environ": dict(os.environ)}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        pid = int(connection.makefile().readline())
        signal.signal(signal.SIGINT, lambda *_: os.kill(pid, signal.SIGINT))
        while connection.recv(1):
            pass


if __name__ == "__main__":
    {"serve": serve, "kernel": kernel}[sys.argv[1]](*sys.argv[2:])
