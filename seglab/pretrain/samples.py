"""A prepared pool of crops: image, object masks as packed bits, class map; made once, memory-mapped in training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seglab.datasets.folder import FolderDataset, LabelledImage, open_datasets
from seglab.datasets.splits import Part, split_ids
from seglab.errors import PretrainError
from seglab.pretrain.scenes import CLASSES, UNKNOWN, scene

MAX_OBJECTS = 12
"""Most objects kept per crop."""
MIN_AREA = 20
"""Smallest object in a crop, pixels."""
MAX_SHARE = 0.9
"""Largest share of a crop that one object may cover."""
PATCH = 8
"""Side of an encoder token, pixels: the resolution of `cells`."""
SCALES = (1.0, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
"""Ground pixels per crop pixel, drawn at random where the image is large enough."""
CLASS_OF = {
    "building": "building",
    "field": "field",
    "road": "road",
    "water": "water",
    "forest": "forest",
    "vegetation": "grass",
    "land": "bare",
    "cloud": "cloud",
    "solar panel": "solar",
    "landslide": "landslide",
    "cleared or other": "cleared",
    "background": "background",
    "clear": "background",
}
"""Class names of the real datasets to the shared classes."""


@dataclass(frozen=True)
class Crop:
    """One square training crop."""

    rgb: np.ndarray
    """(s, s, 3) uint8."""
    semantic: np.ndarray
    """(s, s) uint8, an index of CLASSES or UNKNOWN."""
    cells: np.ndarray
    """(s/8, s/8) uint8: the object that fills most of each encoder token; 0 none, 255 mixed."""
    masks: np.ndarray
    """(n, s, s) bool, n <= MAX_OBJECTS."""
    classes: np.ndarray
    """(n,) uint8 class of each object."""


def procedural_crops(seed: int, size: int, per_scene: int) -> list[Crop]:
    """Crops of one procedural scene at several scales.

    Args:
        seed: of the scene.
        size: side of a crop, pixels.
        per_scene: how many crops to try for.
    """
    sample = scene(seed, max(384, 2 * size))
    rng = np.random.default_rng([seed, 1])
    crops = []
    for _ in range(per_scene):
        rgb, semantic, ids = cut(rng, sample.rgb, sample.semantic, sample.instances.astype(np.int32), size)
        objects = procedural_objects(rng, ids, sample.parents)
        crop = assemble(rng, rgb, semantic, ids, objects, semantic)
        if crop is not None:
            crops.append(crop)
    return crops


def real_crops(rng: np.random.Generator, image: LabelledImage, dataset: FolderDataset, size: int) -> Crop | None:
    """One random crop of a labelled image, or None when it holds no usable object."""
    lookup = np.full(256, UNKNOWN, np.uint8)
    for index, name in dataset.classes.items():
        lookup[index] = CLASSES.index(CLASS_OF[name]) if name in CLASS_OF else UNKNOWN
    ids = image.instances if image.instances is not None else image.mask.astype(np.int32)
    rgb, mask, ids = cut(rng, image.rgb, image.mask, ids, size)
    if image.instances is not None:
        objects = [ids == i for i in np.unique(ids) if i]
    else:
        objects = [part for i in dataset.targets for part in components(mask == i)]
    if image.instances is None:
        ids = paint_ids(objects, ids.shape)
    semantic = lookup[mask]
    return assemble(rng, rgb, semantic, ids, objects, semantic)


def cut(
    rng: np.random.Generator, rgb: np.ndarray, labels: np.ndarray, ids: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random square at a random scale, resampled to `size` pixels (mean for colours, nearest for labels)."""
    rows, cols = labels.shape
    limit = min(rows, cols) / size
    usable = [s for s in SCALES if s <= limit]
    scale = float(rng.choice(usable)) * rng.uniform(0.85, 1.15) if usable else limit
    side = int(min(size * scale, rows, cols))
    top, left = int(rng.integers(0, rows - side + 1)), int(rng.integers(0, cols - side + 1))
    view = (slice(top, top + side), slice(left, left + side))
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    out = (size, size)
    return (
        cv2.resize(rgb[view], out, interpolation=how),
        cv2.resize(labels[view], out, interpolation=cv2.INTER_NEAREST),
        cv2.resize(ids[view].astype(np.float32), out, interpolation=cv2.INTER_NEAREST).astype(np.int32),
    )


def components(mask: np.ndarray) -> list[np.ndarray]:
    """Connected components of at least MIN_AREA pixels, the 12 largest."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    return [labels == i + 1 for i in np.argsort(-areas)[:12] if areas[i] >= MIN_AREA]


def procedural_objects(rng: np.random.Generator, ids: np.ndarray, parents: dict[int, int]) -> list[np.ndarray]:
    """Objects of a procedural crop: with the things inside them or without, whole or their largest visible part."""
    objects = []
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    for i in np.unique(ids):
        if i == 0:
            continue
        mask = ids == i
        if i in children and rng.random() < 0.6:
            mask = mask | np.isin(ids, children[i])
        if rng.random() < 0.7:
            parts = components(mask)
            if not parts:
                continue
            mask = parts[0]
        objects.append(mask)
    return objects


def paint_ids(objects: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Object masks as one id map, (rows, cols) int32."""
    ids = np.zeros(shape, np.int32)
    for i, mask in enumerate(objects, 1):
        ids[mask] = i
    return ids


def assemble(
    rng: np.random.Generator,
    rgb: np.ndarray,
    semantic: np.ndarray,
    ids: np.ndarray,
    objects: list[np.ndarray],
    classes: np.ndarray,
) -> Crop | None:
    """Choose at most MAX_OBJECTS usable objects and put the crop together; None when there is none."""
    limit = MAX_SHARE * ids.size
    objects = [m for m in objects if MIN_AREA <= np.count_nonzero(m) <= limit]
    if not objects:
        return None
    areas = np.sqrt([np.count_nonzero(m) for m in objects])
    count = min(MAX_OBJECTS, len(objects))
    chosen = rng.choice(len(objects), count, replace=False, p=areas / areas.sum())
    masks = np.stack([objects[i] for i in chosen])
    labels = np.array([np.bincount(classes[m], minlength=256).argmax() for m in masks], np.uint8)
    return Crop(rgb, semantic, cell_ids(ids), masks, labels)


def cell_ids(ids: np.ndarray) -> np.ndarray:
    """Which object fills at least 60 % of each PATCH x PATCH cell; 0 none, 255 mixed. (s/8, s/8) uint8."""
    values, inverse = np.unique(ids, return_inverse=True)
    dense = inverse.reshape(ids.shape)
    n = ids.shape[0] // PATCH
    blocks = dense.reshape(n, PATCH, n, PATCH).transpose(0, 2, 1, 3).reshape(n * n, -1)
    middle = np.sort(blocks, axis=1)[:, PATCH * PATCH // 2]
    share = (blocks == middle[:, None]).mean(1)
    small = np.minimum(middle + (values[0] != 0), 254)
    return np.where(share >= 0.6, small, 255).astype(np.uint8).reshape(n, n)


class PoolWriter:
    """Collects crops and writes them as plain arrays that training maps into memory."""

    def __init__(self, size: int, capacity: int) -> None:
        self.size, self.used = size, 0
        row = (size * size) // 8
        self.arrays = {
            "rgb": np.zeros((capacity, size, size, 3), np.uint8),
            "semantic": np.zeros((capacity, size, size), np.uint8),
            "cells": np.zeros((capacity, size // PATCH, size // PATCH), np.uint8),
            "masks": np.zeros((capacity, MAX_OBJECTS, row), np.uint8),
            "classes": np.zeros((capacity, MAX_OBJECTS), np.uint8),
            "count": np.zeros(capacity, np.uint8),
            "source": np.zeros(capacity, np.uint8),
        }

    @property
    def full(self) -> bool:
        """No room for another crop."""
        return self.used == len(self.arrays["count"])

    def add(self, crop: Crop, source: int) -> None:
        """Append one crop of the dataset with that number (0 is procedural)."""
        i, n = self.used, len(crop.masks)
        self.arrays["rgb"][i], self.arrays["semantic"][i] = crop.rgb, crop.semantic
        self.arrays["cells"][i] = crop.cells
        self.arrays["masks"][i, :n] = np.packbits(crop.masks.reshape(n, -1), axis=1)
        self.arrays["classes"][i, :n], self.arrays["count"][i] = crop.classes, n
        self.arrays["source"][i] = source
        self.used += 1

    def save(self, folder: Path, sources: list[str]) -> None:
        """Write the pool; `sources` names the datasets by number."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array[: self.used])
        card = {"size": self.size, "count": self.used, "sources": sources, "classes": list(CLASSES)}
        (folder / "pool.json").write_text(json.dumps(card, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Pool:
    """A prepared pool, memory-mapped."""

    size: int
    sources: tuple[str, ...]
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays["count"])

    def crop(self, index: int) -> Crop:
        """Crop number `index`."""
        a = self.arrays
        n = int(a["count"][index])
        masks = np.unpackbits(a["masks"][index, :n], axis=1).reshape(n, self.size, self.size).astype(bool)
        return Crop(
            np.array(a["rgb"][index]),
            np.array(a["semantic"][index]),
            np.array(a["cells"][index]),
            masks,
            np.array(a["classes"][index, :n]),
        )


def load_pool(folder: Path) -> Pool:
    """Open a pool that `build_pool` wrote.

    Raises:
        PretrainError: there is none, or it is damaged.
    """
    try:
        card = json.loads((folder / "pool.json").read_text(encoding="utf-8"))
        names = ("rgb", "semantic", "cells", "masks", "classes", "count", "source")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    except (OSError, ValueError) as error:
        raise PretrainError(f"no usable pool in {str(folder)!r} ({error}); delete it, it is made again") from error
    return Pool(int(card["size"]), tuple(card["sources"]), arrays)


def build_pool(
    folder: Path,
    size: int,
    scenes: int,
    per_scene: int,
    real_per_dataset: int,
    seed: int,
    part: Part = "train",
    root: str | None = None,
    leave_out: tuple[str, ...] = (),
) -> Pool:
    """Make a pool, or open it when it is there.

    Args:
        folder: where its arrays lie.
        size: side of a crop, pixels.
        scenes: procedural scenes, seeds `seed`, `seed` + 1, ...
        per_scene: crops per scene.
        real_per_dataset: crops per real dataset; 0 for procedural only.
        seed: of everything.
        part: which part of the split.
        root: folder of labelled data; None finds it.
        leave_out: datasets not to use.
    """
    if (folder / "pool.json").is_file():
        return load_pool(folder)
    datasets = {n: d for n, d in open_datasets(root).items() if n not in leave_out} if real_per_dataset else {}
    writer = PoolWriter(size, scenes * per_scene + len(datasets) * real_per_dataset)
    for i in range(scenes):
        for crop in procedural_crops(seed + i, size, per_scene):
            writer.add(crop, 0)
    for number, dataset in enumerate(datasets.values(), 1):
        rng = np.random.default_rng([seed, number])
        for crop in _many(rng, dataset, part, real_per_dataset, size):
            writer.add(crop, number)
    writer.save(folder, ["procedural", *datasets])
    return load_pool(folder)


def _many(rng: np.random.Generator, dataset: FolderDataset, part: Part, count: int, size: int) -> Iterator[Crop]:
    ids = split_ids(dataset.name, part)
    share = -(-count // len(ids))
    made = 0
    for image_id in ids:
        image = dataset.read(image_id)
        for _ in range(min(share, count - made)):
            # A crop of empty ground has no object: try a few places before giving up on this one.
            for _ in range(6):
                crop = real_crops(rng, image, dataset, size)
                if crop is not None:
                    made += 1
                    yield crop
                    break
