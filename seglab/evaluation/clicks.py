"""The protocol of interactive segmentation: clicks where the mask is most wrong, IoU after each; and one box.

The first click is at the object's pixel farthest from its border, each next one in the middle of the largest error
(Sofiiuk et al., RITM, 2021). A model and a method without a network answer through the same two calls, `Answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from seglab.core.annotator import next_click
from seglab.core.metrics import iou
from seglab.evaluation.cases import Case, extent
from seglab.models.candidates import rank_candidates
from seglab.models.sam import AdaptedSam
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE

MAX_CLICKS = 10
"""Clicks after which an object that is still not good enough counts as failed."""
LOGIT_LIMIT = 12.0
"""A previous mask's logits are cut to this before they are a prompt, as in training."""


class Answers(Protocol):
    """What segments the objects of one image, as their prompts come."""

    def to_clicks(self, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """All clicks so far, (N, K, 2) (x, y) pixels and (N, K) labels with PAD for none, to (N, S, S) bool."""

    def to_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) left, top, right, bottom in pixels, to (N, S, S) bool."""


Method = Callable[[np.ndarray], Answers]
"""(S, S, 3) uint8 to what answers prompts in that image."""


class ModelAnswers:
    """A model's masks in one image: of the three candidates the one that a session shows first.

    Args:
        model: in eval mode.
        embedding: (1, D, h, w) of the image.
        size: side of the image, pixels.
    """

    def __init__(self, model: AdaptedSam, embedding: torch.Tensor, size: int) -> None:
        self.model, self.embedding, self.size = model, embedding, size
        self.candidates: np.ndarray | None = None
        """(N, 3, S, S) bool, the candidates of the last answer to clicks."""
        self.predicted: np.ndarray | None = None
        """(N, 3) their predicted IoU."""
        self._previous: torch.Tensor | None = None

    def to_clicks(self, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """See `Answers`; each answer sees the mask before it, so clicks are handed over one more at a time."""
        n = len(coords)
        # As a session does, a padding point stands where there is no box.
        coords = np.concatenate([coords, np.zeros((n, 1, 2), np.float32)], axis=1)
        labels = np.concatenate([labels, np.full((n, 1), PAD, np.int64)], axis=1)
        device = self.embedding.device
        points, kinds = torch.from_numpy(coords).to(device), torch.from_numpy(labels).to(device)
        logits, quality = self.model.decode(self.embedding, points, kinds, self._previous)
        shown = rank_candidates(logits, quality, points, kinds, self.model.spec.patch)[:, 0]
        rows = torch.arange(n, device=device)
        self._previous = logits[rows, shown][:, None].clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        masks = enlarge(logits.flatten(0, 1), self.size)
        self.candidates = masks.reshape(n, -1, self.size, self.size)
        self.predicted = quality.float().cpu().numpy()
        return self.candidates[np.arange(n), shown.cpu().numpy()]

    def to_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """See `Answers`."""
        coords = torch.from_numpy(np.asarray(boxes, np.float32).reshape(-1, 2, 2)).to(self.embedding.device)
        labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]], device=coords.device).expand(len(coords), -1)
        logits, quality = self.model.decode(self.embedding, coords, labels)
        return enlarge(logits[torch.arange(len(coords)), quality.argmax(1)], self.size)


def model_method(model: AdaptedSam) -> Method:
    """A model as a method of the protocol; it must be in eval mode. Call what it gives under `torch.no_grad`."""

    def method(rgb: np.ndarray) -> ModelAnswers:
        embedding = model.encode(model.preprocess(torch.from_numpy(rgb)[None]))
        return ModelAnswers(model, embedding, rgb.shape[0])

    return method


def clicks_for(masks: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next click on every object: in the middle of the largest error; the first, of the object.

    Args:
        masks: (N, S, S) bool.
        predicted: (N, S, S) bool, all False before the first click.

    Returns:
        coords (N, 1, 2) float32, labels (N, 1) int64; PAD where nothing is wrong.
    """
    coords, labels = np.zeros((len(masks), 1, 2), np.float32), np.full((len(masks), 1), PAD, np.int64)
    for i, (mask, guess) in enumerate(zip(masks, predicted, strict=True)):
        click = next_click(mask, guess)
        if click is not None:
            coords[i, 0], labels[i, 0] = (click.col, click.row), POSITIVE if click.positive else NEGATIVE
    return coords, labels


def follow_clicks(answers: Answers, masks: np.ndarray, count: int = MAX_CLICKS) -> Iterator[list[float]]:
    """IoU of each object after 1, 2, ... `count` clicks.

    Args:
        answers: what segments.
        masks: (N, S, S) bool, the objects.
        count: how many clicks.
    """
    coords, labels = np.zeros((len(masks), 0, 2), np.float32), np.zeros((len(masks), 0), np.int64)
    predicted = np.zeros_like(masks)
    for _ in range(count):
        click, sign = clicks_for(masks, predicted)
        coords, labels = np.concatenate([coords, click], 1), np.concatenate([labels, sign], 1)
        predicted = answers.to_clicks(coords, labels)
        yield ious_of(predicted, masks)


def click_protocol(
    model: AdaptedSam, embedding: torch.Tensor, masks: np.ndarray, clicks: Iterable[int]
) -> dict[int, list[float]]:
    """IoU of each object after some numbers of clicks.

    Args:
        model: in eval mode.
        embedding: (1, D, h, w) of the image.
        masks: (N, S, S) bool, the objects.
        clicks: after how many clicks.
    """
    wanted = sorted(set(clicks))
    after = enumerate(follow_clicks(ModelAnswers(model, embedding, masks.shape[-1]), masks, wanted[-1]), start=1)
    return {count: ious for count, ious in after if count in wanted}


def box_protocol(model: AdaptedSam, embedding: torch.Tensor, masks: np.ndarray) -> list[float]:
    """IoU of each object for its exact box; arguments as for `click_protocol`."""
    return _box_ious(ModelAnswers(model, embedding, masks.shape[-1]), masks)


def clicks_to(ious_by_click: Sequence[float] | np.ndarray, threshold: float) -> np.ndarray | int:
    """How many clicks it takes to reach an IoU ("NoC").

    Args:
        ious_by_click: (K,) or (N, K), IoU after 1, 2, ... K clicks.
        threshold: the IoU to reach.

    Returns:
        An int, or (N,) int64. Where it is never reached, K, by the convention of the literature; such objects have
        failed, and `np.max(ious_by_click, -1) < threshold` finds them.
    """
    reached = np.asarray(ious_by_click) >= threshold
    counts = np.where(reached.any(-1), reached.argmax(-1) + 1, reached.shape[-1])
    return counts if counts.ndim else int(counts)


@dataclass(frozen=True)
class ObjectResult:
    """How one object went."""

    dataset: str
    group: str
    """Its image."""
    ious: tuple[float, ...]
    """IoU after 1, 2, ... clicks."""
    box: float
    """IoU for its exact box."""
    candidates: tuple[tuple[float, float], ...] = ()
    """(predicted, true) IoU of each candidate after one click; empty for a method that predicts none."""


def measure(method: Method, cases: Iterable[Case], clicks: int = MAX_CLICKS) -> Iterator[ObjectResult]:
    """Run both protocols.

    Args:
        method: `model_method(model)`, or one of evaluation.baselines.
        cases: the objects.
        clicks: how many clicks each gets.
    """
    for case in cases:
        if not len(case.masks):
            continue
        with torch.inference_mode():
            answers = method(case.rgb)
            steps, pairs = [], [()] * len(case.masks)
            for ious in follow_clicks(answers, case.masks, clicks):
                if not steps and isinstance(answers, ModelAnswers):
                    pairs = _candidate_pairs(answers, case.masks)
                steps.append(ious)
            boxes = _box_ious(answers, case.masks)
        for ious, box, known in zip(np.transpose(steps).tolist(), boxes, pairs, strict=True):
            yield ObjectResult(case.dataset, case.group, tuple(ious), box, known)


def enlarge(logits: torch.Tensor, size: int) -> np.ndarray:
    """(N, h, w) logits to (N, size, size) bool masks."""
    up = torch.nn.functional.interpolate(logits[:, None].float(), (size, size), mode="bilinear")
    return (up[:, 0] > 0).cpu().numpy()


def ious_of(predicted: np.ndarray, masks: np.ndarray) -> list[float]:
    """IoU of each of N masks with its object, both (N, S, S) bool."""
    return [iou(a, b) for a, b in zip(predicted, masks, strict=True)]


def _box_ious(answers: Answers, masks: np.ndarray) -> list[float]:
    return ious_of(answers.to_boxes(np.array([extent(mask) for mask in masks], np.float32).reshape(-1, 4)), masks)


def _candidate_pairs(answers: ModelAnswers, masks: np.ndarray) -> list[tuple[tuple[float, float], ...]]:
    """(predicted, true) IoU of the candidates of each object."""
    return [
        tuple((float(p), iou(c, mask)) for p, c in zip(predicted, candidates, strict=True))
        for predicted, candidates, mask in zip(answers.predicted, answers.candidates, masks, strict=True)
    ]
