"""Long work in the background: the one mechanism for progress and cancel.

A job is a plain function whose first argument is a `Reporter`. The function says how far it is and is told, at
the same call, when it should stop. It knows no widget and no terminal; those subscribe to the job.
"""

from __future__ import annotations

import atexit
import contextvars
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

from seglab.errors import JobCancelled

T = TypeVar("T")
State = Literal["pending", "running", "done", "cancelled", "failed"]

EXIT_SECONDS = 3.0
"""Time that jobs are given to stop when the interpreter ends."""


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    done: float = 0.0
    """Units finished."""
    total: float | None = None
    """Units in all; None while unknown."""
    unit: str = ""
    """What is counted: "step", "Mpx", "MB"."""
    rate: float | None = None
    """Units per second since the work began; None before the first unit."""
    message: str = ""
    """What the job is doing now, for a person."""
    values: dict[str, float] = field(default_factory=dict)
    """Latest figures by name: loss, iou."""

    @property
    def fraction(self) -> float | None:
        """Share finished, 0 to 1; None while the total is unknown."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; None while unknown."""
        if not self.rate or self.total is None:
            return None
        return max(0.0, self.total - self.done) / self.rate


class Reporter(Protocol):
    """What a job's function is given to report to."""

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        """Report progress; raises JobCancelled when the job should stop."""

    def check(self) -> None:
        """Raise JobCancelled when the job should stop."""


class SilentReporter:
    """A reporter for callers that want neither progress nor cancel."""

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        """Ignore the report."""

    def check(self) -> None:
        """Never stop."""


class Job(Generic[T]):
    """A function running in the background.

    Args:
        title: what is being done, for a person.
        unit: what its progress counts.
    """

    def __init__(self, title: str, unit: str = "") -> None:
        self.title = title
        self.progress = Progress(unit=unit)
        self.state: State = "pending"
        self._cancel = threading.Event()
        self._finished = threading.Event()
        self._subscribers: list[Callable[[Job[T]], None]] = []
        self._lock = threading.Lock()
        self._value: T | None = None
        self._error: BaseException | None = None
        self._started = time.monotonic()

    def __repr__(self) -> str:
        fraction = self.progress.fraction
        share = "" if fraction is None else f" {fraction:.0%}"
        return f"<Job {self.title!r} {self.state}{share}>"

    @property
    def finished(self) -> bool:
        """True once the job is done, cancelled or failed."""
        return self._finished.is_set()

    @property
    def error(self) -> BaseException | None:
        """What the job failed with, if it did."""
        return self._error

    def cancel(self) -> None:
        """Ask the job to stop at its next report."""
        self._cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has finished.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            True if it has finished.
        """
        return self._finished.wait(timeout)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the job and return what its function returned.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: the job is still running after `timeout`.
            JobCancelled: the job was cancelled.
            Exception: whatever the function raised.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.title!r} is still running after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def subscribe(self, callback: Callable[[Job[T]], None]) -> Callable[[], None]:
        """Call `callback(job)` on every change, from the job's thread.

        Returns:
            A function that ends the subscription.
        """
        with self._lock:
            self._subscribers.append(callback)
        callback(self)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    # -- the Reporter side

    def check(self) -> None:
        """Raise JobCancelled if cancel() was called."""
        if self._cancel.is_set():
            raise JobCancelled(f"{self.title!r} was cancelled")

    def update(self, done: float, total: float | None = None, message: str | None = None, **values: float) -> None:
        """Report progress (called by the job's own function)."""
        self.check()
        if done <= 0:  # what is done to prepare does not count as slow work
            self._started = time.monotonic()
        elapsed = time.monotonic() - self._started
        old = self.progress
        self.progress = replace(
            old,
            done=done,
            total=old.total if total is None else total,
            message=old.message if message is None else message,
            rate=done / elapsed if done > 0 and elapsed > 0 else None,
            values={**old.values, **values},
        )
        self._notify()

    def _run(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.state = "running"
        self._started = time.monotonic()
        self._notify()
        try:
            self._value = function(self, *args, **kwargs)
            self.state = "done"
        except JobCancelled as error:
            self._error, self.state = error, "cancelled"
        except BaseException as error:  # the thread's boundary: result() raises it again in the caller
            self._error, self.state = error, "failed"
        finally:
            self._finished.set()
            self._notify()

    def _notify(self) -> None:
        with self._lock:
            subscribers = list(self._subscribers)
        for callback in subscribers:
            callback(self)


_running: weakref.WeakSet[Job[Any]] = weakref.WeakSet()
"""Jobs that have been started; those that have finished among them until nobody holds them."""


@atexit.register
def _end_all() -> None:
    """The interpreter ends: a thread that it stops inside PyTorch would abort the process."""
    left = [job for job in _running if not job.finished]
    for job in left:
        job.cancel()
    end = time.monotonic() + EXIT_SECONDS
    for job in left:
        job.wait(max(0.0, end - time.monotonic()))


def start(function: Callable[..., T], *args: Any, title: str, unit: str = "", **kwargs: Any) -> Job[T]:
    """Run `function(reporter, *args, **kwargs)` on a thread of its own.

    The thread runs in a copy of the caller's context, so that widget updates made from it reach the cell that
    started it.

    Returns:
        The running job.
    """
    job: Job[T] = Job(title, unit)
    _running.add(job)
    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(job._run, function, args, kwargs), name=f"seglab {title}", daemon=True
    ).start()
    return job


def follow(job: Job[Any]) -> None:
    """Show a job's progress as a tqdm bar in the terminal until it has finished."""
    from tqdm.auto import tqdm

    with tqdm(total=job.progress.total, desc=job.title, unit=job.progress.unit, leave=False) as bar:

        def show(current: Job[Any]) -> None:
            bar.total = current.progress.total
            bar.n = current.progress.done
            bar.set_postfix(current.progress.values, refresh=False)
            bar.refresh()

        unsubscribe = job.subscribe(show)
        job.wait()
        unsubscribe()
