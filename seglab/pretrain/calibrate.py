"""Making the predicted IoUs of the three candidates comparable, after training: one offset per candidate."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from seglab.evaluation.cases import Case
from seglab.evaluation.clicks import follow_clicks, ious_of, model_method
from seglab.models.sam import AdaptedSam


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
    answers, found = model_method(model)(case.rgb), []
    for _ in follow_clicks(answers, case.masks, clicks):
        pairs = zip(answers.candidates, case.masks, strict=True)
        true = np.array([ious_of(candidates, np.broadcast_to(mask, candidates.shape)) for candidates, mask in pairs])
        found.append(true - answers.predicted)
    return found
