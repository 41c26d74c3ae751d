"""Intervals of means: where they must lie, how wide they must be, and what groups and pairs change."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seglab.evaluation.intervals import bootstrap_mean, paired_difference


def test_width_is_that_of_the_normal_interval_when_values_are_many():
    values = np.random.default_rng(3).normal(0.6, 0.2, 400)
    mean, low, high = bootstrap_mean(values)
    assert mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.1)


def test_the_interval_holds_the_true_mean_about_nineteen_times_in_twenty():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        _, low, high = bootstrap_mean(rng.uniform(0, 1, 40))
        held += low <= 0.5 <= high
    assert 0.90 <= held / 300 <= 0.99


def test_values_that_repeat_within_a_group_make_nothing_surer():
    single = np.random.default_rng(1).uniform(0, 1, 30)
    repeated, groups = np.repeat(single, 20), np.repeat(np.arange(30), 20)
    assert bootstrap_mean(repeated, groups) == pytest.approx(bootstrap_mean(single))
    _, low, high = bootstrap_mean(repeated)
    _, wide_low, wide_high = bootstrap_mean(repeated, groups)
    assert wide_high - wide_low > 3 * (high - low)


def test_every_value_counts_the_same_whatever_its_group():
    mean, low, high = bootstrap_mean([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"])
    assert mean == 0.75
    assert (low, high) == (0.0, 1.0)


def test_a_pair_shows_what_two_means_hide():
    rng = np.random.default_rng(2)
    parent = rng.uniform(0.1, 0.9, 60)
    child = parent + 0.03 + rng.normal(0, 0.01, 60)
    mean, low, high = paired_difference(child, parent)
    assert 0 < low < mean < high < 0.05
    assert paired_difference(parent, child) == pytest.approx((-mean, -high, -low), abs=1e-3)
    assert bootstrap_mean(parent)[2] > bootstrap_mean(child)[1]  # apart, the two overlap


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).uniform(0, 1, 25)
    assert bootstrap_mean(values) == bootstrap_mean(values)
    assert bootstrap_mean(values) != bootstrap_mean(values, seed=1)


def test_what_is_unknown_is_left_out_or_said_to_be_unknown():
    assert bootstrap_mean([0.2, float("nan"), 0.4], [1, 2, 3]) == bootstrap_mean([0.2, 0.4], [1, 3])
    assert all(math.isnan(x) for x in bootstrap_mean([]))
    assert all(math.isnan(x) for x in paired_difference([float("nan")], [0.5]))
    mean, low, high = bootstrap_mean([0.2, 0.4], ["here", "here"])
    assert mean == pytest.approx(0.3) and math.isnan(low) and math.isnan(high)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="3 values against 2"):
        paired_difference([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="1 groups for 2 values"):
        bootstrap_mean([1, 2], ["a"])
