"""The candidate that is shown obeys the clicks."""

from __future__ import annotations

import torch

from seglab.models.candidates import logits_at_clicks, rank_candidates
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE


def masks() -> torch.Tensor:
    """Three candidates of 16 x 16 cells (2 px each): left half, everything, nothing."""
    out = torch.full((1, 3, 16, 16), -1.0)
    out[0, 0, :, :8] = 1
    out[0, 1] = 1
    return out


def test_logits_are_read_where_the_click_is():
    logits = torch.arange(256.0).reshape(1, 1, 16, 16)
    coords = torch.tensor([[[0.5, 0.5], [31.9, 2.1], [32.0, 40.0]]])
    assert logits_at_clicks(logits, coords, 8).tolist() == [[[0.0, 31.0, 255.0]]]


def test_predicted_iou_decides_among_those_that_obey():
    iou = torch.tensor([[0.5, 0.9, 0.99]])
    coords = torch.tensor([[[4.0, 4.0], [0.0, 0.0]]])
    order = rank_candidates(masks(), iou, coords, torch.tensor([[POSITIVE, PAD]]), 8)
    assert order.tolist() == [[1, 0, 2]]
    coords = torch.tensor([[[4.0, 4.0], [28.0, 4.0]]])
    order = rank_candidates(masks(), iou, coords, torch.tensor([[POSITIVE, NEGATIVE]]), 8)
    assert order[0, 0] == 0


def test_boxes_forbid_nothing():
    iou = torch.tensor([[0.1, 0.2, 0.9]])
    coords = torch.tensor([[[4.0, 4.0], [20.0, 20.0]]])
    order = rank_candidates(masks(), iou, coords, torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]), 8)
    assert order.tolist() == [[2, 1, 0]]
