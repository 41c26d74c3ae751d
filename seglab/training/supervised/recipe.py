"""How a network is trained on pairs: TransLandSeg's recipe, KTDA's, and how their learning rates run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from seglab.training.supervised.colour_jitter import ColourJitter

POLY_POWER = 0.9
"""KTDA's."""


@dataclass(frozen=True)
class SupervisedConfig:
    """How a network is trained on pairs; the defaults are TransLandSeg's."""

    epochs: int = 50
    batch: int = 2
    """Pairs per step."""
    learning_rate: float = 2e-4
    """AdamW's, before it falls."""
    final_rate: float = 1e-7
    """Where it ends, after the last epoch."""
    schedule: Literal["cosine", "poly"] = "cosine"
    """How it falls: a half cosine, epoch by epoch; or a power of what is left, step by step."""
    warmup: float = 0.0
    """Share of the epochs in which it rises linearly."""
    weight_decay: float = 1e-2
    """AdamW's own default: the papers' codes name none, or the same."""
    decay_norms: bool = True
    """Whether the weights of norms decay too."""
    jitter: ColourJitter = field(default_factory=ColourJitter)
    turns: bool = False
    """Whether pairs are also seen turned and mirrored."""
    crops: bool = False
    """Whether the corners of an image, each CROP of its sides, are seen as often as all of it."""
    train_share: float = 0.7
    """Share of the pairs to train on; the others are for validation."""
    prompted_weight: float = 0.0
    """Weight of simulated clicks and boxes beside the map; 0 as published."""
    seed: int = 42


PRESETS = MappingProxyType({"published": SupervisedConfig(), "mixed": SupervisedConfig(prompted_weight=1.0)})
"""Recipes by name. "mixed" trains clicks and boxes along with the map, so that they do not get worse meanwhile."""

STUDENT_RECIPE = SupervisedConfig(
    epochs=60,
    batch=4,
    learning_rate=6e-4,
    final_rate=0.0,
    schedule="poly",
    warmup=0.05,
    decay_norms=False,
    turns=True,
    crops=True,
)
"""KTDA's (METHODS.md, section 2): AdamW 6e-4, weight decay 0.01 but for norms, linear warm-up, poly 0.9, crops
and flips, of which there are so few ways that the teacher's features can be kept. Epochs and batch are seglab's."""


def rate_at(epoch: float, config: SupervisedConfig) -> float:
    """The learning rate at a moment of training.

    Args:
        epoch: from 0; its fraction is the share of the epoch that is done.
        config: with "cosine", all of an epoch has one rate: torch's CosineAnnealingLR, stepped once per epoch.
    """
    if config.schedule == "cosine":
        epoch = math.floor(epoch)
        share = (1 + math.cos(math.pi * epoch / config.epochs)) / 2
    else:
        share = max(0.0, 1 - epoch / config.epochs) ** POLY_POWER
    rate = config.final_rate + (config.learning_rate - config.final_rate) * share
    return rate * min(1.0, epoch / (config.warmup * config.epochs)) if config.warmup else rate


def decayed(module: nn.Module, config: SupervisedConfig) -> list[dict[str, Any]]:
    """What is trained, as an optimiser's groups: all in one, or those of norms apart, without weight decay."""
    trained = [p for p in module.parameters() if p.requires_grad]
    if config.decay_norms:
        return [{"params": trained}]
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    norms = {id(p) for part in module.modules() if isinstance(part, kinds) for p in part.parameters(recurse=False)}
    return [
        {"params": [p for p in trained if id(p) not in norms]},
        {"params": [p for p in trained if id(p) in norms], "weight_decay": 0.0},
    ]
