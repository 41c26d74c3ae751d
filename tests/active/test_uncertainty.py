"""Entropy and margin, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.active.uncertainty import contest, entropy_map, margin_map, mean_entropy


def two_classes(share: float) -> np.ndarray:
    return np.stack([np.full((8, 8), 1 - share), np.full((8, 8), share)])


def test_entropy_is_a_share_of_the_most_there_can_be() -> None:
    assert mean_entropy(two_classes(0.5)) == pytest.approx(1)
    assert mean_entropy(two_classes(1.0)) == pytest.approx(0, abs=1e-9)
    expected = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    assert mean_entropy(two_classes(0.1)) == pytest.approx(expected)
    assert entropy_map(np.full((3, 2, 2), 1 / 3)) == pytest.approx(np.ones((2, 2)))


def test_a_margin_is_between_the_best_two() -> None:
    p = np.array([0.2, 0.5, 0.3]).reshape(3, 1, 1)
    assert margin_map(p).item() == pytest.approx(0.2)


def test_the_pair_that_competes_most_often() -> None:
    """Half a tie of field and water, a quarter of background and field, the rest clear."""
    p = np.zeros((3, 2, 4))
    p[:, :, :2] = np.array([0.1, 0.5, 0.4])[:, None, None]
    p[:, 0, 2:] = np.array([0.45, 0.5, 0.05])[:, None]
    p[:, 1, 2:] = np.array([0.9, 0.05, 0.05])[:, None]
    found = contest(p, ["background", "field", "water"])
    assert (found.first, found.second) == ("field", "water")
    assert (found.apart, found.share) == (pytest.approx(0.1), 0.5)
    assert found.words == "field or water: within 0.10 on average on 50% of it"


def test_without_a_tie_the_closest_call_counts() -> None:
    found = contest(two_classes(0.9), ["background", "water"])
    assert (found.first, found.second, found.share) == ("background", "water", 1.0)
    assert found.apart == pytest.approx(0.8)
