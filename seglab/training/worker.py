"""The training process: `python -m seglab.training.worker FOLDER`, started by seglab.training.process.

It reads a job from the folder, tells its progress as JSON lines on its standard output, and leaves the outcome in the
folder. It goes when its parent goes, which it knows from its standard input: the system closes it when the parent ends,
however that happens. Nothing heavy is imported before it can be told to stop.
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab.errors import SegLabError

if TYPE_CHECKING:
    import numpy as np

NICENESS = 10
"""Added to the process's niceness: what a person does in the kernel comes first (a tenth of the weight in Linux)."""
OUT_OF_MEMORY_SCORE = 800
"""Of 1000: when memory runs out, Linux ends this process before the kernel that holds the session."""

CGROUPS = Path("/sys/fs/cgroup")

PROGRESS, PREVIEW, FAILED, DONE = "progress", "preview", "failed", "done"
"""Kinds of messages."""
PREVIEW_FILE = "preview.safetensors"
"""Name of the file in the job's folder that holds the preview."""

Send = Callable[..., None]


class LineReporter:
    """Tells progress to the parent. It never asks to stop: whoever cancels ends the process."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        """Send one line."""
        self._send(PROGRESS, done=done, total=total, message=message, values=values)

    def check(self) -> None:
        """Never stop."""


def main(folder: Path) -> int:
    """Train the job in a folder.

    Returns:
        The process's exit status: 0 when it is done or said why it is not.
    """
    _be_modest()
    _leave_with_the_parent(folder)
    send = _take_stdout()
    faulthandler.enable()  # a crash in compiled code leaves a traceback too
    try:
        from seglab.training.engine import run_job  # torch comes with it, so not before this point
        from seglab.training.exchange import read_job, write_outcome, write_tensors

        def on_preview(tensors: dict[str, np.ndarray]) -> None:
            write_tensors(folder / PREVIEW_FILE, tensors)
            send(PREVIEW, file=PREVIEW_FILE)

        write_outcome(folder, run_job(LineReporter(send), read_job(folder), on_preview))
    except SegLabError as error:
        send(FAILED, error=type(error).__name__, message=str(error))
        return 0
    send(DONE)
    return 0


def _be_modest() -> None:
    """Step behind the kernel, in time and when memory runs out. (Windows: the parent has set the priority.)"""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with suppress(OSError):  # only Linux has it, and a sandbox may refuse
        Path("/proc/self/oom_score_adj").write_text(str(OUT_OF_MEMORY_SCORE))
    # One core's worth is left to the kernel. Niceness alone is not enough: threads that wait for one that a click has
    # put aside keep their cores busy, and a container whose quota is spent stands still as a whole, clicks too.
    quota = cores_allowed()
    cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(cores if quota is None else min(quota, cores)) - 1)))


def cores_allowed(root: Path = CGROUPS) -> float | None:
    """How many cores' time a container may use: what Linux's control groups say; None without such a limit.

    Args:
        root: where control groups are mounted.
    """
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # versions 2 and 1
        with suppress(OSError, ValueError):
            quota, period = " ".join((root / name).read_text(encoding="ascii") for name in names).split()
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
    return None


def _leave_with_the_parent(folder: Path) -> None:
    """End, and clean up, as soon as standard input is closed."""
    # A blocked read of the standard handle itself would block libraries that look at it while they load (Windows);
    # a plain read, for a buffered one would hold a lock that the interpreter needs when it ends.
    source = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        with suppress(OSError):
            while os.read(source, 1):
                pass
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _take_stdout() -> Send:
    """Keep standard output for messages: what libraries print goes to standard error."""
    target = os.dup(1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(kind: str, **values: Any) -> None:
        line = json.dumps({"kind": kind, **values}).encode() + b"\n"
        with lock, open(target, "wb", closefd=False) as stream:
            stream.write(line)

    return send


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
