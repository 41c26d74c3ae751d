"""What a learning curve promises of the next portion."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.evaluation.learning_curves import expected_gain, standard_error


def power(cost: np.ndarray, rate: float) -> np.ndarray:
    return 0.9 - 0.6 * cost**-rate


@pytest.mark.parametrize("rate", [0.3, 0.8, 1.5])
def test_a_power_law_is_found_again(rate):
    cost = np.array([2.0, 4.0, 7.0, 11.0])
    gain = expected_gain(cost, power(cost, rate), [1e-4] * 4, 5.0)
    assert gain.mean == pytest.approx(power(np.array(16.0), rate) - power(np.array(11.0), rate), abs=2e-3)
    assert gain.low <= gain.mean <= gain.high


def test_the_interval_holds_the_gain_where_accuracies_are_noisy():
    rng, cost = np.random.default_rng(3), np.array([2.0, 5.0, 9.0, 14.0])
    true, held = power(np.array(19.0), 0.6) - power(cost[-1:], 0.6)[0], 0
    for seed in range(60):
        gain = expected_gain(cost, power(cost, 0.6) + rng.normal(0, 0.02, 4), [0.02] * 4, 5.0, seed)
        held += gain.low <= true <= gain.high
    assert held >= 50


def test_less_is_expected_the_flatter_the_curve_and_nothing_of_a_falling_one():
    cost = [3.0, 6.0, 12.0]
    steep, flat = (expected_gain(cost, found, [0.01] * 3, 6.0).mean for found in ([0.3, 0.5, 0.65], [0.6, 0.62, 0.63]))
    assert steep > 3 * flat > 0
    assert expected_gain(cost, [0.7, 0.68, 0.66], [0.01] * 3, 6.0).mean == 0


def test_two_points_are_enough_and_no_curve_passes_one():
    gain = expected_gain([2.0, 4.0], [0.3, 0.95], [0.01] * 2, 100.0)
    assert 0 < gain.mean <= 0.7
    with pytest.raises(ValueError, match="two points"):
        expected_gain([2.0], [0.5], [0.1], 1.0)
    with pytest.raises(ValueError, match="above 0"):
        expected_gain([0.0, 2.0], [0.5, 0.6], [0.1] * 2, 1.0)


def test_a_standard_error_comes_from_an_interval():
    assert standard_error(0.5, 0.892) == pytest.approx(0.1)
    assert standard_error(None, None) == 0.1
