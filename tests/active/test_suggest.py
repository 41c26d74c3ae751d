"""Suggestions rank by the figures they name."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.active.suggest import by_difference, by_uncertainty, mean_entropy
from seglab.core.windows import Window

WINDOWS = [Window(100 * i, 0, 100, 100) for i in range(4)]


def two_classes(share: float) -> np.ndarray:
    return np.stack([np.full((8, 8), 1 - share), np.full((8, 8), share)])


def test_entropy_is_a_share_of_the_most_there_can_be() -> None:
    assert mean_entropy(two_classes(0.5)) == pytest.approx(1)
    assert mean_entropy(two_classes(1.0)) == pytest.approx(0, abs=1e-9)
    expected = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    assert mean_entropy(two_classes(0.1)) == pytest.approx(expected)


def test_least_certain_first_with_the_classes_that_compete() -> None:
    maps = [two_classes(s) for s in (0.99, 0.45, 0.8, 0.02)]
    found = by_uncertainty(WINDOWS, maps, ["background", "water"], 2)
    assert [s.window for s in found] == [WINDOWS[1], WINDOWS[2]]
    assert found[0].score == pytest.approx(mean_entropy(maps[1]))
    assert "background or water" in found[0].reason and "100% of it is nearly a tie" in found[0].reason
    assert "0% of it is nearly a tie" in found[1].reason


def test_windows_that_look_different_are_spread() -> None:
    looks = np.array([[1, 0, 0], [0.99, 0.01, 0], [0, 1, 0], [0.95, 0, 0.1]], dtype=float)
    found = by_difference(WINDOWS, looks, 2)
    assert found[1].window == WINDOWS[2]
    assert len(by_difference(WINDOWS, looks, 9)) == 4
    assert len({s.window for s in by_difference(WINDOWS, looks, 4)}) == 4
