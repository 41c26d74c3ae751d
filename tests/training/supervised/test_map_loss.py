"""The loss of a map: TransLandSeg's, and its extension to several classes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.training.losses import IGNORE
from seglab.training.supervised.map_loss import map_loss, predicted


def test_one_class_is_half_bce_and_half_dice_over_the_whole_batch():
    torch.manual_seed(0)
    logits, target = torch.randn(3, 1, 4, 5), torch.randint(0, 2, (3, 4, 5))
    wanted, probability = target.float(), logits[:, 0].sigmoid()
    dice = (2 * (wanted * probability).sum() + 1) / (wanted.sum() + probability.sum() + 1)
    expected = 0.5 * F.binary_cross_entropy(probability, wanted) + 0.5 * (1 - dice)
    assert map_loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


def test_one_class_and_several_agree_where_the_others_are_impossible():
    torch.manual_seed(1)
    logits, target = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    impossible = torch.cat([logits, torch.full_like(logits, -30.0)], dim=1)
    one = map_loss(logits, target)
    # The second class is neither there nor predicted, so that its Dice loss is 0 and only halves the mean.
    probability, wanted = logits[:, 0].sigmoid(), target.float()
    dice = 1 - (2 * (wanted * probability).sum() + 1) / (wanted.sum() + probability.sum() + 1)
    assert map_loss(impossible, target).item() == pytest.approx((one - 0.25 * dice).item(), rel=1e-4)


@pytest.mark.parametrize("classes", [1, 3])
def test_unknown_pixels_carry_no_loss(classes):
    torch.manual_seed(2)
    logits = torch.randn(2, classes, 4, 4, requires_grad=True)
    target = torch.randint(0, classes + 1, (2, 4, 4))
    target[0, :2] = IGNORE
    loss = map_loss(logits, target)
    loss.backward()
    assert (logits.grad[0, :, :2] == 0).all()
    assert (logits.grad[0, :, 2:] != 0).all()
    everything = map_loss(logits, torch.full_like(target, IGNORE))
    assert everything.item() == 0


def test_the_map_is_the_best_class_above_the_background():
    logits = torch.tensor([[-1.0, 2.0, 0.5], [-2.0, 1.0, 0.7]]).reshape(1, 2, 1, 3)
    assert predicted(logits).tolist() == [[[0, 1, 2]]]
    assert predicted(logits[:, :1]).tolist() == [[[0, 1, 1]]]
