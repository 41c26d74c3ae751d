"""Prompts fall where a person would put them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from seglab.core.annotator import first_click
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE
from seglab.pretrain import prompts as module
from seglab.pretrain.prompts import (
    boxes_around,
    coarse_masks,
    corrections,
    depth,
    first_prompts,
    loose_boxes,
    pick,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def masks() -> torch.Tensor:
    """A rectangle, a band from edge to edge, and a small square."""
    out = torch.zeros(3, 40, 40, dtype=torch.bool)
    out[0, 5:15, 5:25] = True
    out[1, 30:33, :] = True
    out[2, 10:12, 10:12] = True
    return out


def at(masks: torch.Tensor, clicks: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """(N,) what each mask is where its click (x, y) lies."""
    col, row = (clicks / scale).floor().long().unbind(-1)
    return masks[torch.arange(len(masks)), row, col]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0, 1), st.integers(0, 2**16))
def test_depth_is_the_distance_to_the_outside(rows, cols, share, seed):
    rng = np.random.default_rng(seed)
    # Blocks as well as single pixels, so that there is an inside.
    coarse = rng.random((2, -(-rows // 6), -(-cols // 6))).repeat(6, 1).repeat(6, 2)[:, :rows, :cols] < share
    masks = np.stack([rng.random((rows, cols)) < share, *coarse, np.ones((rows, cols), bool)])
    expected = [ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] for mask in masks]
    np.testing.assert_allclose(depth(torch.from_numpy(masks)).numpy(), expected, rtol=1e-6)


def test_depth_of_many_masks_is_that_of_each(monkeypatch, generator):
    masks = torch.rand(7, 12, 9, generator=generator) < 0.8
    whole = depth(masks)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    torch.testing.assert_close(depth(masks), whole, rtol=0, atol=0)


def test_a_centred_click_is_that_of_the_protocol(generator):
    rows, cols = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    discs = torch.stack([(cols - col) ** 2 + (rows - row) ** 2 < 90 for col, row in ((12, 15), (50, 30), (3, 40))])
    found = pick(depth(discs), 1.0, generator)
    expected = [first_click(disc) for disc in discs.numpy()]
    np.testing.assert_array_equal(found.numpy(), expected)


def test_other_clicks_keep_off_the_border_and_vary(masks, generator):
    many = masks[:1].expand(500, -1, -1)
    distance = depth(many)
    clicks = pick(distance, 0.0, generator)
    col, row = clicks.floor().long().unbind(1)
    found = distance[0, row, col]
    # The rectangle is 10 pixels high, 5 deep.
    assert found.min() > 1 and found.max() == 5 and len(clicks.unique(dim=0)) > 80
    assert (clicks % 1 == 0.5).all()


@pytest.mark.parametrize("centred", [0.0, 1.0])
def test_masks_a_pixel_wide_are_clicked_inside(centred, generator):
    thin = torch.eye(30, dtype=torch.bool)[None].repeat(50, 1, 1)
    assert at(thin, pick(depth(thin), centred, generator)).all()


def test_boxes_are_exact(masks):
    empty = torch.zeros(1, 40, 40, dtype=torch.bool)
    corner = torch.zeros(1, 40, 40, dtype=torch.bool)
    corner[0, 39, 39] = corner[0, 20, 38] = True
    boxes = boxes_around(torch.cat([masks, empty, corner]))
    expected = [[5, 5, 25, 15], [0, 30, 40, 33], [10, 10, 12, 12], [0, 0, 0, 0], [38, 20, 40, 40]]
    assert boxes.tolist() == expected
    wide = boxes_around(torch.ones(1, 4, 7, dtype=torch.bool))
    assert wide.tolist() == [[0, 0, 7, 4]]


def test_loose_boxes_are_off_by_about_a_tenth(generator):
    box = torch.tensor([20.0, 30, 60, 50]).expand(3000, 4)
    off = (loose_boxes(box, 100, generator) - box) / torch.tensor([-40.0, -20, 40, 20])
    exact = (off == 0).all(1)
    assert exact.float().mean() == pytest.approx(1 / 3, abs=0.03)
    loose = off[~exact]
    assert loose.mean() == pytest.approx(0.05, abs=0.01)
    assert loose.min() > -0.15 and loose.max() < 0.25
    # Sides are off by amounts of their own.
    assert loose.std(1).mean() > 0.01


def test_loose_boxes_stay_in_the_input(generator):
    boxes = loose_boxes(torch.tensor([0.0, 0, 100, 100]).expand(200, 4), 100, generator)
    assert boxes.min() >= 0 and boxes.max() <= 100


def test_first_prompts_are_clicks_inside_or_boxes_around(masks, generator):
    many = masks.repeat(100, 1, 1)
    found = first_prompts(many, many, 0.5, generator)
    assert found.coords.shape == (300, 2, 2)
    boxed = found.labels[:, 0] == BOX_TOP_LEFT
    assert 0.4 < boxed.float().mean() < 0.6
    assert (found.labels[boxed] == torch.tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])).all()
    assert (found.labels[~boxed] == torch.tensor([POSITIVE, PAD])).all()
    assert at(many[~boxed], found.coords[~boxed, 0]).all()
    corners, exact = found.coords[boxed].flatten(1), boxes_around(many)[boxed]
    slack = 0.3 * (exact[:, 2:] - exact[:, :2]).repeat(1, 2)
    assert ((corners - exact).abs() <= slack).all() and (corners != exact).any()


@pytest.mark.parametrize("boxes", [0.0, 1.0])
def test_exact_first_prompts_are_the_same_every_time(masks, generator, boxes):
    first, second = (first_prompts(masks, masks, boxes, generator, exact=True) for _ in range(2))
    assert (first.coords == second.coords).all() and (first.labels == second.labels).all()
    if boxes:
        assert (first.coords.flatten(1) == boxes_around(masks)).all()
    else:
        assert depth(masks)[0, int(first.coords[0, 0, 1]), int(first.coords[0, 0, 0])] == 5


def test_clicks_on_coarse_masks_are_in_input_pixels(masks, generator):
    _, coarse = coarse_masks(masks, 10)
    found = first_prompts(masks, coarse, 0.0, generator)
    assert at(coarse, found.coords[:, 0], 4).all()


def test_corrections_point_at_the_error(masks, generator):
    predicted = torch.zeros_like(masks)
    predicted[1] = masks[1]
    predicted[1, 2:12, 2:12] = True
    predicted[2] = masks[2]
    many, guesses = masks.repeat(50, 1, 1), predicted.repeat(50, 1, 1)
    found = corrections(many, guesses, 2.0, generator)
    assert found.coords.shape == (150, 1, 2)
    assert found.labels.flatten().tolist() == [POSITIVE, NEGATIVE, PAD] * 50
    wrong = many ^ guesses
    assert at(wrong, found.coords[:, 0], 2)[found.labels[:, 0] != PAD].all()
    assert len(found.coords[::3].unique(dim=0)) > 5


def test_the_deeper_error_is_corrected_first(generator):
    target = torch.zeros(2, 40, 40, dtype=torch.bool)
    target[:, 5:15, 5:15] = True
    predicted = torch.zeros_like(target)
    predicted[0, 20:38, 20:38] = True  # too much is larger than what was missed
    predicted[1, 20:26, 20:26] = True  # and here it is smaller
    found = corrections(target, predicted, 1.0, generator, centred=1.0)
    assert found.labels.tolist() == [[NEGATIVE], [POSITIVE]]
    assert at(predicted, found.coords[:, 0]).tolist() == [True, False]
    assert at(target, found.coords[:, 0]).tolist() == [False, True]


def test_prompts_are_joined_along_their_number(masks, generator):
    first = first_prompts(masks, masks, 0.0, generator)
    both = first + corrections(masks, ~masks, 1.0, generator)
    assert both.coords.shape == (3, 3, 2) and both.labels.shape == (3, 3)
    assert (both.coords[:, :2] == first.coords).all() and (both.labels[:, 2] != PAD).all()


def test_coarse_masks_are_shares_and_never_empty():
    masks = torch.zeros(4, 16, 16, dtype=torch.bool)
    masks[0, :8, :6] = True  # one and a half cells wide
    masks[1, 9, :] = True  # a quarter of each cell
    masks[2, 3, 3] = True
    share, hard = coarse_masks(masks, 4)
    assert share.shape == hard.shape == (4, 4, 4)
    assert share[0, 0].tolist() == [1, 0.5, 0, 0] and hard[0, 0].tolist() == [True, True, False, False]
    assert (share[1, 2] == 0.25).all() and hard[1].nonzero()[:, 0].unique().tolist() == [2]
    assert hard[2].nonzero().tolist() == [[0, 0]]
    assert not hard[3].any()
