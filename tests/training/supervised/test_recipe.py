"""KTDA's learning rate and weight decay; TransLandSeg's are in test_fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from seglab.training.supervised.recipe import STUDENT_RECIPE, SupervisedConfig, decayed, rate_at


def test_the_students_rate_rises_and_then_falls_by_a_power():
    config = replace(STUDENT_RECIPE, epochs=100, warmup=0.1)
    assert rate_at(5, config) == pytest.approx(0.5 * 6e-4 * 0.95**0.9)
    assert rate_at(40.5, config) == pytest.approx(6e-4 * 0.595**0.9)
    assert rate_at(100, config) == 0
    rates = [rate_at(t / 10, config) for t in range(1001)]
    assert max(rates) == rates[100]


def test_a_cosine_keeps_its_rate_within_an_epoch():
    config = SupervisedConfig()
    assert rate_at(3.9, config) == rate_at(3, config) > rate_at(4, config)


def test_norms_alone_are_spared_the_weight_decay():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(4))
    module[0].bias.requires_grad_(False)
    groups = decayed(module, STUDENT_RECIPE)
    assert [p is module[0].weight for p in groups[0]["params"]] == [True]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for part in module[1:] for p in part.parameters()}
    assert ("weight_decay" in groups[0], groups[1]["weight_decay"]) == (False, 0.0)
    assert len(decayed(module, SupervisedConfig())[0]["params"]) == 5
