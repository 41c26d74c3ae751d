"""One step: rounds of prompts, class prompts, and what has no weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.models.spec import SamSpec
from seglab.pretrain import step
from seglab.pretrain.bank import Bank
from seglab.pretrain.losses import mask_loss
from seglab.pretrain.network import CropSam, DenseHead
from seglab.pretrain.step import Dialogue, Network, StepPlan, exemplar_loss, plan_rounds, prompted_loss
from seglab.pretrain.targets import Exemplars, choose_objects
from seglab.pretrain.windows import look, plain_windows
from tests.pretrain.made_ground import rectangles

SMALL = SamSpec("small", 64, 8, 48, 2, 2, (1,), 4, 32, 64, absolute_position=False, box_as_mask=True)


def test_a_correction_round_starts_from_what_was_answered_before():
    torch.manual_seed(0)
    made = rectangles((64, 64), (4, 4, 28, 30), (36, 8, 60, 40))
    bank, asked = Bank([made]), []
    windows = plain_windows(bank, torch.tensor([0]), torch.tensor([1]), 64)
    view = look(bank, windows, 64)
    generator = torch.Generator().manual_seed(0)
    objects = choose_objects(bank, windows, view, 2, generator)
    network = Network(CropSam(SMALL).train(), DenseHead(32))
    inner = network.learn
    network.learn = lambda *inputs: asked.append(inputs) or inner(*inputs)
    embedding = network.encode(view.rgb, False)
    plan = StepPlan(first=2, rounds=2, boxes=0.0, dense_weight=0)
    loss, values = prompted_loss(network, embedding, objects, plan, generator)
    # Two corrections were made before the first round that is learned from: a click, its padding, two more clicks.
    assert [inputs[1].shape[1] for inputs in asked] == [4, 5]
    assert set(values) == {"iou3", "iou4"} and loss.requires_grad


def test_objects_without_weight_teach_nothing():
    torch.manual_seed(0)
    bank = Bank([rectangles((64, 64))])
    windows = plain_windows(bank, torch.tensor([0]), torch.tensor([0]), 64)
    view, generator = look(bank, windows, 64), torch.Generator().manual_seed(0)
    objects = choose_objects(bank, windows, view, 2, generator)
    network = Network(CropSam(SMALL).train(), DenseHead(32))
    embedding = network.encode(view.rgb, False)
    plan = StepPlan(first=0, rounds=2, boxes=0.5, dense_weight=0)
    loss, values = prompted_loss(network, embedding, objects, plan, generator)
    assert loss.item() == 0 and values["iou1"] == 0


def test_a_round_now_and_then_does_not_see_the_mask_before():
    torch.manual_seed(0)
    masks = torch.zeros(400, 64, 64, dtype=torch.bool)
    masks[:, 10:30, 10:30] = True
    network, given = Network(CropSam(SMALL).eval(), DenseHead(32)), []
    inner = network.answer
    network.answer = lambda *inputs: given.append(inputs[4]) or inner(*inputs)
    with torch.no_grad():
        embedding = network.encode(torch.zeros(1, 64, 64, 3), False)
        dialogue = Dialogue(network, embedding, masks, 0.0, torch.Generator().manual_seed(0))
        dialogue.ask()
        dialogue.ask()
    assert not given[0].any() and given[1].float().mean() == pytest.approx(0.9, abs=0.05)


def test_half_of_the_steps_start_after_corrections():
    rng = np.random.default_rng(0)
    plans = [plan_rounds(rng, 3, 6) for _ in range(2000)]
    late = [plan for plan in plans if plan[0]]
    assert len(late) / len(plans) == pytest.approx(0.5, abs=0.05)
    assert {first for first, _ in late} == set(range(1, 7)) and {rounds for _, rounds in late} == {2}
    assert {plan for plan in plans if not plan[0]} == {(0, 3)}
    assert {plan_rounds(rng, 2, 0) for _ in range(20)} == {(0, 2)}


def test_a_class_prompt_is_the_mean_over_its_example_and_asks_in_its_own_view():
    """Two prompts of each of two views, some averaged over the other one."""
    torch.manual_seed(0)
    network, given = Network(CropSam(SMALL).eval(), DenseHead(32)), []
    network.ask_class = lambda *inputs: given.append(inputs) or (torch.arange(4.0), torch.arange(4.0) / 10)
    embedding = torch.randn(2, 32, 8, 8)
    masks = torch.zeros(4, 64, 64, dtype=torch.bool)
    masks[0, :20, :30] = masks[1, 40:, 9:12] = masks[2, 5:60, 5:60] = masks[3, 0, 0] = True
    source = torch.tensor([0, 1, 1, 0])
    known = torch.ones(2, 64, 64, dtype=torch.bool)
    exemplars = Exemplars(source, masks, masks, known, torch.tensor([1.0, 1, 0, 1]))
    loss, iou = exemplar_loss(network, embedding, exemplars)
    _, sparse, index, *_ = given[0]
    # As in use: what a class's prompt starts from.
    expected = torch.stack([network.model.exemplar(embedding[i], mask) for i, mask in zip(source, masks, strict=True)])
    torch.testing.assert_close(sparse, expected)
    assert index.tolist() == [0, 0, 1, 1]
    assert loss == pytest.approx(4 / 3) and iou == pytest.approx(0.4 / 3)


def test_the_mask_that_is_shown_learns_more_than_the_others(monkeypatch):
    bank = Bank([rectangles((64, 64), (4, 4, 28, 30), (36, 8, 60, 40))])
    windows = plain_windows(bank, torch.tensor([0]), torch.tensor([1]), 64)
    view = look(bank, windows, 64)
    found = {}
    for weight in (0.0, 0.5):
        monkeypatch.setattr(step, "SHOWN", weight)
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        objects = choose_objects(bank, windows, view, 2, generator)
        network = Network(CropSam(SMALL).eval(), DenseHead(32))
        embedding = network.encode(view.rgb, False)
        dialogue = Dialogue(network, embedding, objects.masks, 0.0, generator, exact=True)
        loss, _ = dialogue.learn()
        found[weight] = loss
    shown = mask_loss(dialogue._shown, dialogue.target)[:, 0]
    torch.testing.assert_close(found[0.5] - found[0.0], 0.5 * shown)
