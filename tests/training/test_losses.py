"""Losses do what their formulas say."""

from __future__ import annotations

import math

import pytest
import torch

from seglab.training.losses import IGNORE, class_loss, focal, prompted_loss, soft_dice


def test_soft_dice_by_hand() -> None:
    probability, target = torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0, 0.0]])
    assert soft_dice(probability, target).item() == pytest.approx(1 - (2 * 1 + 1) / (2.5 + 1))
    assert soft_dice(target, target).item() == 0


def test_only_the_best_candidate_carries_mask_loss() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.bool)
    target[:, :4] = True
    right = torch.where(target, 9.0, -9.0)
    logits = torch.stack([right, -right, torch.zeros_like(right)], dim=1).requires_grad_()
    ious = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    loss, iou = prompted_loss(logits, ious, target)
    loss.sum().backward()
    assert loss.item() < 0.01
    assert iou.item() == 1
    assert logits.grad[0, 1:].abs().sum() == 0


def test_iou_head_learns_every_candidate() -> None:
    target = torch.ones(1, 4, 4, dtype=torch.bool)
    logits = torch.full((1, 2, 4, 4), 9.0)
    _, ious = None, torch.tensor([[0.2, 0.6]], requires_grad=True)
    prompted_loss(logits, ious, target)[0].sum().backward()
    assert ious.grad.tolist()[0] == pytest.approx([-0.8, -0.4])


def test_objects_keep_their_own_loss() -> None:
    target = torch.zeros(2, 8, 8, dtype=torch.bool)
    target[:, :4] = True
    logits = torch.where(target, 9.0, -9.0)[:, None].clone()
    logits[1] *= -1
    loss, iou = prompted_loss(logits, torch.ones(2, 1), target)
    assert loss[0] < 0.01 < 1 < loss[1]
    assert iou.tolist() == [1, 0]


def test_focal_by_hand() -> None:
    logits, target = torch.tensor([math.log(3), math.log(3)]), torch.tensor([1.0, 0.0])
    right = [0.25 * 0.25**2 * -math.log(0.75), 0.75 * 0.75**2 * -math.log(0.25)]
    assert focal(logits, target).tolist() == pytest.approx(right)


def test_focal_looks_at_what_is_hard() -> None:
    target = torch.ones(1, 8, 8, dtype=torch.bool)
    logits = torch.full((1, 1, 8, 8), 3.0)
    logits[..., 0, 0] = -3.0
    shares = []
    for pixels in ("bce", "focal"):
        wrong = logits.clone().requires_grad_()
        prompted_loss(wrong, torch.zeros(1, 1), target, pixels)[0].sum().backward()
        pull = wrong.grad.abs()[0, 0]
        shares.append((pull[0, 0] / pull[1, 1]).item())
    assert shares[1] > 5 * shares[0]


def test_unlabelled_pixels_carry_no_class_loss() -> None:
    logits = torch.randn(2, 6, 6, requires_grad=True)
    target = torch.full((6, 6), IGNORE)
    target[0], target[1] = 1, 0
    class_loss(logits, target).backward()
    assert logits.grad[:, 2:].abs().sum() == 0
    assert logits.grad[:, :2].abs().sum() > 0


def test_a_window_without_labels_has_no_loss() -> None:
    logits = torch.randn(1, 4, 4, requires_grad=True)
    loss = class_loss(logits, torch.full((4, 4), IGNORE))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().sum() == 0


def test_a_class_of_few_pixels_weighs_as_much_as_one_of_many() -> None:
    target = torch.zeros(10, 10, dtype=torch.int64)
    target[0, 0] = 1
    logits = torch.zeros(1, 10, 10, requires_grad=True)
    class_loss(logits, target).backward()
    few, many = logits.grad[0, 0, 0], logits.grad[0].sum() - logits.grad[0, 0, 0]
    assert few < 0 < many
    assert abs(few) > 0.5 * many
    perfect = torch.where(target == 1, 12.0, -12.0)[None]
    assert class_loss(perfect, target).item() < 0.01
    assert class_loss(torch.zeros(1, 10, 10), torch.zeros(10, 10, dtype=torch.int64)).item() == pytest.approx(
        math.log(2)
    )
