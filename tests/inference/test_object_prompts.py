"""Where objects are asked for: one click in the middle of each, and a grid."""

from __future__ import annotations

import numpy as np

from seglab.inference.object_prompts import grid, peaks


def test_two_that_touch_have_a_peak_each() -> None:
    rows, cols = np.mgrid[:40, :60] + 0.5
    two = ((cols - 20) ** 2 + (rows - 20) ** 2 < 12**2) | ((cols - 40) ** 2 + (rows - 20) ** 2 < 12**2)
    found = peaks(np.where(two, 0.9, 0).astype(np.float32))
    assert len(found) == 2
    assert np.abs(np.sort(found[:, 0]) - [20, 40]).max() <= 1.5 and np.abs(found[:, 1] - 20).max() <= 1.5


def test_ground_that_fills_the_window_has_its_peak_in_the_middle() -> None:
    found = peaks(np.full((41, 41), 0.8, np.float32))
    assert len(found) >= 1 and np.abs(found - 20.5).max() <= 1.5


def test_no_ground_and_thin_ground_have_none() -> None:
    assert peaks(np.zeros((20, 20), np.float32)).shape == (0, 2)
    line = np.zeros((20, 20), np.float32)
    line[10] = 0.9
    assert len(peaks(line)) == 0


def test_a_grid_stays_on_its_ground() -> None:
    ground = np.zeros((32, 32), bool)
    ground[:, 16:] = True
    assert grid(ground, 16).tolist() == [[24.5, 8.5], [24.5, 24.5]]
