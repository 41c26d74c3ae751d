"""Labelled datasets as ground for training, of one part of the committed split."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from seglab.datasets.folder import FolderDataset, LabelledImage, open_datasets
from seglab.datasets.splits import Part, split_ids
from seglab.pretrain.ground import Ground, label_ground, save_ground
from seglab.pretrain.scenes import CLASSES, UNKNOWN

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


def prepare_ground(folder: Path, root: str | None = None) -> int:
    """Write the ground of all labelled datasets: FOLDER/train and FOLDER/val.

    Args:
        folder: where to; it appears when it is complete.
        root: folder of labelled data; None finds it.

    Returns:
        How many images were written.

    Raises:
        DatasetError: labelled data is missing or damaged, or is in no split.
    """
    partial, written = folder.with_name(folder.name + ".partial"), 0
    shutil.rmtree(partial, ignore_errors=True)
    for dataset in open_datasets(root).values():
        parts: tuple[Part, ...] = ("train", "val")
        for part in parts:
            for image_id in split_ids(dataset.name, part):
                save_ground(partial / part, labelled_ground(dataset, dataset.read(image_id)))
                written += 1
    partial.rename(folder)
    return written


def labelled_ground(dataset: FolderDataset, image: LabelledImage) -> Ground:
    """A labelled image as ground: its objects are its instances, else each class as one object of many parts."""
    lookup = np.full(256, UNKNOWN, np.uint8)
    for index, name in dataset.classes.items():
        lookup[index] = CLASSES.index(CLASS_OF[name]) if name in CLASS_OF else UNKNOWN
    if image.instances is not None and image.instances.any():
        objects = image.instances
    else:
        # Class 0 may be a target (forest): ids start at 1.
        objects = np.where(np.isin(image.mask, dataset.targets), image.mask.astype(np.int32) + 1, 0)
    return label_ground(dataset.name, image.id, image.rgb, lookup[image.mask], objects)
