"""The two datasets of KTDA (arXiv 2412.06664), in the folders that its authors publish.

img_dir/train  img_dir/val  (img_dir/test)    images: .tif of grass, .png of the Landsat 8 Biome clouds
ann_dir/train  ann_dir/val  (ann_dir/test)    .png of class indexes, with or without a palette
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from seglab.datasets.folder import IGNORE, read_rgb
from seglab.datasets.pair import Pair
from seglab.errors import DatasetError

GRASS = MappingProxyType({0: "low", 1: "middle-low", 2: "middle", 3: "middle-high", 4: "high"})
"""Densities of grass."""
L8_BIOME = MappingProxyType({0: "clear", 1: "cloud shadow", 2: "thin cloud", 3: "cloud"})
LAYOUTS: Mapping[str, tuple[str, Mapping[int, str]]] = MappingProxyType(
    {".tif": ("grass", GRASS), ".png": ("l8_biome", L8_BIOME)}
)
"""Name and classes, by the suffix of the images."""


@dataclass(frozen=True)
class KtdaPairs:
    """The training part, and after it the validation part."""

    path: Path
    name: str
    classes: dict[int, str]
    train: tuple[Path, ...]
    """Images of the training part."""
    val: tuple[Path, ...]
    bands: tuple[int, int, int] = (1, 2, 3)
    extra_bands: tuple[int, ...] = ()

    @property
    def parts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Indexes of the published training part and of the validation part."""
        first = len(self.train)
        return tuple(range(first)), tuple(range(first, len(self)))

    def __len__(self) -> int:
        """How many images there are, in both parts."""
        return len(self.train) + len(self.val)

    def read(self, index: int) -> Pair:
        """One image with its mask.

        Raises:
            DatasetError: a file is missing or damaged, or image and mask differ in size.
        """
        image = (*self.train, *self.val)[index]
        part = image.parent.name
        indexes = _indexes(self.path / "ann_dir" / part / f"{image.stem}.png")
        mask = np.where(np.isin(indexes, list(self.classes)), indexes, IGNORE).astype(np.uint8)
        return Pair(f"{part}/{image.stem}", read_rgb(image), mask)


def find(folder: Path) -> KtdaPairs | None:
    """The dataset in a folder; None where it has another layout.

    Raises:
        DatasetError: there are images and no class is known of them.
    """
    if not (folder / "img_dir" / "train").is_dir() or not (folder / "ann_dir" / "train").is_dir():
        return None
    train, val = (tuple(sorted((folder / "img_dir" / part).glob("*.*"))) for part in ("train", "val"))
    suffixes = {path.suffix.lower() for path in (*train, *val)}
    if len(suffixes) != 1 or not suffixes <= LAYOUTS.keys():
        raise DatasetError(
            f"the images in {str(folder / 'img_dir')!r} end in {sorted(suffixes)}; those of grass are all .tif, those "
            "of the L8 Biome clouds all .png"
        )
    name, classes = LAYOUTS[suffixes.pop()]
    return KtdaPairs(folder, name, dict(classes), train, val)


def _indexes(path: Path) -> np.ndarray:
    """(rows, cols) class indexes. Read as a raster: other readers turn a palette into colours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                return source.read(1)
    except RasterioIOError as error:
        raise DatasetError(f"cannot read {str(path)!r} ({error}); unpack the dataset completely") from error
