"""Datasets of image and mask pairs, whatever their layout on disk: what `seglab train` reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from seglab.datasets import bijie, ktda, landslide4sense
from seglab.datasets.folder import IGNORE, NOT_TARGETS, FolderDataset, open_dataset, read_rgb
from seglab.datasets.pair import Pair
from seglab.errors import DatasetError

Parts = tuple[Sequence[int], Sequence[int]]
"""Indexes of the pairs to train on, and of those to validate on."""


class ImageMaskDataset(Protocol):
    """Image and mask pairs that can be read one by one, from several threads."""

    name: str
    """What the dataset is called."""
    classes: dict[int, str]
    """Mask value to class name."""
    bands: tuple[int, int, int]
    """1-based bands of the source that `Pair.rgb` shows as red, green and blue."""
    extra_bands: tuple[int, ...]
    """1-based bands of the source that `Pair.extra` holds."""
    parts: Parts | None
    """Indexes of the published training and validation part; None where none is published."""

    def __len__(self) -> int:
        """How many pairs there are."""

    def read(self, index: int) -> Pair:
        """One pair, 0-based.

        Raises:
            DatasetError: a file is missing or damaged, or image and mask differ in size.
        """


@dataclass(frozen=True)
class FolderPairs:
    """seglab's own folder layout as pairs: see `seglab.datasets.folder`."""

    source: FolderDataset
    unlabelled: frozenset[str] = frozenset()
    """Ids of images that have no mask; all of their pixels are unknown."""
    bands: tuple[int, int, int] = (1, 2, 3)
    extra_bands: tuple[int, ...] = ()

    @property
    def parts(self) -> Parts | None:
        """Those of the folder's own split; what is in its test part is in neither. None without a split, or where all
        is in one part."""
        split = self.source.split
        if split is None or sum(map(bool, split.values())) < 2:
            return None
        places = {name: i for i, name in enumerate(self.source.files)}
        return tuple([places[name] for name in self.source.ids(part)] for part in ("train", "val"))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.source.name

    @property
    def classes(self) -> dict[int, str]:
        """Mask value to class name."""
        return self.source.classes

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.source.files)

    def read(self, index: int) -> Pair:
        """One image with its mask."""
        name = list(self.source.files)[index]
        if name in self.unlabelled:
            rgb = read_rgb(self.source.files[name])
            return Pair(name, rgb, np.full(rgb.shape[:2], IGNORE, np.uint8))
        image = self.source.read(name)
        return Pair(image.id, image.rgb, image.mask)


@dataclass(frozen=True)
class PartlyLabelled:
    """Pairs of which some have lost their labels: all of their pixels are unknown, or what somebody takes them for."""

    source: ImageMaskDataset
    hidden: frozenset[int]
    """Indexes of the pairs whose labels are not shown."""
    guesses: Mapping[int, np.ndarray] = field(default_factory=dict)
    """By index, a mask of any size to show instead: (rows, cols) uint8 as `Pair.mask`."""

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def classes(self) -> dict[int, str]:
        """Mask value to class name."""
        return self.source.classes

    @property
    def bands(self) -> tuple[int, int, int]:
        """The source's."""
        return self.source.bands

    @property
    def extra_bands(self) -> tuple[int, ...]:
        """The source's."""
        return self.source.extra_bands

    @property
    def parts(self) -> Parts | None:
        """The source's."""
        return self.source.parts

    def __len__(self) -> int:
        """How many pairs there are, with labels or without."""
        return len(self.source)

    def read(self, index: int) -> Pair:
        """One pair; where its labels are hidden, its mask is the guess, or unknown everywhere."""
        pair = self.source.read(index)
        if index in self.guesses:
            side = pair.mask.shape[::-1]
            return replace(pair, mask=cv2.resize(self.guesses[index], side, interpolation=cv2.INTER_NEAREST_EXACT))
        return replace(pair, mask=np.full_like(pair.mask, IGNORE)) if index in self.hidden else pair


def open_pairs(path: str | os.PathLike[str], non_landslide: bool = False) -> ImageMaskDataset:
    """A dataset of pairs, by the layout that its folder has.

    Args:
        path: a folder in seglab's layout (images, masks, dataset.json), in Landslide4Sense's (HDF5), in Bijie's, or in
            that of KTDA's grass and L8 Biome clouds.
        non_landslide: of Bijie, take the images without a landslide too.

    Raises:
        DatasetError: the folder is missing, has none of these layouts, or is damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {str(folder)!r}; check the path")
    found: ImageMaskDataset | None = landslide4sense.find(folder)
    if found is None:
        found = bijie.find(folder, non_landslide)
    if found is None:
        found = ktda.find(folder)
    if found is None and (folder / "images").is_dir():
        found = FolderPairs(open_dataset(folder))
    if found is None:
        raise DatasetError(
            f"{str(folder)!r} has no layout that seglab knows. Put images in images/NAME.png, masks of class indexes "
            'in masks/NAME.png (255: unknown) and {"classes": {"0": "background", "1": "landslide"}} in dataset.json; '
            "or point at Landslide4Sense (TrainData/img), Bijie (landslide/image), or KTDA's data (img_dir/train)"
        )
    if len(found) == 0:
        raise DatasetError(f"{str(folder)!r} holds no image; check that it was unpacked completely")
    return found


def with_unlabelled(dataset: ImageMaskDataset) -> tuple[ImageMaskDataset, list[int]]:
    """A dataset whose images without a mask can be read, as unknown everywhere, and the indexes of those.

    Args:
        dataset: in seglab's own layout; of others every image has its mask.
    """
    if not isinstance(dataset, FolderPairs):
        return dataset, []
    masks = dataset.source.path / "masks"
    lacking = frozenset(name for name in dataset.source.files if not (masks / f"{name}.png").is_file())
    found = [i for i, name in enumerate(dataset.source.files) if name in lacking]
    return replace(dataset, unlabelled=lacking), found


def target_classes(dataset: ImageMaskDataset, names: tuple[str, ...] = ()) -> dict[str, int]:
    """Mask value by name of the classes to be learnt; all others are background.

    Args:
        dataset: where the classes are.
        names: the wanted ones, in this order; every class that is not a background if empty.

    Raises:
        DatasetError: a name is not one of the dataset's, or it has no class to learn.
    """
    known = {name: value for value, name in dataset.classes.items()}
    wanted = names or tuple(name for name in known if name not in NOT_TARGETS)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        what = f"no class {unknown[0]!r}" if unknown else "no class to learn"
        raise DatasetError(f"dataset {dataset.name!r} has {what}; its classes are {', '.join(known) or 'none'}")
    return {name: known[name] for name in wanted}


def as_target(mask: np.ndarray, targets: dict[str, int], ignore: int) -> np.ndarray:
    """A mask as 0 for the background and 1..C for the targets, in their order.

    Args:
        mask: (rows, cols) uint8 class indexes, 255 unknown.
        targets: see `target_classes`.
        ignore: what an unknown pixel becomes.

    Returns:
        (rows, cols) int64.
    """
    table = np.zeros(256, np.int64)
    table[255] = ignore
    for place, value in enumerate(targets.values(), start=1):
        table[value] = place
    return table[mask]
