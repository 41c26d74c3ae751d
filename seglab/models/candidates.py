"""Which candidate mask to show: one that obeys every + and - click, then the one with the highest predicted IoU."""

from __future__ import annotations

import torch
from torch import Tensor

from seglab.models.spec import NEGATIVE, POSITIVE


def logits_at_clicks(logits: Tensor, coords: Tensor, patch: int) -> Tensor:
    """Mask logits where prompts lie.

    Args:
        logits: (B, M, 4h, 4w) masks, four cells per token.
        coords: (B, N, 2) (x, y) in model pixels.
        patch: side of a token, model pixels.

    Returns:
        (B, M, N).
    """
    cells = (coords * 4 / patch).long()
    cols = cells[..., 0].clamp(0, logits.shape[-1] - 1)
    rows = cells[..., 1].clamp(0, logits.shape[-2] - 1)
    flat = (rows * logits.shape[-1] + cols)[:, None].expand(-1, logits.shape[1], -1)
    return logits.flatten(2).gather(2, flat)


def rank_candidates(logits: Tensor, iou: Tensor, coords: Tensor, labels: Tensor, patch: int) -> Tensor:
    """Candidates from best to worst.

    A candidate that contradicts a click cannot be what was meant, whatever its predicted IoU.

    Args:
        logits: (B, M, 4h, 4w).
        iou: (B, M) predicted.
        coords: (B, N, 2) (x, y) in model pixels.
        labels: (B, N): only POSITIVE and NEGATIVE count.
        patch: side of a token, model pixels.

    Returns:
        (B, M) int64 indexes of candidates.
    """
    inside = logits_at_clicks(logits, coords, patch) > 0
    clicks = ((labels == POSITIVE) | (labels == NEGATIVE))[:, None]
    broken = (clicks & (inside != (labels == POSITIVE)[:, None])).sum(dim=2)
    return torch.argsort(iou.float().clamp(0, 1) - 2 * broken, dim=1, descending=True, stable=True)
