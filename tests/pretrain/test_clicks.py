"""Simulated prompts fall where they should."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE
from seglab.pretrain.clicks import corrections, first_prompts, loose_box, more_clicks


@pytest.fixture
def masks() -> np.ndarray:
    out = np.zeros((3, 40, 40), bool)
    out[0, 5:15, 5:25] = True
    out[1, 30:33, :] = True
    out[2, 10:12, 10:12] = True
    return out


@pytest.mark.parametrize("seed", range(5))
def test_first_clicks_lie_inside_and_boxes_around(masks, seed):
    coords, labels = first_prompts(np.random.default_rng(seed), masks, 0.5)
    for mask, points, kinds in zip(masks, coords, labels, strict=True):
        rows, cols = np.nonzero(mask)
        if kinds[0] == BOX_TOP_LEFT:
            assert kinds[1] == BOX_BOTTOM_RIGHT
            middle = (cols.mean() + 0.5, rows.mean() + 0.5)
            assert (points[0] < middle).all() and (points[1] > middle).all()
        else:
            assert list(kinds) == [POSITIVE, PAD]
            col, row = np.floor(points[0]).astype(int)
            assert mask[row, col]


def test_boxes_stay_within_a_quarter_of_the_object(masks):
    rng = np.random.default_rng(0)
    for _ in range(50):
        left, top, right, bottom = loose_box(rng, masks[0])
        assert abs(left - 5) < 5 and abs(right - 25) < 5 and abs(top - 5) < 2.5 and abs(bottom - 15) < 2.5


def test_corrections_point_at_the_error(masks):
    predicted = np.zeros_like(masks)
    predicted[1] = masks[1]
    predicted[1, 2:12, 2:12] = True
    predicted[2] = masks[2]
    coords, labels = corrections(np.random.default_rng(0), masks, predicted, 2.0)
    assert list(labels[:, 0]) == [POSITIVE, NEGATIVE, POSITIVE]
    col, row = np.floor(coords[0, 0] / 2).astype(int)
    assert masks[0, row, col]
    col, row = np.floor(coords[1, 0] / 2).astype(int)
    assert predicted[1, row, col] and not masks[1, row, col]


@pytest.mark.parametrize("seed", range(3))
def test_further_clicks_say_the_truth(masks, seed):
    coords, labels = more_clicks(np.random.default_rng(seed), masks, 3)
    assert coords.shape == (3, 3, 2) and set(np.unique(labels)) <= {POSITIVE, NEGATIVE}
    for mask, points, kinds in zip(masks, np.floor(coords).astype(int), labels, strict=True):
        for (col, row), kind in zip(points, kinds, strict=True):
            assert mask[row, col] == (kind == POSITIVE)
