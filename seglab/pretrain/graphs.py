"""Work on a GPU without Python in between.

A step of a small network is thousands of short kernels, and launching them one by one takes longer than running them.
A CUDA graph launches all with one call: work is captured the first time that it is met, and replayed from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch

from seglab.errors import PretrainError


class Replay:
    """Captures pieces of work and replays them.

    Captured work reads and writes the same memory every time, asks the device for nothing, and has run before with
    shapes like its own: libraries and compilers set themselves up in their first calls, which cannot be captured.
    """

    def __init__(self, generator: torch.Generator) -> None:
        """
        Args:
            generator: on the GPU; every replay draws further random numbers from it.
        """
        self._generator = generator
        self._pool = torch.cuda.graph_pool_handle()
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, Any]] = {}

    def __call__(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """Do some work.

        Args:
            key: what tells it from other work.
            work: is called once, when the key is met for the first time.

        Raises:
            PretrainError: torch is too old for it.

        Returns:
            What `work` returned. Its tensors hold the values of this call until the next one with any key, since all
            captured work shares memory.
        """
        if key not in self._captured:
            graph = torch.cuda.CUDAGraph()
            if not hasattr(graph, "register_generator_state"):
                raise PretrainError(
                    "this torch cannot capture random numbers; install a newer one, or leave out 'graphed'"
                )
            graph.register_generator_state(self._generator)
            with torch.cuda.graph(graph, pool=self._pool):
                result = work()
            self._captured[key] = graph, result
        graph, result = self._captured[key]
        graph.replay()
        return result


def at_once(key: Hashable, work: Callable[[], Any]) -> Any:
    """Do some work as usual; `key` is for those who capture it."""
    return work()
