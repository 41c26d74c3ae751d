"""Prompts for training, as real use makes them: recorded ones, fresh clicks, loose boxes, corrections of errors."""

from __future__ import annotations

import cv2
import numpy as np

from seglab.models.prompt_arrays import PromptArrays, encode_prompts
from seglab.models.spec import NEGATIVE, POSITIVE

LOOSE = 0.15
"""A drawn box is off by up to this share of its side, at each side."""


def simulated_prompt(mask: np.ndarray, pixel: float, rng: np.random.Generator) -> PromptArrays:
    """A first prompt for an object: a click well inside it, anywhere inside it, or a loose box.

    Args:
        mask: (m, m) bool, not empty.
        pixel: model pixels per mask pixel.
        rng: source of chance.
    """
    if rng.random() < 0.3:
        return encode_prompts(np.zeros((0, 2)), np.zeros(0, np.int64), _loose_box(mask, rng) * pixel)
    point = _inner_point(mask, rng) if rng.random() < 0.5 else _any_point(mask, rng)
    return encode_prompts(np.array([point]) * pixel, np.array([POSITIVE]), None)


def with_correction(
    prompt: PromptArrays, mask: np.ndarray, predicted: np.ndarray, pixel: float, rng: np.random.Generator
) -> PromptArrays:
    """The same prompt and one more click, drawn from where the prediction is wrong.

    Args:
        prompt: a batch of one.
        mask, predicted: (m, m) bool.
        pixel: model pixels per mask pixel.
        rng: source of chance.
    """
    missed, extra = mask & ~predicted, predicted & ~mask
    wrong = missed | extra
    if not wrong.any():
        wrong = missed = mask
    point = _any_point(wrong, rng)
    kind = POSITIVE if missed[int(point[1]), int(point[0])] else NEGATIVE
    coords = np.concatenate([prompt.coords, (np.array(point, np.float32) * pixel)[None, None]], axis=1)
    labels = np.concatenate([prompt.labels, np.array([[kind]])], axis=1)
    return PromptArrays(coords, labels)


def _any_point(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    i = rng.integers(len(rows))
    return cols[i] + 0.5, rows[i] + 0.5


def _inner_point(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """A point in the half of the mask that is farther from its border."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return _any_point(distance >= np.median(distance[mask]), rng)


def _loose_box(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, cols = np.nonzero(mask)
    left, top, right, bottom = cols.min(), rows.min(), cols.max() + 1, rows.max() + 1
    noise = rng.uniform(-LOOSE, LOOSE, 4) * np.array([right - left, bottom - top] * 2)
    return np.clip(np.array([left, top, right, bottom]) + noise, 0, mask.shape[0]).astype(np.float32)
