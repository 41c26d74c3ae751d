"""What a step does to a network in training, and what another sitting or another process takes over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from seglab.errors import PretrainError
from seglab.models.spec import SPECS
from seglab.pretrain.batches import draw_batch
from seglab.pretrain.learner import Learner
from tests.pretrain.small_learner import PHASE, SMALL, small_config, small_draw, small_learner, small_plan


@pytest.mark.parametrize("second", [{"size": 32}, {"images": 4}, {"objects": 2}])
def test_graphs_need_one_size_of_batch(learner, second):
    changing = small_config(graphed=True, phases=[{**PHASE, "until": 0.5}, {**PHASE, **second}])
    with pytest.raises(PretrainError, match="'graphed', all phases need"):
        Learner(changing, learner.bank, learner.generator)


def test_captured_work_finds_every_batch_in_the_same_memory(learner):
    learner.graphed = True
    first, second = (draw_batch(learner.bank, small_draw(), learner.generator) for _ in range(2))
    learner._lay_in(first)
    place = learner._batch.view.rgb.data_ptr()
    learner._lay_in(second)
    assert learner._batch.view.rgb.data_ptr() == place
    for part, given in zip(vars(learner._batch).values(), vars(second).values(), strict=True):
        for name, value in vars(given).items():
            assert torch.equal(getattr(part, name), value), name


def test_a_rate_of_zero_moves_nothing_and_the_average_follows_at_its_pace(learner):
    before = {name: value.clone() for name, value in learner.model.sam.state_dict().items()}
    learner.step(small_draw(), small_plan(), rate=0.0, decay=0.0)
    assert all(torch.equal(before[name], value) for name, value in learner.model.sam.state_dict().items())
    learner.step(small_draw(), small_plan(), rate=1e-3, decay=0.75)
    name = "mask_decoder.iou_token.weight"
    now = learner.model.sam.state_dict()[name]
    torch.testing.assert_close(learner.average[name], 0.75 * before[name] + 0.25 * now)
    assert (now != before[name]).any()


def test_a_checkpoint_of_another_device_goes_on_here(learner):
    """The optimiser's ways on that device come with its state, and do not work on this one."""
    learner.step(small_draw(), small_plan(), 1e-3, 0.9)
    state = learner.state()
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = group["capturable"] = True
    other = small_learner(seed=1)
    other.take(state)
    assert not any(group["fused"] or group["capturable"] for group in other.optimizer.param_groups)
    other.step(small_draw(), small_plan(), 1e-3, 0.9)


def test_two_processes_learn_one_network(tmp_path):
    """They begin with different weights and see different batches."""
    multiprocessing.spawn(_one_of_two, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def _one_of_two(rank: int, meeting: str, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    SPECS["small"] = SMALL
    learner = small_learner(seed=rank, processes=2)
    learner.agree()
    for _ in range(2):
        learner.step(small_draw(), small_plan(), 1e-3, 0.9)
    torch.save(
        {**learner.model.sam.state_dict(), "average": learner.average["mask_decoder.iou_token.weight"]},
        Path(folder) / f"{rank}.pt",
    )
    distributed.destroy_process_group()
