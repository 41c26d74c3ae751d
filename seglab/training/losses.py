"""Losses of a round: one for prompted masks, one for the class map on partial labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

IGNORE = -1
"""Class target of a pixel that nobody has labelled."""


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


def prompted_loss(logits: Tensor, predicted_iou: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The best of the candidate masks carries the loss; the IoU head learns how good each one is.

    0.5 BCE + 0.5 Dice (TransLandSeg) on the best candidate, as SAM trains ambiguous prompts, plus the squared error
    of the predicted IoU over all candidates.

    Args:
        logits: (B, M, H, W).
        predicted_iou: (B, M).
        target: (B, H, W) bool.

    Returns:
        loss (scalar), true IoU of the best candidate by predicted IoU (B,).
    """
    wanted = target[:, None].expand_as(logits).to(logits.dtype)
    bce = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((-2, -1))
    per_mask = 0.5 * bce + 0.5 * soft_dice(logits.sigmoid(), wanted)
    with torch.no_grad():
        mask = logits > 0
        union = (mask | target[:, None]).sum((-2, -1)).clamp(min=1)
        true_iou = (mask & target[:, None]).sum((-2, -1)) / union
    loss = per_mask.min(1).values.mean() + F.mse_loss(predicted_iou, true_iou.to(predicted_iou.dtype))
    chosen = predicted_iou.argmax(1, keepdim=True)
    return loss, true_iou.gather(1, chosen)[:, 0]


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
