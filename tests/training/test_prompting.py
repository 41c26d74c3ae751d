"""Simulated prompts stay true to the object."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.models.prompt_arrays import encode_prompts, pad
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE
from seglab.training.prompting import LOOSE, simulated_prompt, with_correction


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((112, 112), dtype=bool)
    mask[30:60, 40:90] = True
    return mask


def test_clicks_hit_the_object_and_boxes_fit_loosely(mask: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        prompt = simulated_prompt(mask, 2.0, rng)
        labels = prompt.labels[0].tolist()
        kinds.add(tuple(labels))
        if labels == [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]:
            slack = LOOSE * np.array([50, 30]) * 2 + 1e-3
            assert (np.abs(prompt.coords[0, 0] - (80, 60)) <= slack).all()
            assert (np.abs(prompt.coords[0, 1] - (180, 120)) <= slack).all()
        else:
            x, y = prompt.coords[0, 0] / 2
            assert mask[int(y), int(x)]
    assert kinds == {(BOX_TOP_LEFT, BOX_BOTTOM_RIGHT), (POSITIVE, PAD)}


def test_corrections_come_from_the_error(mask: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    first = simulated_prompt(mask, 2.0, rng)
    nothing, everything = np.zeros_like(mask), np.ones_like(mask)
    missed = with_correction(first, mask, nothing, 2.0, rng)
    x, y = missed.coords[0, -1] / 2
    assert missed.labels[0, -1] == POSITIVE and mask[int(y), int(x)]
    too_much = with_correction(first, mask, everything, 2.0, rng)
    x, y = too_much.coords[0, -1] / 2
    assert too_much.labels[0, -1] == NEGATIVE and not mask[int(y), int(x)]
    assert with_correction(first, mask, mask, 2.0, rng).labels[0, -1] == POSITIVE


def test_padding_keeps_every_prompt() -> None:
    short = encode_prompts(np.array([[1.0, 2.0]]), np.array([1]), None)
    long = encode_prompts(np.array([[3.0, 4.0]]), np.array([0]), np.array([5.0, 6.0, 7.0, 8.0]))
    both = pad([short, long])
    assert both.labels.tolist() == [[POSITIVE, PAD, PAD], [NEGATIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]
    assert both.coords[1].tolist() == [[3, 4], [5, 6], [7, 8]]
