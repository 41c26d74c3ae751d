"""How a model does on held-out chips: what a person clicked is replayed, and the class map is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seglab.core.annotator import next_click
from seglab.core.metrics import confusion, iou
from seglab.errors import TrainingError
from seglab.evaluation.clicks import LOGIT_LIMIT
from seglab.jobs import Reporter
from seglab.models.candidates import rank_candidates
from seglab.models.decoder import PreparedImage
from seglab.models.device import compute
from seglab.models.prompt_arrays import encode_prompts, pad
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.training.embed import embed
from seglab.training.job import RecordedPrompts, TrainingChip
from seglab.training.losses import IGNORE
from seglab.training.validation import MAX_CLICKS, TARGET_IOU, Judged

AT_ONCE = 16
"""Objects of a window that are decoded together, at most: some 100 MB with masks of 256 x 256."""


@dataclass
class _Object:
    """A held-out object and what has been said of it so far."""

    mask: np.ndarray
    """(m, m) bool."""
    recorded: list[tuple[float, float, int]]
    """(x, y, sign) of the clicks that are left to replay, model pixels."""
    box: np.ndarray | None
    """(4,) model pixels; it counts as the first click."""
    points: list[tuple[float, float]]
    signs: list[int]
    ious: list[float]
    """After each click."""
    guess: np.ndarray
    """(m, m) bool: the mask so far."""
    logits: Tensor | None = None
    """(m, m): the same, as the next prompt."""

    def click(self, pixel: float) -> None:
        """Say one more thing: what the person said, then where the mask is most wrong.

        Args:
            pixel: model pixels per mask pixel.
        """
        if not self.ious and self.box is not None:
            return
        if self.recorded:
            x, y, sign = self.recorded.pop(0)
        else:
            point = next_click(self.mask, self.guess)
            x, y, sign = point.col * pixel, point.row * pixel, int(point.positive)
        self.points.append((x, y))
        self.signs.append(sign)


def judge(reporter: Reporter, model: AdaptedSam, chips: Sequence[TrainingChip], prefixes: ArrayCache) -> Judged:
    """Measure a model on chips.

    Args:
        reporter: may cancel between chips and between parts of their objects.
        model: in eval mode, with a class prompt for every class of the chips.
        chips: held-out ones, in plain views.
        prefixes: the cache of their frozen prefixes.

    Raises:
        TrainingError: not even one object at a time fits the device.
        JobCancelled: the reporter asked to stop.
    """
    replay = _Replay(reporter, model)
    ious: list[list[float]] = []
    owners: list[str] = []
    tables = []
    for chip in chips:
        reporter.check()
        with torch.inference_mode(), compute(model.device):
            embedding = embed(model, prefixes, [chip])
            tables.append(_table(model, embedding, chip))
            ious += replay.ious(embedding, chip)
        owners += [chip.group] * len(chip.masks)
    return Judged(
        first_iou=np.array([found[0] for found in ious]),
        clicks=np.array([_clicks(found) for found in ious], dtype=np.float64),
        object_groups=tuple(owners),
        tables=np.stack(tables),
        table_groups=tuple(chip.group for chip in chips),
    )


def _clicks(ious: Sequence[float]) -> int:
    """How many clicks it took to reach TARGET_IOU; MAX_CLICKS where it was not reached."""
    return len(ious) if ious[-1] >= TARGET_IOU else MAX_CLICKS


def _table(model: AdaptedSam, embedding: Tensor, chip: TrainingChip) -> np.ndarray:
    """(C + 1, C + 2): labelled pixels by class and by what the class map says; see core.metrics.confusion."""
    logits = model.decode_classes(embedding)[0].float()
    map_ = torch.cat([torch.zeros_like(logits[:1]), logits]).argmax(0).cpu().numpy()
    return confusion(map_, chip.class_target, len(logits) + 1, ignore=IGNORE)


class _Replay:
    """Clicks the objects of chips, as many at once as the device has memory for.

    Args:
        reporter: may cancel between parts.
        model: see `judge`.
    """

    def __init__(self, reporter: Reporter, model: AdaptedSam) -> None:
        self._reporter = reporter
        self._model = model
        self._at_once = AT_ONCE

    def ious(self, embedding: Tensor, chip: TrainingChip) -> list[list[float]]:
        """IoU of each of a chip's objects after 1, 2, ... clicks, until it is good or MAX_CLICKS are spent."""
        pixel = self._model.spec.image_size / chip.class_target.shape[0]
        image = self._model.prepare(embedding)
        objects = [_start(mask, recorded) for mask, recorded in zip(chip.masks, chip.prompts, strict=True)]
        active = objects
        for _ in range(MAX_CLICKS):
            for thing in active:
                thing.click(pixel)
            self._answer(image, active)
            active = [thing for thing in active if thing.ious[-1] < TARGET_IOU]
        return [thing.ious for thing in objects]

    def _answer(self, image: PreparedImage, objects: Sequence[_Object]) -> None:
        """Give each object its next mask, in parts that fit the memory."""
        done = 0
        while done < len(objects):
            self._reporter.check()
            part = objects[done : done + self._at_once]
            try:
                _decode(self._model, image, part)
                done += len(part)
                continue
            except torch.cuda.OutOfMemoryError as error:
                if len(part) == 1:
                    raise TrainingError(
                        f"{self._model.device} has too little memory to judge the round by one object at a time "
                        f"({error}); close what else uses it, train with device='cpu', or use a smaller model"
                    ) from error
            self._at_once = (len(part) + 1) // 2
            if self._model.device.type == "cuda":
                torch.cuda.empty_cache()


def _start(mask: np.ndarray, recorded: RecordedPrompts | None) -> _Object:
    points, signs, box = (np.zeros((0, 2)), np.zeros(0, np.int64), None) if recorded is None else recorded
    said = [(float(x), float(y), int(sign)) for (x, y), sign in zip(points, signs, strict=True)]
    return _Object(mask, said, box, [], [], [], np.zeros_like(mask))


def _decode(model: AdaptedSam, image: PreparedImage, objects: Sequence[_Object]) -> None:
    """The model's masks for what has been said: as many things of each object, so that no prompt is padded."""
    prompts = [encode_prompts(np.array(o.points).reshape(-1, 2), np.array(o.signs, np.int64), o.box) for o in objects]
    arrays = pad(prompts)
    coords, labels = (torch.from_numpy(a).to(model.device) for a in (arrays.coords, arrays.labels))
    before = [o.logits for o in objects]
    previous = None if before[0] is None else torch.stack(before)[:, None]
    logits, predicted = model.decode(image, coords, labels, previous)
    logits = logits.float()
    shown = rank_candidates(logits, predicted.float(), coords, labels, model.spec.patch)[:, 0]
    best = logits[torch.arange(len(objects), device=logits.device), shown].clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    masks = (best > 0).cpu().numpy()
    for thing, mask, own in zip(objects, masks, best, strict=True):
        thing.guess, thing.logits = mask, own
        thing.ious.append(iou(mask, thing.mask))
