"""How good a model is by clicks: the protocol of interactive segmentation, for models and for what needs none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from seglab.core.annotator import next_click
from seglab.datasets.folder import FolderDataset, objects_of
from seglab.datasets.splits import Part, split_ids
from seglab.models.candidates import rank_candidates
from seglab.models.sam import AdaptedSam
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE
from seglab.pretrain.samples import Pool

CLICKS = (1, 3, 5)
"""After how many clicks IoU is taken."""
FILL = 0.7
"""Largest share of a window's side that an object's extent may take."""
DISC = 1 / 12
"""Radius of the probable foreground around a + click that GrabCut starts from, as a share of the image's side."""


@dataclass(frozen=True)
class Case:
    """One image and the objects to find in it."""

    dataset: str
    rgb: np.ndarray
    """(S, S, 3) uint8."""
    masks: np.ndarray
    """(N, S, S) bool."""


@dataclass(frozen=True)
class Figures:
    """Mean IoU per dataset."""

    by_source: dict[str, dict[str, float]]
    """Dataset to {"1": IoU at one click, ..., "box": IoU for a box}."""

    @property
    def overall(self) -> dict[str, float]:
        """Mean over the real datasets (all that are not procedural), each counting the same."""
        real = [v for k, v in self.by_source.items() if k != "procedural"] or list(self.by_source.values())
        return {key: float(np.mean([v[key] for v in real if key in v])) for key in real[0]}


class Tally:
    """Collects IoUs per dataset."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[float]]] = {}

    def add(self, dataset: str, key: str, values: Iterable[float]) -> None:
        """Values of one dataset under one key."""
        self.found.setdefault(dataset, {}).setdefault(key, []).extend(values)

    def figures(self) -> Figures:
        """Their means."""
        return Figures({n: {k: float(np.mean(v)) for k, v in vs.items()} for n, vs in self.found.items()})


def iou_of(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boolean masks; 1 when both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def pool_cases(pool: Pool, limit: int | None = None, objects: int | None = None) -> Iterator[Case]:
    """Crops of a pool, at most `limit` of each dataset, evenly spread, with at most `objects` objects each."""
    source = np.asarray(pool.arrays["source"])
    for i, name in enumerate(pool.sources):
        group = np.nonzero(source == i)[0]
        if limit is not None and len(group) > limit:
            group = group[np.linspace(0, len(group) - 1, limit).astype(int)]
        for index in group:
            crop = pool.crop(int(index))
            yield Case(name, crop.rgb, crop.masks[:objects])


def window_cases(dataset: FolderDataset, part: Part, size: int, per_image: int) -> Iterator[Case]:
    """One window per object, as a session would open it: around the object, coarser where it is large.

    Args:
        dataset: where the images come from.
        part: of the split.
        size: side of the window in model pixels.
        per_image: most objects per image.
    """
    for image_id in split_ids(dataset.name, part):
        image = dataset.read(image_id)
        rows, cols = image.mask.shape
        for thing in objects_of(image, dataset.targets, limit=per_image):
            left, top, right, bottom = extent(thing.mask)
            scale = 1
            while max(right - left, bottom - top) > FILL * size * scale and size * scale < min(rows, cols):
                scale *= 2
            side = min(size * scale, rows, cols)
            col = int(np.clip((left + right - side) // 2, 0, cols - side))
            row = int(np.clip((top + bottom - side) // 2, 0, rows - side))
            view = (slice(row, row + side), slice(col, col + side))
            how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
            rgb = cv2.resize(image.rgb[view], (size, size), interpolation=how)
            mask = cv2.resize(thing.mask[view].astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
            if mask.any():
                yield Case(dataset.name, rgb, mask[None].astype(bool))


def evaluate(model: AdaptedSam, cases: Iterable[Case], clicks: tuple[int, ...] = CLICKS) -> Figures:
    """Measure a model, which must be in eval mode."""
    tally = Tally()
    with torch.inference_mode():
        for case in cases:
            embedding = model.encode(model.preprocess(torch.from_numpy(case.rgb)[None]))
            for count, ious in click_protocol(model, embedding, case.masks, clicks).items():
                tally.add(case.dataset, str(count), ious)
            tally.add(case.dataset, "box", box_protocol(model, embedding, case.masks))
    return tally.figures()


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


def click_protocol(
    model: AdaptedSam, embedding: torch.Tensor, masks: np.ndarray, clicks: tuple[int, ...]
) -> dict[int, list[float]]:
    """IoU of each object after some clicks, each seeing the mask before it."""
    n, size = len(masks), masks.shape[-1]
    # As a session does, a padding point stands where there is no box.
    coords, labels = np.zeros((n, 1, 2), np.float32), np.full((n, 1), PAD, np.int64)
    predicted = np.zeros_like(masks)
    previous = None
    out = {}
    for count in range(1, max(clicks) + 1):
        click, sign = clicks_for(masks, predicted)
        coords, labels = np.concatenate([click, coords], 1), np.concatenate([sign, labels], 1)
        device = embedding.device
        points, kinds = torch.from_numpy(coords).to(device), torch.from_numpy(labels).to(device)
        logits, quality = model.decode(embedding, points, kinds, previous)
        best = logits[torch.arange(n), rank_candidates(logits, quality, points, kinds, model.spec.patch)[:, 0]]
        previous = best[:, None].clamp(-12, 12)
        predicted = enlarge(best, size)
        if count in clicks:
            out[count] = [iou_of(p, m) for p, m in zip(predicted, masks, strict=True)]
    return out


def box_protocol(model: AdaptedSam, embedding: torch.Tensor, masks: np.ndarray) -> list[float]:
    """IoU of each object for its exact box."""
    corners = np.array([extent(mask) for mask in masks], np.float32).reshape(-1, 2, 2)
    coords = torch.from_numpy(corners).to(embedding.device)
    labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]], device=embedding.device).expand(len(masks), -1)
    logits, quality = model.decode(embedding, coords, labels)
    predicted = enlarge(logits[torch.arange(len(masks)), quality.argmax(1)], masks.shape[-1])
    return [iou_of(p, m) for p, m in zip(predicted, masks, strict=True)]


def enlarge(logits: torch.Tensor, size: int) -> np.ndarray:
    """(N, h, w) logits to (N, size, size) bool masks."""
    up = torch.nn.functional.interpolate(logits[:, None].float(), (size, size), mode="bilinear")
    return (up[:, 0] > 0).cpu().numpy()


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Bounding box (left, top, right, bottom) of a mask, pixels, right and bottom excluded."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


Segment = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(rgb (S, S, 3), coords (K, 2), labels (K,)) to a mask (S, S) bool."""


def evaluate_without_model(segment: Segment, cases: Iterable[Case], clicks: tuple[int, ...] = CLICKS) -> Figures:
    """The same protocol for a method that needs no training."""
    tally = Tally()
    for case in cases:
        coords, labels = np.zeros((len(case.masks), 0, 2), np.float32), np.zeros((len(case.masks), 0), np.int64)
        predicted = np.zeros_like(case.masks)
        for count in range(1, max(clicks) + 1):
            click, sign = clicks_for(case.masks, predicted)
            coords, labels = np.concatenate([coords, click], 1), np.concatenate([labels, sign], 1)
            for i in range(len(case.masks)):
                used = labels[i] != PAD
                predicted[i] = segment(case.rgb, coords[i][used], labels[i][used])
            if count in clicks:
                ious = [iou_of(p, m) for p, m in zip(predicted, case.masks, strict=True)]
                tally.add(case.dataset, str(count), ious)
    return tally.figures()


def floodfill(tolerance: int) -> Segment:
    """OpenCV's flood fill: + clicks add a region of like colour, - clicks take one away."""

    def segment(rgb: np.ndarray, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
        mask = np.zeros(rgb.shape[:2], bool)
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
        spread = (tolerance,) * 3
        for (col, row), label in zip(coords, labels, strict=True):
            canvas = np.zeros((rgb.shape[0] + 2, rgb.shape[1] + 2), np.uint8)
            cv2.floodFill(rgb.copy(), canvas, (int(col), int(row)), 0, spread, spread, flags)
            region = canvas[1:-1, 1:-1].astype(bool)
            mask = mask | region if label == POSITIVE else mask & ~region
        return mask

    return segment


def grabcut(rgb: np.ndarray, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """OpenCV's GrabCut from clicks: a probable foreground disc around each + click, a sure dot at every click."""
    state = np.full(rgb.shape[:2], cv2.GC_PR_BGD, np.uint8)
    points = [(int(col), int(row), label) for (col, row), label in zip(coords, labels, strict=True)]
    for col, row, label in points:
        if label == POSITIVE:
            cv2.circle(state, (col, row), round(DISC * rgb.shape[0]), int(cv2.GC_PR_FGD), -1)
    for col, row, label in points:
        cv2.circle(state, (col, row), 2, int(cv2.GC_FGD if label == POSITIVE else cv2.GC_BGD), -1)
    cv2.setRNGSeed(0)
    # Where one of the two groups becomes empty (a flat image, say), the marks themselves are the answer.
    with contextlib.suppress(cv2.error):
        cv2.grabCut(rgb, state, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
