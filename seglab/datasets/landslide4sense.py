"""Landslide4Sense (Ghorbanzadeh et al., 2022): 128 x 128 patches in HDF5, 14 bands and a landslide mask.

Bands 1 to 12 are Sentinel-2's, 13 is slope and 14 elevation (ALOS PALSAR), all at about 10 m. Three ways of laying the
files out are read: TrainData/img and TrainData/mask as published, a folder with img and mask itself, and
images/train with annotations/train as on a model hub. Only the training part has the 3,799 patches of the papers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from seglab.datasets.pair import Pair
from seglab.errors import DatasetError, MissingPackageError

CLASSES = {0: "background", 1: "landslide"}
RGB_BANDS = (4, 3, 2)
"""1-based bands shown as red, green and blue: Sentinel-2's B4, B3, B2."""
BANDS = 14
FULL_SCALE = 10.0
"""The value that becomes 255: TransLandSeg makes its RGB as x / 10 * 255."""
_LAYOUTS = (("TrainData/img", "TrainData/mask"), ("img", "mask"), ("images/train", "annotations/train"))


@dataclass(frozen=True)
class Landslide4Sense:
    """The patches of one folder."""

    path: Path
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    name: str = "landslide4sense"
    bands: tuple[int, int, int] = RGB_BANDS
    parts: None = None
    """None is published with masks of both."""
    extra_bands: tuple[int, ...] = tuple(b for b in range(1, BANDS + 1) if b not in RGB_BANDS)

    @property
    def classes(self) -> dict[int, str]:
        """Mask value to class name."""
        return CLASSES

    def __len__(self) -> int:
        """How many patches there are."""
        return len(self.images)

    def read(self, index: int) -> Pair:
        """One patch: RGB, mask, and the other eleven bands as they are stored.

        Raises:
            DatasetError: a file is damaged or has another shape.
            MissingPackageError: h5py is not installed.
        """
        h5py = _h5py()
        bands = np.nan_to_num(_dataset(h5py, self.images[index], "img").astype(np.float32))
        mask = _dataset(h5py, self.masks[index], "mask")
        if bands.ndim != 3 or bands.shape[2] != BANDS:
            raise DatasetError(
                f"{str(self.images[index])!r} holds an array of {bands.shape}, not (rows, cols, {BANDS}); "
                "fetch it again"
            )
        return Pair(
            self.images[index].stem,
            to_rgb(bands),
            (mask > 0).astype(np.uint8),
            np.ascontiguousarray(bands[..., [b - 1 for b in self.extra_bands]].transpose(2, 0, 1)),
        )


def to_rgb(bands: np.ndarray) -> np.ndarray:
    """TransLandSeg's colours: x / 10 * 255 of bands 4, 3, 2; what lies outside 0 to 10 is cut off, not wrapped round.

    Args:
        bands: (rows, cols, 14) float32.

    Returns:
        (rows, cols, 3) uint8.
    """
    colours = bands[..., [b - 1 for b in RGB_BANDS]] / FULL_SCALE * 255
    return np.clip(colours, 0, 255).astype(np.uint8)


def find(folder: Path) -> Landslide4Sense | None:
    """The dataset in a folder; None where it has another layout.

    Raises:
        DatasetError: an image has no mask.
    """
    for images, masks in _LAYOUTS:
        found = {_number(path): path for path in (folder / images).glob("*.h5")}
        if not found:
            continue
        labels = {_number(path): path for path in (folder / masks).glob("*.h5")}
        without = sorted(set(found) - set(labels))
        if without:
            raise DatasetError(
                f"{str(folder / masks)!r} has no mask for {found[without[0]].name!r} and {len(without) - 1} more; "
                "unpack the dataset again"
            )
        order = sorted(found)
        return Landslide4Sense(folder, tuple(found[n] for n in order), tuple(labels[n] for n in order))
    return None


def _number(path: Path) -> int:
    """The N of image_N.h5 and mask_N.h5."""
    digits = re.search(r"(\d+)$", path.stem)
    if digits is None:
        raise DatasetError(f"{str(path)!r} is not named like image_12.h5; move it out of the dataset")
    return int(digits[1])


def _h5py() -> ModuleType:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "Landslide4Sense is stored as HDF5, which needs h5py; install it: pip install 'seglab[hdf5]'"
        ) from error
    return h5py


def _dataset(h5py: ModuleType, path: Path, key: str) -> np.ndarray:
    try:
        with h5py.File(path, "r") as file:
            return file[key][()]
    except (OSError, KeyError) as error:
        raise DatasetError(f"cannot read {key!r} in {str(path)!r} ({error}); fetch the file again") from error
