"""Labelled imagery in one folder layout: NAME/images, NAME/masks, NAME/instances, NAME/dataset.json."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from seglab.datasets.splits import Part, split_ids
from seglab.errors import DatasetError

CARD_NAME = "dataset.json"
IGNORE = 255
"""Mask value of pixels whose class is not known."""
MIN_OBJECT_PX = 64
"""Smallest connected component that counts as an object, pixels."""
MAX_OBJECTS = 20
"""Most objects taken from one image."""
NOT_TARGETS = ("background", "clear")
"""Class names that say "nothing here": never objects."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class LabelledImage:
    """One image of a dataset with its labels."""

    dataset: str
    id: str
    rgb: np.ndarray
    """(rows, cols, 3) uint8."""
    mask: np.ndarray
    """(rows, cols) uint8 class index, 255 is unknown."""
    instances: np.ndarray | None
    """(rows, cols) int32 object ids, 0 is none; None where the dataset has no instances."""


@dataclass(frozen=True)
class ObjectMask:
    """One object to be segmented."""

    label: int
    """Class index in the dataset."""
    mask: np.ndarray
    """(rows, cols) bool."""


@dataclass(frozen=True)
class FolderDataset:
    """One dataset in the folder layout."""

    path: Path
    classes: dict[int, str]
    """Class index to name."""
    licence: str
    attribution: str
    files: dict[str, Path]
    """Image id to image file."""
    split: Mapping[str, tuple[str, ...]] | None = None
    """Image ids by "train", "val" and "test", where the folder has a split of its own, as exported chips have."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def targets(self) -> tuple[int, ...]:
        """Class indexes that can be objects."""
        return tuple(i for i, name in self.classes.items() if name not in NOT_TARGETS)

    def ids(self, part: Part) -> list[str]:
        """Image ids of one part, by the folder's own split, else by the committed one.

        Raises:
            DatasetError: neither says, or the part is empty.
        """
        found = split_ids(self.name, part) if self.split is None else list(self.split.get(part, ()))
        if not found:
            raise DatasetError(
                f"the split in {str(self.path / CARD_NAME)!r} has no image in {part!r}; move some there, or label more"
            )
        return found

    def read(self, image_id: str) -> LabelledImage:
        """Read one image with its labels.

        Raises:
            DatasetError: no such image, an unreadable file, or labels of another size.
        """
        if image_id not in self.files:
            raise DatasetError(f"dataset {self.name!r} has no image {image_id!r}; see FolderDataset.files")
        rgb = read_rgb(self.files[image_id])
        mask = _read_labels(self.path / "masks" / f"{image_id}.png")
        if mask is None:
            raise DatasetError(f"{self.name!r} has no readable mask for image {image_id!r}; add masks/{image_id}.png")
        instances = _read_labels(self.path / "instances" / f"{image_id}.png")
        for labels in (mask, instances):
            if labels is not None and labels.shape != rgb.shape[:2]:
                raise DatasetError(
                    f"labels of {image_id!r} in {self.name!r} are {labels.shape}, its image is {rgb.shape[:2]}; "
                    "give them the same size"
                )
        return LabelledImage(
            self.name,
            image_id,
            rgb,
            mask.astype(np.uint8),
            None if instances is None else instances.astype(np.int32),
        )


def data_root() -> Path | None:
    """The folder of labelled data: $SEGLAB_DATA, else ../shared/data beside the checkout; None where neither is."""
    named = os.environ.get("SEGLAB_DATA")
    path = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return path if path.is_dir() else None


def open_datasets(root: str | os.PathLike[str] | None = None) -> dict[str, FolderDataset]:
    """Every dataset below a folder, by name; of a folder that is a dataset itself, that one.

    Args:
        root: the folder; None for `data_root()`.

    Raises:
        DatasetError: there is no such folder, or it holds no dataset.
    """
    found = Path(root) if root is not None else data_root()
    if found is None or not found.is_dir():
        raise DatasetError(f"no labelled data at {root!r}; set SEGLAB_DATA to a folder of datasets")
    found = found.absolute()  # a dataset's name is its folder's, also where that was given as "."
    if (found / "dataset.json").is_file():
        return {found.name: open_dataset(found)}
    datasets = {p.parent.name: open_dataset(p.parent) for p in sorted(found.glob("*/dataset.json"))}
    if not datasets:
        raise DatasetError(f"{str(found)!r} holds no NAME/dataset.json; point SEGLAB_DATA at a folder that does")
    return datasets


def open_dataset(path: str | os.PathLike[str]) -> FolderDataset:
    """Open one dataset folder.

    Raises:
        DatasetError: dataset.json is missing or damaged.
    """
    folder = Path(path)
    try:
        card = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
        classes = {int(index): str(name) for index, name in card["classes"].items()}
        split = None if "split" not in card else {str(part): tuple(ids) for part, ids in card["split"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DatasetError(f"{str(folder)!r} has no valid dataset.json ({error!r}); see the layout's README") from error
    files = {p.stem: p for p in sorted((folder / "images").iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    lacking = [name for ids in (split or {}).values() for name in ids if name not in files]
    if lacking:
        raise DatasetError(f"{str(folder)!r} lacks the images {lacking[:3]!r} of its split; complete the folder")
    return FolderDataset(folder, classes, str(card.get("licence", "")), str(card.get("attribution", "")), files, split)


def read_rgb(path: Path) -> np.ndarray:
    """The first three bands as (rows, cols, 3) uint8; deeper data is stretched to its 2nd..98th percentile.

    Raises:
        DatasetError: the file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                bands = source.read(list(range(1, min(source.count, 3) + 1)))
    except RasterioIOError as error:
        raise DatasetError(f"cannot read {str(path)!r} ({error}); replace the file") from error
    if len(bands) < 3:
        bands = np.repeat(bands[:1], 3, axis=0)
    if bands.dtype != np.uint8:
        low, high = np.nanpercentile(bands, (2, 98), axis=(1, 2), keepdims=True)
        bands = (np.clip((bands - low) / np.maximum(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(bands.transpose(1, 2, 0))


def objects_of(
    image: LabelledImage,
    targets: tuple[int, ...],
    limit: int = MAX_OBJECTS,
    min_area: int = MIN_OBJECT_PX,
    seed: int = 0,
) -> list[ObjectMask]:
    """The objects of an image: its instances, or where it has none the connected components of each target class.

    Args:
        image: what `FolderDataset.read` gives.
        targets: class indexes that count.
        limit: most objects; when there are more, a random choice of that many.
        min_area: smallest object, pixels.
        seed: of that choice, together with the image's id.
    """
    found: list[ObjectMask] = []
    if image.instances is not None and image.instances.any():
        for i in np.unique(image.instances):
            mask = image.instances == i
            if i and np.count_nonzero(mask) >= min_area:
                label = int(np.bincount(image.mask[mask]).argmax())
                found.append(ObjectMask(label, mask))
    else:
        for label in targets:
            count, ids, stats, _ = cv2.connectedComponentsWithStats((image.mask == label).astype(np.uint8))
            keep = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= min_area]
            found += [ObjectMask(label, ids == i) for i in keep]
    if len(found) > limit:
        rng = np.random.default_rng([seed, *image.id.encode()])
        found = [found[i] for i in sorted(rng.choice(len(found), limit, replace=False))]
    return found


def _read_labels(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None:
        return None
    return labels[..., 0] if labels.ndim == 3 else labels
