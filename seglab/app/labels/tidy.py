"""What is done to a mask when it is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.geometry import GeometryCollection

from seglab.app.labels.labelled import LabelledObject
from seglab.core.masks import clean, rasterize, smooth, snap
from seglab.core.windows import Window
from seglab.errors import MaskTidyError


@dataclass(frozen=True)
class Tidy:
    """How masks are tidied on accepting; as it stands, not at all."""

    min_area: int = 0
    """Separate pieces of fewer scene pixels are dropped."""
    fill_holes: float = 0
    """Holes of up to so many scene pixels are filled; math.inf fills all."""
    smooth: float = 0
    """Corners and bays narrower than about this radius are evened out, scene pixels."""
    snap: float = 0
    """Edges are moved onto accepted neighbours' where gap or overlap are no wider, scene pixels."""

    def __post_init__(self) -> None:
        wrong = [name for name, value in vars(self).items() if not value >= 0]
        if wrong:
            raise MaskTidyError(f"{wrong[0]}={getattr(self, wrong[0])!r} is not a size in pixels; give 0 or more")

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        """A tidied copy of a mask.

        Args:
            mask: (h, w) bool, scene pixels.

        Raises:
            MaskTidyError: nothing would be left of it.
        """
        tidied = clean(smooth(mask, self.smooth), self.min_area, self.fill_holes)
        if mask.any() and not tidied.any():
            raise MaskTidyError(f"nothing of the mask is left after tidying it ({self}); set session.tidy to less")
        return tidied


def tidied(
    tidy: Tidy, mask: np.ndarray, window: Window, objects: Sequence[LabelledObject], shape: tuple[int, int]
) -> np.ndarray:
    """A tidied mask beside accepted objects: an island in a lake is no hole to be filled, and edges may snap.

    Args:
        tidy: how.
        mask: (window.height, window.width) bool.
        window: where.
        objects: accepted, without the one that the mask replaces.
        shape: (rows, cols) of the scene.

    Raises:
        MaskTidyError: nothing would be left of it.
    """
    found = tidy(mask)
    if not tidy.snap and not (found & ~mask).any():
        return found
    near = shapely.intersects(window.polygon, [o.geometry for o in objects]) if objects else []
    taken = rasterize(
        GeometryCollection([o.geometry for o, is_near in zip(objects, near, strict=True) if is_near]),
        replace(window, scale=1),
    )
    found &= mask | ~taken
    snapped = snap(found, taken, tidy.snap)
    inside = np.zeros_like(snapped)
    place, _ = window.overlap(shape)
    inside[place] = snapped[place]
    if found.any() and not inside.any():
        raise MaskTidyError("the mask is a sliver beside accepted objects; set session.tidy to snap less")
    return inside
