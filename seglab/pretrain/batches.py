"""Batches from a pool: pairs of crops of one scene, turned and recoloured, with their objects and class maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seglab.pretrain.samples import Crop, Pool
from seglab.pretrain.scenes import CLASSES, UNKNOWN

BACKGROUND = CLASSES.index("background")


@dataclass(frozen=True)
class Batch:
    """What one training step needs. Crops 2k and 2k+1 come from one scene or one dataset and share their colours."""

    rgb: Tensor
    """(I, S, S, 3) uint8."""
    semantic: Tensor
    """(I, S, S) uint8."""
    cells: Tensor
    """(I, S/8, S/8) uint8 object per token, 255 unknown."""
    masks: np.ndarray
    """(N, S, S) bool, the prompted objects of all images."""
    image_index: np.ndarray
    """(N,) which image an object belongs to."""
    classes: np.ndarray
    """(N,) class of each object."""


class Sampler:
    """Draws batches; its state is one random generator, so that a run can be resumed exactly."""

    def __init__(self, pool: Pool, images: int, objects: int, real_share: float) -> None:
        """
        Args:
            pool: where crops come from.
            images: crops per batch, even.
            objects: most prompted objects per crop.
            real_share: share of crops that are real imagery, its datasets in equal parts.
        """
        self.pool, self.images, self.objects = pool, images, objects
        source = np.asarray(pool.arrays["source"])
        self.groups = [np.nonzero(source == i)[0] for i in range(len(pool.sources))]
        filled = [i for i, group in enumerate(self.groups) if len(group)]
        real = [i for i in filled if i]
        weight = np.zeros(len(self.groups))
        if real:
            weight[real] = real_share / len(real)
        weight[0] = 1 - weight.sum() if len(self.groups[0]) else 0
        self.weight = weight / weight.sum()

    def draw(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        crops: list[Crop] = []
        for _ in range(self.images // 2):
            group = self.groups[rng.choice(len(self.groups), p=self.weight)]
            at = int(rng.integers(len(group)))
            # Neighbours in the pool come from the same scene or image.
            other = int(np.clip(at + rng.choice((-2, -1, 1, 2)), 0, len(group) - 1))
            recolour = colour_change(rng)
            for i in (at, other):
                crops.append(turned(rng, self.pool.crop(int(group[i])), recolour))
        masks, index, classes = [], [], []
        for i, crop in enumerate(crops):
            n = min(self.objects, len(crop.masks))
            chosen = rng.choice(len(crop.masks), n, replace=False)
            # A crop with few objects shows them under several prompts.
            chosen = np.tile(chosen, min(3, max(1, self.objects // n)))
            masks.append(crop.masks[chosen])
            classes.append(crop.classes[chosen])
            index.append(np.full(len(chosen), i))
        return Batch(
            torch.from_numpy(np.stack([c.rgb for c in crops])),
            torch.from_numpy(np.stack([c.semantic for c in crops])),
            torch.from_numpy(np.stack([c.cells for c in crops])),
            np.concatenate(masks),
            np.concatenate(index),
            np.concatenate(classes),
        )


def colour_change(rng: np.random.Generator) -> np.ndarray:
    """A random colour table per channel and channel order: (3, 257), the last column is the source channel."""
    order = rng.permutation(3) if rng.random() < 0.15 else np.arange(3)
    level = np.linspace(0, 1, 256)
    tables = np.zeros((3, 257))
    contrast, shift, gamma = rng.uniform(0.7, 1.35), rng.normal(0, 0.07), np.exp(rng.normal(0, 0.2))
    for channel in range(3):
        gain = contrast * np.exp(rng.normal(0, 0.07))
        tables[channel, :256] = np.clip(((level**gamma) - 0.45) * gain + 0.45 + shift + rng.normal(0, 0.03), 0, 1) * 255
        tables[channel, 256] = order[channel]
    if rng.random() < 0.1:
        tables[:, 256] = tables[0, 256]
    return tables


def turned(rng: np.random.Generator, crop: Crop, recolour: np.ndarray) -> Crop:
    """The crop under a random one of the eight flips and rotations, and with its colours changed."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))

    def turn(array: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
        array = np.rot90(array, turns, axes)
        return np.ascontiguousarray(np.flip(array, axes[1]) if flip else array)

    rgb = turn(crop.rgb, (0, 1))
    channels = [recolour[c, :256].astype(np.uint8)[rgb[..., int(recolour[c, 256])]] for c in range(3)]
    return Crop(
        np.stack(channels, -1),
        turn(crop.semantic, (0, 1)),
        turn(crop.cells, (0, 1)),
        turn(crop.masks, (1, 2)),
        crop.classes,
    )


@dataclass(frozen=True)
class Exemplars:
    """Class prompts of one step: which mask the prompt is averaged over, and where its class should be found."""

    source_image: np.ndarray
    """(E,) image whose embedding is averaged."""
    source_mask: Tensor
    """(E, S, S) float, the pixels to average over."""
    image_index: np.ndarray
    """(E,) image to be segmented."""
    target: Tensor
    """(E, S, S) float, all pixels of the class."""
    known: Tensor
    """(E, S, S) float, 1 where the class map is known."""


def draw_exemplars(rng: np.random.Generator, batch: Batch, per_image: int) -> Exemplars | None:
    """Up to `per_image` class prompts for every image, from itself or from the other crop of its scene."""
    rows: list[tuple[int, np.ndarray, int, np.ndarray, np.ndarray]] = []
    semantic = batch.semantic.numpy()
    for image in range(len(semantic)):
        for _ in range(per_image):
            source = image if rng.random() < 0.5 else image ^ 1
            mine = np.nonzero(batch.image_index == source)[0]
            mine = mine[(batch.classes[mine] != UNKNOWN) & (batch.classes[mine] != BACKGROUND)]
            if not len(mine):
                continue
            label = batch.classes[rng.choice(mine)]
            same = mine[batch.classes[mine] == label]
            some = rng.choice(same, min(len(same), int(rng.integers(1, 4))), replace=False)
            known = semantic[image] != UNKNOWN
            target = semantic[image] == label
            if target.mean() > 0.97 or known.mean() < 0.3:
                continue
            rows.append((source, batch.masks[some].any(0), image, target, known))
    if not rows:
        return None
    source, mask, image, target, known = zip(*rows, strict=True)
    return Exemplars(
        np.array(source),
        torch.from_numpy(np.stack(mask)).float(),
        np.array(image),
        torch.from_numpy(np.stack(target)).float(),
        torch.from_numpy(np.stack(known)).float(),
    )
