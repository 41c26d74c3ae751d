"""A round in a process of its own: a crash there costs the round, never the kernel with its labels."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seglab import errors
from seglab.errors import SegLabError, TrainingError
from seglab.jobs import Reporter
from seglab.training.exchange import read_outcome, read_tensors, write_job
from seglab.training.job import RoundOutcome, TrainingJob
from seglab.training.worker import DONE, FAILED, PREVIEW

OnPreview = Callable[[dict[str, np.ndarray]], None]

POLL = 0.1
"""Seconds between two looks at whether the job was cancelled."""
PATIENCE = 0.3
"""Seconds that the process has to end by itself before it is killed."""
TAIL = 15
"""Lines of the process's errors that a message shows, at most."""
UNTOUCHED = "Your labels and the round in use are untouched."
STDERR = "stderr.txt"
"""Name of the file in the job's folder that takes what the process writes to standard error."""
_OUT_OF_MEMORY = ("MemoryError", "can't allocate memory", "not enough memory", "OutOfMemoryError")
"""How Python and torch (Linux, Windows, CUDA) say that there is no memory left."""


def run_round(
    reporter: Reporter, job: TrainingJob, on_preview: OnPreview | None = None, isolate: bool = True
) -> RoundOutcome:
    """Train a round and judge it.

    Args:
        reporter: told progress; may cancel, which takes effect within a second.
        job: what to train.
        on_preview: called in this thread with the preview's tensors, while training goes on.
        isolate: train in a process of its own, of low priority; else in this thread.

    Raises:
        TrainingError: there is nothing to train on, or the process came to an end; the message says why.
        SegLabError: what the process met: a damaged checkpoint, a device that is not there.
        JobCancelled: the job was cancelled.
    """
    if not isolate:
        from seglab.training.engine import run_job  # the process alone needs it otherwise

        return run_job(reporter, job, on_preview)
    reporter.update(0, message="starting the training process")
    # What cannot be deleted now (Windows, a scanner that has it open) is the system's to clean up.
    with tempfile.TemporaryDirectory(prefix="seglab-round-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        write_job(folder, job)
        follow(reporter, worker_command(folder), folder, on_preview)
        return read_outcome(folder)


def worker_command(folder: Path) -> list[str]:
    """How to start the training process for a job's folder."""
    return [sys.executable, "-m", "seglab.training.worker", str(folder)]


def worker_environment() -> dict[str, str]:
    """This process's environment, in which another Python imports the same seglab and finds the same packages."""
    root = str(Path(errors.__file__).resolve().parents[1])
    paths = [path for path in sys.path if os.path.isabs(path)]
    # The order of this process is kept: the packages' folder before the standard library's would hide parts of it.
    own = paths if root in paths else [root, *paths]
    return os.environ | {"PYTHONPATH": os.pathsep.join(own)}


def follow(reporter: Reporter, command: Sequence[str], folder: Path, on_preview: OnPreview | None = None) -> None:
    """Run the training process until it says that it is done.

    Args:
        reporter: told what the process tells.
        command: starts the process.
        folder: where the process works, and where previews are found.
        on_preview: see `run_round`.

    Raises:
        TrainingError, SegLabError, JobCancelled: see `run_round`.
    """
    with _started(command, folder) as process:
        for message in _messages(reporter, process):
            kind = message["kind"]
            if kind == DONE:
                return
            if kind == FAILED:
                raise _same_error(message)
            if kind == PREVIEW:
                if on_preview is not None:
                    on_preview(read_tensors(folder / message["file"]))
                continue
            reporter.update(message["done"], message["total"], message["message"], **message["values"])
        status = process.wait()
    raise TrainingError(_what_happened(status, _tail(folder)))


@contextmanager
def _started(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has ended when the block is left."""
    try:
        with open(folder / STDERR, "wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,  # a person's folder may be gone, or hold files that are called like a package
                env=worker_environment(),
                **_apart(),
            )
    except OSError as error:
        raise TrainingError(
            f"the training process cannot be started ({error}); free some memory, or open the session with "
            f"isolate=False to train in the kernel. {UNTOUCHED}"
        ) from error
    try:
        yield process
    finally:
        _end(process)


def _apart() -> dict[str, Any]:
    """Interrupting a cell signals the kernel's whole group of processes: training is not meant, so it is not in it.

    A group of its own, not a session: Linux shares time among sessions first and looks at niceness within one only, so
    in a session of its own the process would compete with the kernel on equal terms.
    """
    if sys.platform == "win32":
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that is done; stop one that is not. It has nothing to save."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdin.close()


def _messages(reporter: Reporter, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """What the process tells, until it closes its output; asks every `POLL` seconds whether to stop."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        with process.stdout as stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="seglab training output", daemon=True).start()
    while True:
        reporter.check()
        try:
            line = lines.get(timeout=POLL)
        except queue.Empty:
            continue
        if line is None:
            return
        if line.endswith(b"\n"):  # a process that is killed may leave half a line
            yield json.loads(line)


def _same_error(message: Mapping[str, Any]) -> SegLabError:
    """The error that the process met, as this process would have met it."""
    known = getattr(errors, message["error"], TrainingError)
    return known(message["message"])


def _tail(folder: Path) -> str:
    text = (folder / STDERR).read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.rstrip().splitlines()[-TAIL:])


def _what_happened(status: int, tail: str) -> str:
    """Why a process that was not done has ended, and what to do.

    Args:
        status: as subprocess gives it: negative for a signal.
        tail: the last lines of its errors.
    """
    names = {int(s): s.name for s in signal.Signals}
    advice = "Close other notebooks and programs to free memory, choose a smaller model, or use fewer steps"
    if -status == getattr(signal, "SIGKILL", None):
        what = "was killed by the system, most likely because memory ran out"
    elif any(sign in tail for sign in _OUT_OF_MEMORY):
        what = "ran out of memory"
    else:
        what = f"crashed ({names.get(-status, -status)})" if status < 0 else f"failed (exit status {status})"
        advice = "Retrain; if it happens again, report the lines below"
    said = f"\nIts last words:\n{tail}" if tail else ""
    return f"the training process {what}. {UNTOUCHED} {advice}.{said}"
