"""Prompts as the decoder takes them: coordinates and labels, padded to one length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PAD


@dataclass(frozen=True)
class PromptArrays:
    """Prompts of many objects in model pixels, padded to one length."""

    coords: np.ndarray
    """(B, N, 2) float32 (x, y)."""
    labels: np.ndarray
    """(B, N) int64: see seglab.models.sam."""


def encode_prompts(points: np.ndarray, labels: np.ndarray, corners: np.ndarray | None) -> PromptArrays:
    """One object's prompts as a batch of one.

    segment-anything adds a padding point where there is no box; so is it here.

    Args:
        points: (N, 2) float (x, y) model pixels.
        labels: (N,) 1 for +, 0 for -.
        corners: (4,) box or None.
    """
    if corners is None:
        extra, kinds = np.zeros((1, 2)), [PAD]
    else:
        extra, kinds = corners.reshape(2, 2), [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
    coords = np.concatenate([points.reshape(-1, 2), extra]).astype(np.float32)
    return PromptArrays(coords[None], np.concatenate([labels, kinds]).astype(np.int64)[None])


def pad(prompts: list[PromptArrays]) -> PromptArrays:
    """Stack prompts of different lengths into one batch."""
    length = max(p.labels.shape[1] for p in prompts)
    coords = [np.pad(p.coords, ((0, 0), (0, length - p.labels.shape[1]), (0, 0))) for p in prompts]
    labels = [np.pad(p.labels, ((0, 0), (0, length - p.labels.shape[1])), constant_values=PAD) for p in prompts]
    return PromptArrays(np.concatenate(coords), np.concatenate(labels))
