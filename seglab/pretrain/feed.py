"""Procedural scenes without end: worker processes make them while the model trains."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Iterator
from types import TracebackType

import cv2

from seglab.errors import PretrainError
from seglab.pretrain.ground import Ground, procedural_ground

WAITING = 64
"""Scenes that may wait to be taken."""
PATIENCE = 120.0
"""Seconds after which workers that deliver nothing are given up."""


class SceneFeed:
    """Makes scenes of consecutive seeds in processes of their own.

    They arrive in whatever order they are finished, so a run that uses a feed cannot be repeated bit by bit.
    """

    def __init__(self, workers: int, size: int, seed: int) -> None:
        """
        Args:
            workers: how many processes.
            size: rows and columns of a scene, pixels.
            seed: of the first scene.
        """
        context = multiprocessing.get_context("spawn")
        self._ready = context.Queue(WAITING)
        arguments = [(self._ready, size, seed + number, workers) for number in range(workers)]
        self._workers = [context.Process(target=_make, args=each, daemon=True) for each in arguments]

    def __enter__(self) -> SceneFeed:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()
        # Nobody reads what is still under way.
        self._ready.cancel_join_thread()
        self._ready.close()

    def wait(self) -> Ground:
        """The next scene.

        Raises:
            PretrainError: none came.
        """
        try:
            return self._ready.get(timeout=PATIENCE)
        except queue.Empty as error:
            raise PretrainError("no scenes came from the worker processes; see their messages above") from error

    def ready(self, limit: int) -> Iterator[Ground]:
        """Scenes that are there already, at most `limit`."""
        for _ in range(limit):
            try:
                yield self._ready.get_nowait()
            except queue.Empty:
                return


def _make(ready: multiprocessing.Queue, size: int, seed: int, step: int) -> None:
    cv2.setNumThreads(1)
    if hasattr(os, "nice"):
        os.nice(10)  # the training process, which keeps the GPU busy, goes first
    while True:
        ready.put(procedural_ground(seed, size))
        seed += step
