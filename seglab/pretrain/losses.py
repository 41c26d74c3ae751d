"""Losses of pretraining: the best candidate mask learns, IoU is predicted, and the encoder gets dense signals."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from seglab.models.spec import NEGATIVE, POSITIVE
from seglab.pretrain.ground import MAX_PARTS
from seglab.pretrain.scenes import UNKNOWN
from seglab.training.losses import soft_dice

ENTROPY = 0.4
"""Weight of cross entropy beside dice: alone it makes masks that are too small wherever the model is unsure."""
SHARP = 0.1
"""Differences in IoU that matter when candidates are put in order."""


def mask_loss(logits: Tensor, target: Tensor, known: Tensor | None = None) -> Tensor:
    """Cross entropy plus dice for every mask.

    Args:
        logits: (B, M, h, w).
        target: (B, h, w) in 0..1; soft at borders.
        known: (B, h, w) weight of each pixel, or None for all.

    Returns:
        (B, M).
    """
    target = target[:, None].expand_as(logits)
    weight = torch.ones_like(target[:, :1]) if known is None else known[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    entropy = entropy.sum((2, 3)) / weight.sum((2, 3)).clamp(min=1)
    return ENTROPY * entropy + soft_dice(logits.sigmoid(), target, weight)


def mask_iou(logits: Tensor, target: Tensor, known: Tensor | None = None) -> Tensor:
    """IoU of every mask at threshold 0, (B, M); arguments as `mask_loss`."""
    predicted, truth = logits > 0, (target > 0.5)[:, None]
    if known is not None:
        valid = (known > 0.5)[:, None]
        predicted, truth = predicted & valid, truth & valid
    inter = (predicted & truth).sum((2, 3)).float()
    union = (predicted | truth).sum((2, 3)).float()
    return torch.where(union > 0, inter / union.clamp(min=1), torch.ones_like(union))


def candidates_loss(logits: Tensor, predicted_iou: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The best of three candidates learns (the others a little, so that none dies), and all learn to judge themselves.

    Args:
        logits: (B, 3, h, w).
        predicted_iou: (B, 3).
        target: (B, h, w) in 0..1.

    Returns:
        loss (B,) and true IoU (B, 3).
    """
    each = mask_loss(logits, target)
    loss = 0.85 * each.min(dim=1).values + 0.15 * each.mean(dim=1)
    iou = mask_iou(logits.detach(), target)
    return loss + judgement_loss(predicted_iou, iou), iou


def judgement_loss(predicted_iou: Tensor, iou: Tensor) -> Tensor:
    """How far predicted IoUs are off, and how well they put the candidates in order.

    Args:
        predicted_iou, iou: (B, 3).

    Returns:
        (B,).
    """
    # The candidate that is shown is the one with the highest predicted IoU: their order counts, not only the value.
    order = functional.cross_entropy(predicted_iou / SHARP, (iou / SHARP).softmax(dim=1), reduction="none")
    return 4 * (predicted_iou - iou).square().mean(dim=1) + 0.5 * order


def click_loss(at_clicks: Tensor, labels: Tensor) -> Tensor:
    """Every candidate contains the + clicks and leaves out the - clicks.

    Args:
        at_clicks: (B, M, N) mask logits where the prompts lie.
        labels: (B, N): only POSITIVE and NEGATIVE count.

    Returns:
        (B,), the mean over an object's clicks; 0 for one that has none.
    """
    sign = (labels == POSITIVE).float() - (labels == NEGATIVE).float()
    wrong = functional.softplus(-at_clicks * sign[:, None]) * sign.abs()[:, None]
    return wrong.sum((1, 2)) / (sign.abs().sum(1) * at_clicks.shape[1]).clamp(min=1)


def dense_loss(pairs: Tensor, classes: Tensor, cells: Tensor, semantic: Tensor) -> Tensor:
    """Tokens of one part lie together, others apart; and every token knows its class.

    Args:
        pairs: (B, n, n) logits that two tokens share a part.
        classes: (B, C, h, w) logits.
        cells: (B, h, w) int64 part of each token: see targets.token_cells.
        semantic: (B, S, S) uint8.
    """
    ids = cells.flatten(1)
    same = (ids[:, :, None] == ids[:, None, :]).float()
    usable = (ids != MAX_PARTS).float()
    # Two tokens without a part may or may not be alike: no signal there.
    both = usable[:, :, None] * usable[:, None, :] * (1 - ((ids == 0)[:, :, None] & (ids == 0)[:, None, :]).float())
    positive, negative = same * both, (1 - same) * both
    entropy = functional.binary_cross_entropy_with_logits(pairs, same, reduction="none")
    pull = (entropy * positive).sum() / positive.sum().clamp(min=1)
    push = (entropy * negative).sum() / negative.sum().clamp(min=1)
    step = semantic.shape[-1] // classes.shape[-1]
    middle = semantic[:, step // 2 :: step, step // 2 :: step].long()
    known = middle != UNKNOWN
    kind = functional.cross_entropy(classes, torch.where(known, middle, 0), reduction="none") * known
    return pull + push + 0.5 * kind.sum() / known.sum().clamp(min=1)
