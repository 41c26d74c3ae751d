"""Jobs and messages are shown in words."""

from __future__ import annotations

import threading

import pytest

from seglab import jobs
from seglab.errors import WriteError
from seglab.jobs import Progress
from seglab.ui.job_bar import CURVE_POINTS, JobBar, JobRow, MessageBar, curve, describe


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(), ""),
        (Progress(message="reading"), "reading"),
        (
            Progress(20, 80, "step", 2.0, "training", {"loss": 0.4567, "iou": 0.8}),
            "20 of 80 steps · 2 steps/s · 30 s left · loss 0.46 · IoU 0.80",
        ),
        (
            Progress(0, 80, "step", None, "a quick preview", {"loss": 0.5}),
            "a quick preview · 0 of 80 steps · loss 0.50",
        ),
        (Progress(80, 80, "step", 2.0, "judging the round"), "judging the round · 80 of 80 steps"),
        (Progress(3, None, "window", 1.5), "1.5 windows/s"),
        (Progress(1.26, 900.0, "Mpx", 0.5), "1.3 of 900 Mpx · 0.5 Mpx/s · 30 min left"),
    ],
)
def test_describe(progress, words):
    assert describe(progress) == words


def test_curve_falls_where_the_loss_falls():
    assert curve([1.0]) == ""
    points = curve([2.0, 1.0, 0.5]).split('points="')[1].split('"')[0]
    heights = [float(p.split(",")[1]) for p in points.split()]
    assert heights == sorted(heights)  # y grows downwards
    assert curve([1.0, 1.0])


def test_curve_of_a_long_job_stays_short():
    row = JobRow(jobs.Job("train"))
    for step in range(10 * CURVE_POINTS):
        row.note(Progress(step, values={"loss": 1 / (step + 1)}))
    assert len(row._losses) <= CURVE_POINTS


def test_cancel_says_so_at_once():
    go = threading.Event()

    def work(reporter):
        go.wait(10)
        reporter.check()

    messages = MessageBar()
    bar, ended = JobBar(messages), threading.Event()
    bar.follow(jobs.start(work, title="a job"), print, ended.set)
    cancel = bar.children[0].cancel
    cancel.click()
    assert cancel.disabled and cancel.description == "Cancelling"
    assert len(bar.children) == 1  # until it has stopped
    go.set()
    assert ended.wait(10)
    assert messages.text.startswith("Cancelled: a job")


def run(bar: JobBar, function) -> list:
    """Follow a job that starts when it is followed; returns what it gave once the bar is done with it."""
    go, ended, found = threading.Event(), threading.Event(), []

    def wait_and_run(reporter):
        go.wait(10)
        return function(reporter)

    job = jobs.start(wait_and_run, title="a job", unit="step")
    bar.follow(job, found.append, ended.set)
    assert len(bar.children) == 1
    go.set()
    assert ended.wait(10)
    assert bar.children == ()
    return found


def test_result_is_handed_on():
    def work(reporter):
        reporter.update(1, 2, loss=1.0)
        return 42

    assert run(JobBar(MessageBar()), work) == [42]


def test_failure_shows():
    messages = MessageBar()

    def work(reporter):
        raise WriteError("the disk is full; free some space")

    assert run(JobBar(messages), work) == []
    assert (messages.kind, messages.text) == ("error", "the disk is full; free some space")
    assert 'role="alert"' in messages._html.value


def test_trouble_while_showing_does_not_end_the_job(monkeypatch, caplog):
    messages = MessageBar()

    def broken(self, progress):
        raise RuntimeError("no page")

    monkeypatch.setattr(JobRow, "draw", broken)

    def work(reporter):
        reporter.update(1, 2)
        return "finished"

    assert run(JobBar(messages), work) == ["finished"]
    assert "no page" in messages.text


def test_keyboard_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt), MessageBar():
        raise KeyboardInterrupt
