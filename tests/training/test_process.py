"""A round in a process of its own: what it tells, how it is stopped, and what is left when it falls."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import seglab
from seglab import errors, jobs
from seglab.errors import DeviceError, JobCancelled, TrainingError
from seglab.jobs import SilentReporter
from seglab.training import process
from seglab.training.exchange import write_job
from seglab.training.job import RoundOutcome, TrainingJob
from seglab.training.process import follow, run_round, worker_command, worker_environment
from seglab.training.worker import cores_allowed
from tests.training.made_jobs import make_job

SLOW = 60.0
"""Seconds after which a test gives up waiting; nothing is timed by it."""

TELL = """
import json, sys
def tell(**values):
    sys.stdout.write(json.dumps(values) + "\\n"); sys.stdout.flush()
"""


class Listener(SilentReporter):
    """Keeps what it is told; says stop once it has been told something that holds `stop_at`."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.told: list[tuple[float, float | None, str | None, dict[str, float]]] = []
        self._stop_at = stop_at

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        self.told.append((done, total, message, values))
        self.check()

    def check(self) -> None:
        if self._stop_at is not None and any(self._stop_at in (message or "") for _, _, message, _ in self.told):
            raise JobCancelled("stop")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", TELL + code]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made during a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch):
    """Runs other code where the training process would run."""
    return lambda code: monkeypatch.setattr(process, "worker_command", lambda folder: python(code))


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting for it for a while."""
    end = time.monotonic() + SLOW
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


class Witness(Listener):
    """Looks at the process while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.previews: list[tuple[int, dict[str, np.ndarray]]] = []
        self.nice = self.group = self.session = self.score = None

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        super().update(done, total, message, **values)
        if message == "training" and self.nice is None and sys.platform != "win32":
            child = next(c for c in psutil.Process().children() if "seglab.training.worker" in " ".join(c.cmdline()))
            self.nice, self.group, self.session = child.nice(), os.getpgid(child.pid), os.getsid(child.pid)
            if sys.platform == "linux":
                self.score = int(Path(f"/proc/{child.pid}/oom_score_adj").read_text())

    def on_preview(self, tensors: dict[str, np.ndarray]) -> None:
        self.previews.append((len(self.told), tensors))


@dataclass(frozen=True)
class Trained:
    """A round by a process of its own."""

    job: TrainingJob
    outcome: RoundOutcome
    witness: Witness
    left: tuple[str, ...]
    """Files among the temporary ones afterwards."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One round by the real process: to start one takes long."""
    folder = tmp_path_factory.mktemp("temporary")
    job, witness = make_job(folder / "prefixes", held_out=3), Witness()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        outcome = run_round(witness, job, witness.on_preview)
    return Trained(job, outcome, witness, tuple(path.name for path in folder.iterdir()))


def test_a_round_comes_back_whole(trained: Trained) -> None:
    """Progress, a preview meanwhile, and the same round as in this thread."""
    made, witness = trained.outcome, trained.witness
    assert trained.left == ("prefixes",)
    steps = [done for done, _, message, _ in witness.told if message == "training"]
    assert steps == [1, 2]
    assert witness.previews[0][0] < len(witness.told) - 1  # told before the steps that followed
    assert made.validation.objects == 6
    assert made.config["steps"] == 2
    assert 100 < made.peak_mb < 1500

    shown: list[dict[str, np.ndarray]] = []
    here = run_round(SilentReporter(), trained.job, shown.append, isolate=False)
    assert [found.keys() for _, found in witness.previews] == [found.keys() for found in shown]
    assert here.tensors.keys() == made.tensors.keys()
    for name, tensor in here.tensors.items():
        np.testing.assert_allclose(made.tensors[name], tensor, rtol=1e-3, atol=2e-4)
    assert made.losses == pytest.approx(here.losses, rel=1e-3)
    assert here.validation.round.keys() == made.validation.round.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has priorities instead, which are set at the start")
def test_the_worker_steps_behind_the_kernel(trained: Trained) -> None:
    """Nicer than this process, first to go when memory runs out, and out of reach of an interrupted cell."""
    witness = trained.witness
    assert witness.nice == min(19, psutil.Process().nice() + 10)
    assert witness.group != os.getpgrp()
    assert witness.session == os.getsid(0)  # niceness counts within a session only (Linux's autogroups)
    assert sys.platform != "linux" or witness.score == 800


def test_the_worker_imports_no_widgets_and_no_geopandas(tmp_path: Path) -> None:
    """Its memory has to fit beside the kernel's."""
    write_job(tmp_path, make_job(held_out=3, steps=1))
    code = f"""
import runpy
sys.argv = ["worker", {str(tmp_path)!r}]
try:
    runpy.run_module("seglab.training.worker", run_name="__main__")
finally:
    sys.stderr.write("LOADED " + " ".join(sys.modules))
"""
    with subprocess.Popen(
        python(code),
        stdin=subprocess.PIPE,  # open until it ends: it would leave if it were closed
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=worker_environment(),
    ) as worker:
        told = worker.stderr.read().decode()
    loaded = set(told.split("LOADED ")[1].split())
    assert "torch" in loaded
    assert not loaded & {"ipywidgets", "IPython", "ipykernel", "ipyleaflet", "geopandas", "pandas", "matplotlib"}


def test_errors_of_the_process_are_those_of_the_session(temporary: Path) -> None:
    with pytest.raises(DeviceError, match="no device 'cuda:77'"):
        run_round(SilentReporter(), replace(make_job(), device="cuda:77"))
    assert not list(temporary.iterdir())


def test_progress_is_passed_on(tmp_path: Path) -> None:
    listener = Listener()
    code = """
tell(kind="progress", done=3, total=7, message="here", values={"loss": 0.5})
tell(kind="progress", done=4, total=None, message=None, values={})
tell(kind="done")
"""
    follow(listener, python(code), tmp_path)
    assert listener.told == [(3, 7, "here", {"loss": 0.5}), (4, None, None, {})]


def test_a_process_that_is_done_is_not_waited_for(tmp_path: Path) -> None:
    code = 'import os, time\ntell(kind="progress", done=os.getpid(), total=1, message="", values={})\n'
    listener = Listener()
    follow(listener, python(code + 'tell(kind="done")\ntime.sleep(600)'), tmp_path)
    assert gone(listener.told[0][0])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('the cat is out')", r"failed \(exit status 1\).*(?s:.*)RuntimeError: the cat is out"),
        ("raise MemoryError", "ran out of memory.*Close other notebooks"),
        ("raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')", "ran out of memory"),
        ("import os; os._exit(0)", r"failed \(exit status 0\)"),
        ('sys.stdout.write(\'{"kind": "pro\'); sys.exit(3)', r"failed \(exit status 3\)"),
    ],
    ids=["crash", "memory", "torch's memory", "silent end", "half a line"],
)
def test_a_crash_says_what_happened(temporary: Path, instead, code: str, said: str) -> None:
    instead(code)
    with pytest.raises(TrainingError, match=said) as caught:
        run_round(SilentReporter(), make_job())
    assert "Your labels and the round in use are untouched." in str(caught.value)
    assert not list(temporary.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "said"),
    [("SIGKILL", "killed by the system, most likely because memory ran out"), ("SIGSEGV", r"crashed \(SIGSEGV\)")],
)
def test_a_killed_process_says_so(temporary: Path, instead, number: str, said: str) -> None:
    instead(f"import os, signal; os.kill(os.getpid(), signal.{number})")
    with pytest.raises(TrainingError, match=said):
        run_round(SilentReporter(), make_job())
    assert not list(temporary.iterdir())


def test_only_the_end_of_a_long_complaint_is_shown(temporary: Path, instead) -> None:
    instead("for i in range(100000): sys.stderr.write(f'line {i}.\\n')\nsys.exit(1)")
    with pytest.raises(TrainingError) as caught:
        run_round(SilentReporter(), make_job())
    assert "line 99999." in str(caught.value)
    assert "line 99000." not in str(caught.value)


STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
tell(kind="progress", done=os.getpid(), total=1, message="stop me", values={})
while True: time.sleep(1)
"""


@pytest.mark.parametrize("told", [True, False], ids=["while it tells", "while it is silent"])
def test_cancelling_ends_even_a_process_that_will_not(temporary: Path, instead, told: bool) -> None:
    instead(STUBBORN)
    if told:
        listener = Listener("stop me")
        with pytest.raises(JobCancelled):
            run_round(listener, make_job())
        pid = listener.told[-1][0]
    else:
        job = jobs.start(run_round, make_job(), title="retrain")
        end = time.monotonic() + SLOW
        while job.progress.message != "stop me" and time.monotonic() < end:
            time.sleep(0.02)
        pid = int(job.progress.done)
        job.cancel()
        with pytest.raises(JobCancelled):
            job.result(SLOW)
    assert gone(pid)
    assert not list(temporary.iterdir())


def test_cancelling_does_not_wait_for_torch(temporary: Path) -> None:
    """Told to stop while the process is still importing: it is ended there."""
    job = jobs.start(run_round, make_job(steps=100_000), title="retrain")
    children = []
    end = time.monotonic() + SLOW
    while not children and time.monotonic() < end:
        children = [c for c in psutil.Process().children() if "seglab.training.worker" in " ".join(c.cmdline())]
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result(SLOW)
    assert job.progress.message == "starting the training process"
    assert all(gone(child.pid) for child in children)
    assert not list(temporary.iterdir())


def test_what_the_listener_raises_ends_the_process(temporary: Path, instead) -> None:
    instead(STUBBORN.replace('tell(kind="progress"', 'tell(kind="preview", file="gone.safetensors", extra="x"'))
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(TrainingError, match="cannot read"):
        run_round(SilentReporter(), make_job(), on_preview=lambda tensors: None)
    assert {child.pid for child in psutil.Process().children()} <= before
    assert not list(temporary.iterdir())


def test_the_worker_goes_and_cleans_up_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The parent is killed, so nobody says goodbye: the closed pipe has to do."""
    folder = tmp_path / "job"
    folder.mkdir()
    write_job(folder, make_job(steps=100_000))
    code = f"""
import subprocess, time
child = subprocess.Popen({worker_command(folder)!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd={str(folder)!r})
for line in child.stdout:
    if b'"training"' in line:
        tell(pid=child.pid)
        break
time.sleep(600)
"""
    with subprocess.Popen(
        python(code), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=worker_environment()
    ) as parent:
        worker = int(parent.stdout.readline().split(b":")[1].strip(b" }\n"))
        assert psutil.pid_exists(worker)
        parent.kill()
    assert gone(worker)
    assert not folder.exists()


def test_what_libraries_print_is_not_taken_for_progress(tmp_path: Path) -> None:
    code = """
from seglab.training.worker import _take_stdout
import os
send = _take_stdout()
print("chatter", flush=True)
os.write(1, b"more chatter\\n")
send("done")
"""
    follow(SilentReporter(), python(code), tmp_path)
    assert "chatter" in (tmp_path / process.STDERR).read_text()


def test_another_process_imports_this_seglab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the person's folder has been deleted, or holds a file that is called like a module."""
    (tmp_path / "seglab.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    code = "import seglab; tell(kind='failed', error='TrainingError', message=seglab.__file__)"
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(TrainingError) as caught:
        follow(SilentReporter(), python(code), folder)
    assert Path(str(caught.value)) == Path(seglab.__file__)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no folder that is in use")
def test_a_deleted_working_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = tmp_path / "lost"
    lost.mkdir()
    monkeypatch.chdir(lost)
    lost.rmdir()
    follow(SilentReporter(), python("import seglab; tell(kind='done')"), tmp_path)
    monkeypatch.chdir(tmp_path)


def test_a_python_that_cannot_be_started_says_so(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "worker_command", lambda folder: [str(temporary / "no python")])
    with pytest.raises(TrainingError, match=r"cannot be started.*isolate=False"):
        run_round(SilentReporter(), make_job())
    assert not list(temporary.iterdir())


def test_every_error_can_cross() -> None:
    """The parent rebuilds an error from its name and message."""
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.SegLabError)]
    for kind in kinds:
        found = process._same_error({"error": kind.__name__, "message": "what to do"})
        assert (type(found), str(found)) == (kind, "what to do")
    assert isinstance(process._same_error({"error": "Path", "message": ""}), TrainingError)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
    ids=["version 2", "no limit", "version 1", "no limit in version 1", "no control groups"],
)
def test_a_containers_quota_is_known(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores_allowed(tmp_path) == cores
