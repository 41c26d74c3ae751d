"""The Bijie landslide dataset (Ji et al., 2020): RGB satellite images with masks and elevation, in folders.

landslide/image  landslide/mask  landslide/dem  landslide/polygon_coordinate    770 landslides
non-landslide/image  non-landslide/dem                                          2,003 images without one
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from seglab.datasets.folder import IMAGE_SUFFIXES, read_rgb
from seglab.datasets.pair import Pair
from seglab.errors import DatasetError

CLASSES = {0: "background", 1: "landslide"}
FOLDER = "Bijie-landslide-dataset"
"""The folder that the published archive unpacks to."""


@dataclass(frozen=True)
class Bijie:
    """The images of one folder; those without a landslide come last."""

    path: Path
    images: tuple[Path, ...]
    has_elevation: bool
    name: str = "bijie"
    bands: tuple[int, int, int] = (1, 2, 3)
    parts: None = None
    """None is published."""

    @property
    def extra_bands(self) -> tuple[int, ...]:
        """Elevation counts as band 4."""
        return (4,) if self.has_elevation else ()

    @property
    def classes(self) -> dict[int, str]:
        """Mask value to class name."""
        return CLASSES

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def read(self, index: int) -> Pair:
        """One image with its mask (empty where there is no landslide) and its elevation.

        Raises:
            DatasetError: a file is missing or damaged, or of another size.
        """
        image = self.images[index]
        rgb, kind = read_rgb(image), image.parent.parent
        if kind.name == "landslide":
            values = _single(kind / "mask", image.stem)
            # published as 0 and 255; copies with 0 and 1 are about
            mask = (values > (127 if values.max() > 1 else 0)).astype(np.uint8)
        else:
            mask = np.zeros(rgb.shape[:2], np.uint8)
        extra = _single(kind / "dem", image.stem).astype(np.float32)[None] if self.has_elevation else None
        return Pair(f"{kind.name}/{image.stem}", rgb, mask, extra)


def find(folder: Path, non_landslide: bool = False) -> Bijie | None:
    """The dataset in a folder; None where it has another layout.

    Args:
        folder: what the archive unpacks to, or the folder around it.
        non_landslide: take the images without a landslide too. The published experiment has only the 770 with one.
    """
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    if not (root / "landslide" / "image").is_dir():
        return None
    kinds = ("landslide", "non-landslide") if non_landslide else ("landslide",)
    images = tuple(path for kind in kinds for path in _images(root / kind / "image"))
    return Bijie(root, images, all((root / kind / "dem").is_dir() for kind in kinds))


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {str(folder)!r}; unpack the dataset completely")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _single(folder: Path, stem: str) -> np.ndarray:
    """The first channel of an image beside another one: (rows, cols), its own dtype."""
    for suffix in IMAGE_SUFFIXES:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if values is None:
                raise DatasetError(f"cannot read {str(path)!r}; fetch the file again")
            return values if values.ndim == 2 else values[..., 0]
    raise DatasetError(f"{str(folder)!r} has no {stem!r}; unpack the dataset completely")
