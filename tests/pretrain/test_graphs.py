"""Steps that a CUDA graph can hold: they ask the device for nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seglab.models.spec import SPECS
from seglab.pretrain.batches import draw_batch
from seglab.pretrain.graphs import Replay, at_once
from seglab.pretrain.step import train_step
from tests.pretrain.small_learner import SMALL, small_draw, small_learner, small_plan

WAITS = ("_local_scalar_dense", "nonzero", "bincount", "lift_fresh", "repeat_interleave.Tensor", "unique")
"""What makes Python wait for a GPU, or copies a number to it; neither can be captured."""


class Watch(TorchDispatchMode):
    """Notes the operations that a graph cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        indexes = args[1] if str(operation).startswith(("aten.index.", "aten.index_put")) else ()
        by_mask = any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indexes)
        again = "multinomial" in str(operation) and (args[2:3] == (True,) or (kwargs or {}).get("replacement"))
        if by_mask or again or any(name in str(operation) for name in WAITS):
            self.found.append(str(operation))
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("loose", [True, False])
@pytest.mark.parametrize("first", [0, 2])
def test_a_step_asks_the_device_for_nothing(learner, loose, first):
    with Watch() as watch:
        batch = draw_batch(learner.bank, small_draw(loose), learner.generator)
        parts = (batch.view, batch.objects, batch.exemplars)
        loss, _ = train_step(learner.network, *parts, small_plan(first), learner.generator)
        loss.backward()
    assert watch.found == []


def test_the_watch_sees_what_waits():
    with Watch() as watch:
        bool((torch.zeros(3) > 0).any())
        torch.tensor([1.0])
        torch.arange(3)[torch.zeros(3) > 0]
        torch.multinomial(torch.ones(3), 2, replacement=True)
    assert len(watch.found) == 4


def test_work_is_done_at_once_without_a_gpu():
    assert at_once("key", lambda: 3) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_replayed_work_draws_new_numbers_and_reads_what_is_there_now():
    generator, scale = torch.Generator("cuda").manual_seed(0), torch.ones((), device="cuda")

    def work() -> torch.Tensor:
        return torch.rand(4, device="cuda", generator=generator) * scale

    work()
    replay = Replay(generator)
    first = replay("work", work).clone()
    scale.fill_(100.0)
    second = replay("work", work).clone()
    assert (first < 1).all() and second.max() > 1
    assert (second != 100 * first).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_captured_steps_learn_what_steps_as_usual_learn(monkeypatch):
    monkeypatch.setitem(SPECS, "small", SMALL)
    losses = []
    for graphed in (False, True):
        learner = small_learner(device="cuda", graphed=graphed)
        values = [float(learner.step(small_draw(), small_plan(), 1e-3, 0.9)["loss"]) for _ in range(60)]
        losses.append((np.mean(values[:5]), np.mean(values[-20:])))
    for first, last in losses:
        assert last < 0.9 * first
    assert losses[0][1] == pytest.approx(losses[1][1], rel=0.25)
