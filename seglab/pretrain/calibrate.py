"""Making the predicted IoUs of the three candidates comparable, after training: one offset per candidate."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from seglab.models.candidates import rank_candidates
from seglab.models.sam import AdaptedSam
from seglab.models.spec import PAD
from seglab.pretrain.evaluate import Case, clicks_for, enlarge, iou_of


def calibrate(model: AdaptedSam, cases: Iterable[Case], clicks: int = 3) -> list[float]:
    """Shift each candidate's predicted IoU by its mean error, so that the order of candidates can be trusted.

    The best of three candidates learns most, so each specialises; their predictions drift apart by a few points, which
    is enough to show the wrong one. Call it with training ground only.

    Args:
        model: in eval mode; the bias of its IoU head is changed.
        cases: what to measure on.
        clicks: up to how many clicks per object.

    Returns:
        The three offsets, in IoU.
    """
    errors: list[np.ndarray] = []
    with torch.inference_mode():
        for case in cases:
            errors += _errors(model, case, clicks)
    offsets = np.mean(np.concatenate(errors), axis=0)
    bias = model.sam.mask_decoder.iou_prediction_head.layers[-1].bias
    with torch.no_grad():
        bias[1:] += torch.from_numpy(offsets).to(bias)
    return [float(value) for value in offsets]


def _errors(model: AdaptedSam, case: Case, clicks: int) -> list[np.ndarray]:
    """True minus predicted IoU after each click, a list of (N, 3)."""
    n, size = len(case.masks), case.masks.shape[-1]
    embedding = model.encode(model.preprocess(torch.from_numpy(case.rgb)[None]))
    coords, labels = np.zeros((n, 1, 2), np.float32), np.full((n, 1), PAD, np.int64)
    predicted, previous, found = np.zeros_like(case.masks), None, []
    for _ in range(clicks):
        click, sign = clicks_for(case.masks, predicted)
        coords, labels = np.concatenate([click, coords], 1), np.concatenate([sign, labels], 1)
        points, kinds = torch.from_numpy(coords).to(model.device), torch.from_numpy(labels).to(model.device)
        logits, quality = model.decode(embedding, points, kinds, previous)
        masks = [enlarge(logits[:, j], size) for j in range(logits.shape[1])]
        true = np.array([[iou_of(masks[j][i], case.masks[i]) for j in range(len(masks))] for i in range(n)])
        found.append(true - quality.cpu().numpy())
        best = rank_candidates(logits, quality, points, kinds, model.spec.patch)[:, 0]
        previous = logits[torch.arange(n), best][:, None].clamp(-12, 12)
        predicted = np.stack([masks[int(j)][i] for i, j in enumerate(best)])
    return found
