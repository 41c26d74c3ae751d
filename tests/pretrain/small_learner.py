"""A learner that is small enough for tests, of a network that is no part of the package."""

from __future__ import annotations

import numpy as np
import torch

from seglab.models.spec import SamSpec
from seglab.pretrain.bank import Bank
from seglab.pretrain.batches import Draw
from seglab.pretrain.config import Config, parse_config
from seglab.pretrain.learner import Learner
from seglab.pretrain.step import StepPlan
from tests.pretrain.made_ground import random_rectangles

SMALL = SamSpec("small", 64, 8, 24, 1, 2, (), 4, 32, 32, absolute_position=False, box_as_mask=True, click_content=True)
PHASE = {"size": 64, "images": 2, "objects": 3}


def small_config(**changes: object) -> Config:
    """Its settings."""
    return parse_config({"model": "small", "phases": [PHASE], "half": False, **changes})


def small_learner(seed: int = 0, processes: int = 1, device: str = "cpu", **changes: object) -> Learner:
    """A learner of one image, with two places for scenes; `SPECS` must know "small".

    Args:
        seed: of its weights and of what it draws.
        processes: how many share their gradients.
        device: where it learns.
        changes: of its settings.
    """
    ground = [random_rectangles(np.random.default_rng(0), (80, 96), 20, "a", "0")]
    torch.manual_seed(seed)
    bank = Bank(ground, slots=2, slot_size=64, device=device)
    return Learner(small_config(**changes), bank, torch.Generator(device).manual_seed(seed), processes)


def small_draw(loose: bool = True) -> Draw:
    """How its batches are drawn."""
    return Draw(small_config().phases[0], loose, 0.1, 2)


def small_plan(first: int = 1) -> StepPlan:
    """What its steps do."""
    return StepPlan(first, 2, boxes=0.5, dense_weight=0.3)
