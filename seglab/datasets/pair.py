"""One image with its mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seglab.errors import DatasetError


@dataclass(frozen=True)
class Pair:
    """One image with its mask.

    Raises:
        DatasetError: image, mask and extra bands differ in size.
    """

    id: str
    rgb: np.ndarray
    """(rows, cols, 3) uint8."""
    mask: np.ndarray
    """(rows, cols) uint8 class index, 255 is unknown."""
    extra: np.ndarray | None = None
    """(E, rows, cols) float32: bands beside red, green and blue, in the source's own units; None where there are
    none."""

    def __post_init__(self) -> None:
        """Refuse parts that do not lie on each other."""
        shapes = [self.mask.shape] + ([] if self.extra is None else [self.extra.shape[1:]])
        if any(shape != self.rgb.shape[:2] for shape in shapes):
            raise DatasetError(
                f"image {self.id!r} is {self.rgb.shape[:2]} and its mask or extra bands are {shapes}; "
                "give them one size"
            )
