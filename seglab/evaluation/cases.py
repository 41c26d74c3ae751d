"""What is to be segmented: the objects of labelled images, each in a window as a session would open it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from seglab.datasets.folder import FolderDataset, objects_of

FILL = 0.7
"""Largest share of a window's side that an object's extent may take; a larger object gets a coarser window."""


@dataclass(frozen=True)
class Case:
    """One window and the objects to find in it."""

    dataset: str
    group: str
    """The image that the window is from: objects of one group are alike (see evaluation.intervals)."""
    rgb: np.ndarray
    """(S, S, 3) uint8."""
    masks: np.ndarray
    """(N, S, S) bool."""


def window_cases(dataset: FolderDataset, image_ids: Iterable[str], size: int, per_image: int) -> Iterator[Case]:
    """One window per object: around the object, coarser by powers of two where it is large.

    Args:
        dataset: where the images come from.
        image_ids: which of its images.
        size: side of the window in model pixels.
        per_image: most objects per image (a fixed random choice where there are more).

    Raises:
        DatasetError: an image is missing or damaged.
    """
    for image_id in image_ids:
        image = dataset.read(image_id)
        for thing in objects_of(image, dataset.targets, limit=per_image):
            view = _view(thing.mask, size)
            rgb, mask = resize_rgb(image.rgb[view], size), resize_mask(thing.mask[view], size)
            # An object smaller than a pixel of its window is not there to be found.
            if mask.any():
                yield Case(dataset.name, image_id, rgb, mask[None])


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Bounding box (left, top, right, bottom) of a mask that is not empty, pixels, right and bottom excluded."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


def resize_rgb(rgb: np.ndarray, size: int) -> np.ndarray:
    """(h, w, 3) uint8 to (size, size, 3): the mean of pixels on the way down, linear on the way up."""
    how = cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR
    return cv2.resize(rgb, (size, size), interpolation=how)


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """(h, w) bool to (size, size) bool, nearest."""
    return cv2.resize(mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST).astype(bool)


def _view(mask: np.ndarray, size: int) -> tuple[slice, slice]:
    """The square of an image in which its object is shown, rows and columns."""
    rows, cols = mask.shape
    left, top, right, bottom = extent(mask)
    scale = 1
    while max(right - left, bottom - top) > FILL * size * scale and size * scale < min(rows, cols):
        scale *= 2
    side = min(size * scale, rows, cols)
    col = int(np.clip((left + right - side) // 2, 0, cols - side))
    row = int(np.clip((top + bottom - side) // 2, 0, rows - side))
    return slice(row, row + side), slice(col, col + side)
