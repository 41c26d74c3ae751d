"""Losses of a round: one for prompted masks, one for the class map on partial labels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

IGNORE = -1
"""Class target of a pixel that nobody has labelled."""
FOCAL_ALPHA, FOCAL_GAMMA, FOCAL_WEIGHT = 0.25, 2.0, 20.0
"""Lin et al.'s choice, and the focal loss's weight against Dice in SAM's training."""

PixelLoss = Literal["bce", "focal"]


def soft_dice(probability: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - Dice over the last two axes, smoothed by 1 (METHODS: TransLandSeg's loss uses the same smoothing).

    Args:
        probability: (..., H, W) in 0..1.
        target: (..., H, W) in {0, 1}.
        weight: (..., H, W), 0 where a pixel carries no loss.
    """
    weight = torch.ones_like(target) if weight is None else weight
    shared = (probability * target * weight).sum((-2, -1))
    total = ((probability + target) * weight).sum((-2, -1))
    return 1 - (2 * shared + 1) / (total + 1)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Pixelwise focal loss (Lin et al., 2017): -a_t (1 - p_t)^2 log p_t, with a = 0.25 on the object.

    Args:
        logits, target: one shape, the target in {0, 1}.

    Returns:
        That shape.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = torch.exp(-cross_entropy)  # p_t, the probability given to the truth
    alpha = FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * (1 - target)
    return alpha * (1 - right) ** FOCAL_GAMMA * cross_entropy


def prompted_loss(
    logits: Tensor, predicted_iou: Tensor, target: Tensor, pixels: PixelLoss = "bce"
) -> tuple[Tensor, Tensor]:
    """The best of the candidate masks carries the loss; the IoU head learns how good each one is.

    0.5 BCE + 0.5 Dice (TransLandSeg) on the best candidate, as SAM trains ambiguous prompts, plus the squared error
    of the predicted IoU over all candidates. With "focal", 20 times the focal loss stands for BCE (SAM's weights).

    Args:
        logits: (B, M, H, W).
        predicted_iou: (B, M).
        target: (B, H, W) bool.
        pixels: the loss of single pixels.

    Returns:
        loss (B,), true IoU of the best candidate by predicted IoU (B,).
    """
    wanted = target[:, None].expand_as(logits).to(logits.dtype)
    if pixels == "focal":
        each = FOCAL_WEIGHT * focal(logits, wanted)
    else:
        each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    per_mask = 0.5 * each.mean((-2, -1)) + 0.5 * soft_dice(logits.sigmoid(), wanted)
    with torch.no_grad():
        mask = logits > 0
        union = (mask | target[:, None]).sum((-2, -1)).clamp(min=1)
        true_iou = (mask & target[:, None]).sum((-2, -1)) / union
    error = (predicted_iou - true_iou.to(predicted_iou.dtype)).square().mean(1)
    chosen = predicted_iou.argmax(1, keepdim=True)
    return per_mask.min(1).values + error, true_iou.gather(1, chosen)[:, 0]


def class_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Softmax of the classes against a background of logit 0, on labelled pixels only.

    Cross-entropy balanced over the classes present (each has the same total weight), plus Dice per class.

    Args:
        logits: (C, H, W).
        target: (H, W) int64: IGNORE, 0 background, 1..C classes.
    """
    scores = torch.cat([torch.zeros_like(logits[:1]), logits])
    labelled = target != IGNORE
    if not labelled.any():
        return logits.sum() * 0
    count = torch.bincount(target[labelled], minlength=len(scores)).to(scores.dtype)
    balance = torch.where(count > 0, count.sum() / count.clamp(min=1) / (count > 0).sum().clamp(min=1), 0.0)
    cross_entropy = F.cross_entropy(scores[None], target[None], weight=balance, ignore_index=IGNORE)
    present = torch.nonzero(count[1:])[:, 0]
    if len(present) == 0:
        return cross_entropy
    probability = scores.softmax(0)[1:][present]
    wanted = (target[None] == present[:, None, None] + 1).to(scores.dtype)
    return cross_entropy + soft_dice(probability, wanted, labelled.to(scores.dtype)[None]).mean()
