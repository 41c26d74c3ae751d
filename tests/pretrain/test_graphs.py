"""Steps that a CUDA graph can hold: they ask the device for nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seglab.models.spec import SPECS, SamSpec
from seglab.pretrain.bank import Bank
from seglab.pretrain.batches import Draw, draw_batch
from seglab.pretrain.config import parse_config
from seglab.pretrain.graphs import Replay, at_once
from seglab.pretrain.learner import Learner
from seglab.pretrain.step import StepPlan, train_step
from tests.pretrain.made_ground import random_rectangles

SMALL = SamSpec("small", 64, 8, 24, 1, 2, (), 4, 32, 32, absolute_position=False, box_as_mask=True, click_content=True)
PHASE = {"size": 64, "images": 2, "objects": 3}
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


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    monkeypatch.setitem(SPECS, "small", SMALL)
    bank = Bank([random_rectangles(np.random.default_rng(0), (80, 96), 20, "a", "0")], slots=2, slot_size=64)
    config = parse_config({"model": "small", "phases": [PHASE], "half": False})
    torch.manual_seed(0)
    return Learner(config, bank, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loose", [True, False])
@pytest.mark.parametrize("first", [0, 2])
def test_a_step_asks_the_device_for_nothing(learner, loose, first):
    config = parse_config({"model": "small", "phases": [PHASE]})
    with Watch() as watch:
        batch = draw_batch(learner.bank, Draw(config.phases[0], loose, 0.1, 2), learner.generator)
        plan = StepPlan(first, 2, boxes=0.5, dense_weight=0.3)
        loss, _ = train_step(learner.network, batch.view, batch.objects, batch.exemplars, plan, learner.generator)
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
    ground = [random_rectangles(np.random.default_rng(0), (80, 96), 20, "a", "0")]
    losses = []
    for graphed in (False, True):
        config = parse_config({"model": "small", "phases": [PHASE], "half": False, "graphed": graphed})
        torch.manual_seed(0)
        learner = Learner(config, Bank(ground, device="cuda"), torch.Generator("cuda").manual_seed(0))
        draw, plan = Draw(config.phases[0], True, 0.1, 2), StepPlan(1, 2, boxes=0.5, dense_weight=0.3)
        values = [float(learner.step(draw, plan, 1e-3, 0.9)["loss"]) for _ in range(60)]
        losses.append((np.mean(values[:5]), np.mean(values[-20:])))
    for first, last in losses:
        assert last < 0.9 * first
    assert losses[0][1] == pytest.approx(losses[1][1], rel=0.25)
