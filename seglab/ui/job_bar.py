"""Running jobs with progress and cancel, and the bar where every message and every error shows."""

from __future__ import annotations

import html
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import ipywidgets as widgets

from seglab.errors import SegLabError
from seglab.jobs import Job, Progress
from seglab.ui.toolbar import button

REDRAW_SECONDS = 0.2
"""Time between two redraws of a job's progress."""

CURVE_POINTS = 60
"""Points of a curve, at most; older ones are thinned out."""

KINDS = {"info": "", "done": "✓", "warning": "⚠", "error": "⚠ Error:"}
"""What a message starts with, so that its colour is not all that tells its kind."""

FIGURES = {"iou": "IoU"}
"""How a figure of a job is written, where not by its own name."""

log = logging.getLogger("seglab")


class MessageBar(widgets.VBox):
    """One line for a person: what happened, what went wrong and what to do about it.

    It is also a context manager around whatever a person set off: an error shows here and goes no further, since
    there is nobody above a button to catch it.
    """

    def __init__(self) -> None:
        self._html = widgets.HTML()
        self.text = ""
        """The latest message."""
        self.kind = "info"
        """Its kind: "info", "done", "warning" or "error"."""
        super().__init__([self._html])
        self.add_class("seglab-message")

    def show(self, text: str, kind: str = "info") -> None:
        """Show a message.

        Args:
            text: plain text.
            kind: "info", "done", "warning" or "error".
        """
        self.text, self.kind = text, kind
        role = "alert" if kind == "error" else "status"
        self._html.value = f'<div class="seglab-{kind}" role="{role}"><b>{KINDS[kind]}</b>{html.escape(text)}</div>'

    def show_error(self, error: BaseException) -> None:
        """Show what went wrong; what seglab did not foresee is logged with its traceback too."""
        if isinstance(error, SegLabError):
            self.show(str(error), "error")
            return
        log.error("unexpected error in the labeler", exc_info=error)
        self.show(f"{type(error).__name__}: {error} (unexpected; the log has the details)", "error")

    def __enter__(self) -> MessageBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False  # a keyboard interrupt is not an error of the app
        self.show_error(error)
        return True


def describe(progress: Progress) -> str:
    """Progress in words: how far, how fast, how long still, and the latest figures.

    What is being done is said while the count tells nothing: before the first unit, and after the last one.
    """
    counts = progress.total is not None and 0 < progress.done < progress.total
    parts = [] if counts or not progress.message else [progress.message]
    if progress.total:
        parts.append(f"{_number(progress.done)} of {_number(progress.total)} {_plural(progress.unit)}".strip())
    if progress.rate and (counts or progress.total is None):
        parts.append(f"{_number(progress.rate)} {_plural(progress.unit)}".strip() + "/s")
    if progress.seconds_left is not None and counts:
        parts.append(f"{_duration(progress.seconds_left)} left")
    parts += [f"{FIGURES.get(name, name)} {value:.2f}" for name, value in progress.values.items()]
    return " · ".join(parts)


def _plural(unit: str) -> str:
    """ "step" becomes "steps"; "Mpx" and "B", symbols, stay."""
    return f"{unit}s" if unit.islower() and not unit.endswith("s") else unit


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def curve(values: list[float]) -> str:
    """A small SVG line of values, oldest left; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = " ".join(
        f"{90 * i / (len(values) - 1):.1f},{22 - 20 * (v - low) / span:.1f}" for i, v in enumerate(values)
    )
    return (
        f'<svg class="seglab-curve" role="img" viewBox="0 0 90 24"><title>loss from {values[0]:.3f} to '
        f'{values[-1]:.3f}</title><polyline points="{points}"/></svg>'
    )


class JobRow(widgets.HBox):
    """One running job: title, bar, words, curve of the loss, cancel.

    Args:
        job: to cancel on request.
    """

    def __init__(self, job: Job[Any]) -> None:
        self.title = widgets.HTML(f"<b>{html.escape(job.title.capitalize())}</b>")
        self.title.add_class("seglab-job-title")
        self.bar = widgets.FloatProgress(min=0, max=1, value=0)
        self.text = widgets.HTML()
        self.text.add_class("seglab-job-text")
        self.curve = widgets.HTML()
        self.cancel = button("Cancel", "stop", f"Stop: {job.title}", lambda: self._cancel(job))
        self._losses: list[float] = []
        super().__init__([self.title, self.bar, self.text, self.curve, self.cancel])
        self.add_class("seglab-job")

    def _cancel(self, job: Job[Any]) -> None:
        """Say so at once: the job ends at its next report."""
        self.cancel.disabled, self.cancel.description = True, "Cancelling"
        job.cancel()

    def note(self, progress: Progress) -> None:
        """Remember a figure for the curve."""
        if "loss" in progress.values:
            self._losses.append(progress.values["loss"])
            if len(self._losses) > CURVE_POINTS:
                self._losses = self._losses[::2]

    def draw(self, progress: Progress) -> None:
        """Show how far the job is."""
        with self.hold_sync():
            self.bar.value = progress.fraction or 0.0
            self.text.value = html.escape(describe(progress)) or "starting"
            self.curve.value = curve(self._losses)


class JobBar(widgets.VBox):
    """All running jobs, one row each.

    Args:
        messages: where a job's error shows.
    """

    def __init__(self, messages: MessageBar) -> None:
        self._messages = messages
        self._lock = threading.Lock()
        super().__init__([])
        self.add_class("seglab-jobs")

    def follow(self, job: Job[Any], on_done: Callable[[Any], None], on_end: Callable[[], None]) -> None:
        """Show a job until it has finished.

        Args:
            job: running.
            on_done: called with its result, from the job's thread, when it has succeeded.
            on_end: called at the end, however the job has ended.
        """
        row = JobRow(job)
        drawn = 0.0
        ended = False
        with self._lock:
            self.children = (*self.children, row)

        def change(changed: Job[Any]) -> None:
            with self._messages:  # trouble with drawing must not end the job
                draw(changed)

        def draw(changed: Job[Any]) -> None:
            nonlocal drawn, ended
            row.note(changed.progress)
            if changed.finished:
                with self._lock:
                    if ended:
                        return
                    ended = True
                    self.children = tuple(child for child in self.children if child is not row)
                row.close()
                self._finish(changed, on_done)
                on_end()
            elif time.monotonic() - drawn > REDRAW_SECONDS:
                drawn = time.monotonic()
                row.draw(changed.progress)

        job.subscribe(change)

    def _finish(self, job: Job[Any], on_done: Callable[[Any], None]) -> None:
        if job.state == "cancelled":
            self._messages.show(f"Cancelled: {job.title}. Nothing was changed.")
        elif job.error is not None:
            self._messages.show_error(job.error)
        else:
            with self._messages:
                on_done(job.result())
