"""Jobs report, stop, and hand back what happened."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading

import pytest

from seglab import jobs
from seglab.errors import JobCancelled, NoLabelsError


def test_a_job_returns_what_its_function_returns() -> None:
    job = jobs.start(lambda reporter, x, y: x + y, 2, y=3, title="add")
    assert job.result(timeout=10) == 5
    assert job.state == "done" and job.finished and job.error is None


def test_a_failure_reaches_the_caller() -> None:
    def fail(reporter: jobs.Reporter) -> None:
        raise NoLabelsError("nothing")

    job = jobs.start(fail, title="fail")
    with pytest.raises(NoLabelsError, match="nothing"):
        job.result(timeout=10)
    assert job.state == "failed"


def test_progress_reaches_subscribers_until_they_leave() -> None:
    go, first, second = threading.Event(), threading.Event(), threading.Event()
    heard: list[float] = []

    def work(reporter: jobs.Reporter) -> None:
        reporter.update(1, 4, message="halfway", loss=0.5)
        first.set()
        go.wait(10)
        reporter.update(2, iou=0.7)
        second.set()

    job = jobs.start(work, title="work", unit="step")
    assert first.wait(10)
    leave = job.subscribe(lambda j: heard.append(j.progress.done))
    assert heard == [1]
    leave()
    go.set()
    job.result(timeout=10)
    assert heard == [1]
    progress = job.progress
    assert (progress.done, progress.total, progress.unit, progress.message) == (2, 4, "step", "halfway")
    assert progress.values == {"loss": 0.5, "iou": 0.7}
    assert progress.fraction == 0.5
    assert progress.rate > 0 and progress.seconds_left == pytest.approx(2 / progress.rate)
    assert "50%" in repr(job)


def test_cancel_stops_at_the_next_report() -> None:
    running = threading.Event()
    done = 0

    def work(reporter: jobs.Reporter) -> None:
        nonlocal done
        while True:
            done += 1
            running.set()
            reporter.update(done)

    job = jobs.start(work, title="endless")
    assert running.wait(10)
    job.cancel()
    with pytest.raises(JobCancelled, match="'endless'"):
        job.result(timeout=10)
    assert job.state == "cancelled"


def test_waiting_has_an_end() -> None:
    release = threading.Event()
    job = jobs.start(lambda reporter: release.wait(10), title="slow")
    with pytest.raises(TimeoutError, match="'slow'"):
        job.result(timeout=0.01)
    release.set()
    assert job.result(timeout=10) is True


def test_a_job_runs_in_the_callers_context() -> None:
    cell: contextvars.ContextVar[str] = contextvars.ContextVar("cell", default="none")
    cell.set("this one")
    assert jobs.start(lambda reporter: cell.get(), title="look").result(timeout=10) == "this one"


def test_follow_shows_a_bar_until_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    seen = threading.Event()

    def work(reporter: jobs.Reporter) -> int:
        reporter.update(3, 3)
        return seen.set() or 7

    job = jobs.start(work, title="bar")
    jobs.follow(job)
    assert job.result() == 7
    assert "bar" in capsys.readouterr().err


def test_preparing_does_not_count_as_slow_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    job: jobs.Job[None] = jobs.Job("train", "step")
    for time, done in ((20.0, 0), (40.0, 0), (41.0, 2), (42.0, 4)):
        now[0] = time
        job.update(done, 8)
    assert job.progress.rate == pytest.approx(2) and job.progress.seconds_left == pytest.approx(2)


LEFT_ALONE = """
import time
from seglab import jobs
from seglab.errors import JobCancelled

def work(reporter):
    try:
        while True:
            reporter.check()
            time.sleep(0.01)
    except JobCancelled:
        print("stopped")

jobs.start(work, title="a job that nobody waits for")
"""


def test_a_job_is_stopped_when_the_interpreter_ends() -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT_ALONE], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "stopped\n"), ended.stderr
