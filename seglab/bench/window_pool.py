"""The windows of a labelled folder as a simulation of active learning uses them: some to be labelled, some to judge.

Ground that the weights have seen is no test of anything: a folder whose training part they learned from gives its
validation part alone. Of the images that are left a third judges, from all over the folder, for a person who labels a
scene wants the map of that scene; those that follow each other by name go together, for they may show the same ground.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seglab.bench.ground import EVERY_OBJECT, Ground, GroundImage, spread
from seglab.core.metrics import IGNORE
from seglab.core.raster import Scene
from seglab.core.windows import Window, sweep_origins
from seglab.datasets.folder import FolderDataset, LabelledImage, objects_of
from seglab.datasets.splits import load_splits
from seglab.errors import DatasetError
from seglab.models.registry import EMBEDDED, embedded_weights

LEAST_WINDOWS = 36
"""Windows are laid at the coarsest scale at which there are so many of them, else as fine as the imagery is."""
COARSEST = 16
"""Scene pixels per model pixel, at most."""

RUN, TURN = 3, 3
"""So many images in a row stay together, and of so many such runs the second one judges."""


@dataclass(frozen=True)
class PoolWindow:
    """One window of the model's size and all that is true in it. S model pixels a side."""

    name: str
    """Its image and place: unique in a folder."""
    window: Window
    """Scene pixels of its image."""
    image: int
    """Number of its image among those of its part."""
    rgb: np.ndarray
    """(S, S, 3) uint8."""
    truth: np.ndarray
    """(S, S) uint8: 0 background, 1..C classes, IGNORE where nobody knows."""
    masks: np.ndarray
    """(N, S, S) bool: its objects, as far as they lie in it."""
    classes: tuple[int, ...]
    """N 0-based class indexes."""


@dataclass(frozen=True)
class Windows:
    """What a simulation plays on."""

    classes: tuple[str, ...]
    """That a person labels."""
    pool: Sequence[PoolWindow]
    """To choose from."""
    judges: Sequence[PoolWindow]
    sources: list[list[str]]
    """Names of the images (of a scene, the windows) that the pool is from, and the judges."""


def folder_windows(
    dataset: FolderDataset, model: str, checkpoint: str | None, size: int, most: int, judges: int
) -> Windows:
    """Windows of a labelled folder.

    Args:
        dataset: the folder.
        model, checkpoint: see `parts_of`.
        size: side of the model's input, model pixels.
        most, judges: windows to choose from and that judge, at most.

    Raises:
        DatasetError: see `parts_of` and `pool_windows`.
    """
    pool, held_out = parts_of(dataset, model, checkpoint)
    found = (pool_windows(part, size, count) for part, count in ((pool, most), (held_out, judges)))
    return Windows(pool.classes, *found, [list(pool.ids), list(held_out.ids)])


def parts_of(dataset: FolderDataset, model: str, checkpoint: str | None) -> tuple[Ground, Ground]:
    """What is labelled and what judges: whole images that the weights never saw.

    Args:
        dataset: the folder.
        model: a model's name.
        checkpoint: other weights than the model's own; what those have seen is for who made them to know.

    Raises:
        DatasetError: there are fewer than two images.
    """
    ids = unseen_images(dataset, model, checkpoint)
    if len(ids) < 2:
        raise DatasetError(f"{dataset.name!r} has {len(ids)} images of use; two are needed, one to label, one to judge")
    run = max(1, min(RUN, len(ids) // TURN))
    judges = [image_id for i, image_id in enumerate(ids) if i // run % TURN == 1]
    return Ground(dataset, tuple(i for i in ids if i not in judges)), Ground(dataset, tuple(judges))


def unseen_images(dataset: FolderDataset, model: str, checkpoint: str | None) -> list[str]:
    """Ids of the images that the weights never saw, sorted; arguments as for `parts_of`."""
    split = load_splits().get(dataset.name)
    seen = checkpoint is None and model in EMBEDDED and split is not None and dataset.name not in left_out(model)
    return sorted(i for i in dataset.files if not seen or i in split["val"])


def left_out(model: str) -> tuple[str, ...]:
    """The datasets of the split file that an embedded model's training left out, by its card."""
    card = json.loads(embedded_weights(model).with_suffix(".json").read_text(encoding="utf-8"))
    return tuple(card["config"]["leave_out"])


def pool_windows(ground: Ground, size: int, most: int) -> list[PoolWindow]:
    """Windows without common ground, spread evenly over the images: the same ones every time.

    Args:
        ground: the images.
        size: side of the model's input, model pixels.
        most: windows.

    Raises:
        DatasetError: an image or its labels cannot be read, or no window has anything known in it.
    """
    found: list[PoolWindow] = []
    shapes = [_shape(ground, image_id) for image_id in ground.ids]
    scale = common_scale(shapes, size)
    places = [tiles(shape, size, scale) for shape in shapes]
    chosen = spread([len(windows) for windows in places], most, np.random.default_rng(0))
    for number, image_id in enumerate(ground.ids):
        mine = [places[group][item] for group, item in chosen if group == number]
        if mine:
            found += _windows_of(ground, number, image_id, mine)
    known = [one for one in found if (one.truth != IGNORE).any()]
    if not known:
        raise DatasetError(f"nothing is known of any window of {ground.dataset.name!r}; check its masks")
    return known


def common_scale(shapes: Sequence[tuple[int, int]], size: int) -> int:
    """The coarsest scale at which there are LEAST_WINDOWS, scene pixels per model pixel; 1 where there never are.

    Args:
        shapes: (rows, cols) of the images.
        size: side of the model's input, model pixels.
    """
    scale = COARSEST
    while scale > 1 and sum(len(tiles(shape, size, scale)) for shape in shapes) < LEAST_WINDOWS:
        scale //= 2
    return scale


def clickable(one: PoolWindow, mask_size: int) -> np.ndarray:
    """What a person who labels all of a window makes known: specks too small to be clicked stay unknown.

    Args:
        one: the window.
        mask_size: side of the result.

    Returns:
        (mask_size, mask_size) int64: -1 unknown, 0 background, 1..C classes.
    """
    known = one.truth.astype(np.int64)
    known[one.truth == IGNORE] = -1
    known[(known > 0) & ~one.masks.any(0)] = -1
    return at_size(known, mask_size)


def at_size(labels: np.ndarray, size: int) -> np.ndarray:
    """(..., S, S) labels at a coarser resolution: those in the middle of each cell; S is a multiple of `size`."""
    step = labels.shape[-1] // size
    return labels[..., step // 2 :: step, step // 2 :: step]


def _shape(ground: Ground, image_id: str) -> tuple[int, int]:
    with Scene.open(ground.dataset.files[image_id]) as scene:
        return scene.grid.shape


def tiles(shape: tuple[int, int], size: int, scale: int) -> list[Window]:
    """Windows beside each other that lie in a scene whole, row by row; at scale 1 one where it is smaller.

    Args:
        shape: (rows, cols) of the scene.
        size: side of the model's input, model pixels.
        scale: scene pixels per model pixel.
    """
    side = size * scale
    if scale > 1 and min(shape) < side:
        return []
    origins = [[at for at in sweep_origins(extent, side, side) if at % side == 0] for extent in shape]
    return [Window(col, row, side, side, scale) for row in origins[0] for col in origins[1]]


def _windows_of(ground: Ground, number: int, image_id: str, windows: Sequence[Window]) -> list[PoolWindow]:
    dataset = ground.dataset
    image = dataset.read(image_id)
    with Scene.open(dataset.files[image_id]) as scene:
        whole = GroundImage(image_id, scene, (), ground.truth(image))
        found = []
        for window in windows:
            rgb, _ = scene.rgb(window)
            objects = objects_of(_cut(image, window, rgb), dataset.targets, limit=EVERY_OBJECT)
            masks = np.array([one.mask for one in objects], dtype=bool).reshape(-1, *window.model_shape)
            classes = tuple(dataset.targets.index(one.label) for one in objects)
            name = f"{image_id}:{window.row}:{window.col}"
            found.append(PoolWindow(name, window, number, rgb, whole.truth_in(window), masks, classes))
    return found


def _cut(image: LabelledImage, window: Window, rgb: np.ndarray) -> LabelledImage:
    """The labels of a window at the model's resolution."""
    inside, place = window.overlap(image.mask.shape)

    def part(labels: np.ndarray, fill: int) -> np.ndarray:
        whole = np.full(window.shape, fill, labels.dtype)
        whole[inside] = labels[place]
        return at_size(whole, window.model_shape[0])

    instances = None if image.instances is None else part(image.instances, 0)
    return replace(image, rgb=rgb, mask=part(image.mask, IGNORE), instances=instances)
