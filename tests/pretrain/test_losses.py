"""Losses: tokens and pixels that can tell nothing have no say."""

from __future__ import annotations

import math

import pytest
import torch

from seglab.models.spec import NEGATIVE, PAD, POSITIVE
from seglab.pretrain.ground import MAX_PARTS
from seglab.pretrain.losses import candidates_loss, click_loss, dense_loss, judgement_loss, mask_iou, mask_loss
from seglab.pretrain.scenes import CLASSES, UNKNOWN


def dense(cells: list[list[int]], pairs: torch.Tensor, semantic: torch.Tensor | None = None) -> float:
    """The loss of one view of 2 x 2 tokens; its land cover is unknown if left out."""
    semantic = torch.full((1, 16, 16), UNKNOWN, dtype=torch.uint8) if semantic is None else semantic
    return float(dense_loss(pairs, torch.zeros(1, len(CLASSES), 2, 2), torch.tensor([cells]), semantic))


def test_tokens_of_one_part_belong_together():
    together = torch.full((1, 4, 4), 20.0)
    apart = torch.where(torch.eye(4, dtype=torch.bool), 20.0, -20.0)[None]
    assert dense([[3, 3], [3, 3]], together) < 1e-3 < 10 < dense([[3, 3], [3, 3]], apart)
    assert dense([[1, 2], [3, 0]], apart) < 1e-3 < 10 < dense([[1, 2], [3, 0]], together)


def test_mixed_tokens_and_pairs_without_a_part_have_no_say():
    """Only the token of part 5 with itself counts, and that it is apart from the one without a part."""
    cells, pairs = [[5, MAX_PARTS], [0, 0]], torch.zeros(1, 4, 4)
    settled = dense(cells, pairs)
    assert settled == pytest.approx(2 * math.log(2))
    pairs[0, 1, :] = pairs[0, :, 1] = pairs[0, 2:, 2:] = 50.0
    assert dense(cells, pairs) == pytest.approx(settled)
    pairs[0, 0, 2] = 50.0
    assert dense(cells, pairs) > settled + 5


def test_unknown_land_cover_has_no_say():
    semantic = torch.full((1, 16, 16), UNKNOWN, dtype=torch.uint8)
    empty = [[0, 0], [0, 0]]
    assert dense(empty, torch.zeros(1, 4, 4), semantic) == 0
    semantic[:, :8, :8] = 1
    assert dense(empty, torch.zeros(1, 4, 4), semantic) == pytest.approx(0.5 * math.log(len(CLASSES)))


def test_only_known_pixels_count_in_masks():
    logits = torch.full((1, 1, 4, 4), -20.0)
    logits[..., :2] = 20.0
    target, known = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    target[:, :2, :2] = known[:, :2] = 1
    assert mask_iou(logits, target, known).item() == 1 and mask_iou(logits, target).item() == 0.5
    # Dice is smoothed a little.
    assert mask_loss(logits, target, known).item() < 0.01 < 1 < mask_loss(logits, target).item()


def test_clicks_are_obeyed_by_every_candidate():
    labels = torch.tensor([[POSITIVE, NEGATIVE, PAD], [PAD, PAD, PAD]])
    obedient = torch.tensor([20.0, -20.0, 7.0]).expand(2, 3, 3)
    assert click_loss(obedient, labels).tolist() == pytest.approx([0, 0], abs=1e-4)
    one_is_not = obedient.clone()
    one_is_not[:, 1, 0] = -20
    # One of three candidates at one of two clicks.
    assert click_loss(one_is_not, labels).tolist() == pytest.approx([20 / 6, 0], abs=1e-3)


def test_the_best_candidate_learns_most_and_all_judge_themselves():
    target = torch.zeros(1, 8, 8)
    target[:, :4] = 1
    good = torch.where(target > 0, 20.0, -20.0)
    logits = torch.stack([good, -good, -good], 1).requires_grad_()
    loss, iou = candidates_loss(logits, torch.tensor([[1.0, 0, 0]]), target)
    assert iou.tolist() == [[1, 0, 0]]
    worse, _ = candidates_loss(logits, torch.tensor([[0.0, 1, 0]]), target)
    assert worse.item() > loss.item() + 2
    weak = (0.1 * logits.detach()).requires_grad_()
    candidates_loss(weak, torch.tensor([[1.0, 0, 0]]), target)[0].sum().backward()
    share = weak.grad.abs().sum((0, 2, 3))
    assert share[0] > 2 * share[1] > 0 and share[1] == pytest.approx(share[2])


def test_a_judge_is_told_both_how_far_off_it_is_and_that_the_order_is_wrong():
    iou = torch.tensor([[0.2, 0.5, 0.8]])
    right, flat = judgement_loss(iou, iou), judgement_loss(torch.full((1, 3), 0.5), iou)
    shifted, turned = judgement_loss(iou + 0.1, iou), judgement_loss(iou.flip(1), iou)
    # A shift keeps the order, so it costs its square alone; to turn the order costs more than to hide it.
    torch.testing.assert_close(shifted - right, torch.tensor([4 * 0.1**2]))
    assert right < flat < turned
