"""TransLandSeg's loss of a map, for one class or several."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.training.losses import IGNORE, soft_dice


def map_loss(logits: Tensor, target: Tensor) -> Tensor:
    """0.5 cross-entropy + 0.5 soft Dice over the whole batch as one image (METHODS.md, section 1), smoothed by 1.

    One class: binary cross-entropy, as published. Several: softmax cross-entropy against a background of logit 0, and
    the mean of the classes' Dice losses. For one class the two are the same.

    Args:
        logits: (B, C, H, W) of the classes.
        target: (B, H, W) int64: IGNORE, 0 background, 1..C.

    Returns:
        A scalar; 0 where no pixel is known.
    """
    known = (target != IGNORE).to(logits.dtype)
    classes = logits.shape[1]
    wanted = torch.stack([target == place for place in range(1, classes + 1)], dim=1).to(logits.dtype)
    if classes == 1:
        pixels = F.binary_cross_entropy_with_logits(logits[:, 0], wanted[:, 0], reduction="none")
        probability = logits.sigmoid()
    else:
        scores = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
        pixels = F.cross_entropy(scores, target, ignore_index=IGNORE, reduction="none")
        probability = scores.softmax(1)[:, 1:]
    cross_entropy = (pixels * known).sum() / known.sum().clamp(min=1)
    dice = soft_dice(*(_as_one_image(part) for part in (probability, wanted, known[:, None].expand_as(wanted))))
    return 0.5 * cross_entropy + 0.5 * dice.mean()


def predicted(logits: Tensor) -> Tensor:
    """(B, C, H, W) logits to (B, H, W) int64: 0 background, 1..C; for one class, probability above 0.5."""
    best, place = logits.max(dim=1)
    return torch.where(best > 0, place + 1, 0)


def _as_one_image(part: Tensor) -> Tensor:
    """(B, C, H, W) to (C, B H, W)."""
    return part.transpose(0, 1).flatten(1, 2)
