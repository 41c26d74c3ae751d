"""The one linear stretch of a scene: the same for its tiles, the model's input and the preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DISPLAY_SPAN = 128
"""8-bit grey levels; a photo whose 2 to 98 % values span fewer of them is dull and gets stretched."""


@dataclass(frozen=True)
class Stretch:
    """A linear map from pixel values to 0..255, one per band of the view."""

    low: tuple[float, ...]
    """Per band, the value shown as 0."""
    high: tuple[float, ...]
    """Per band, the value shown as 255; above `low`."""

    def apply(self, values: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Stretched pixels.

        Args:
            values: (B, h, w) numbers, B as in `low`.
            valid: (h, w) bool; pixels that are not valid become 0. None: all are.

        Returns:
            (B, h, w) uint8; values outside low..high are clipped.
        """
        low = np.asarray(self.low, dtype=np.float32)[:, None, None]
        high = np.asarray(self.high, dtype=np.float32)[:, None, None]
        scaled = np.asarray(values, dtype=np.float32) - low
        scaled *= np.float32(255) / (high - low)
        np.clip(scaled, 0, 255, out=scaled)
        scaled += 0.5
        if valid is not None:
            scaled = np.where(valid, scaled, np.float32(0))
        return scaled.astype(np.uint8)

    @classmethod
    def identity(cls, count: int = 3) -> Stretch:
        """0..255 as it is."""
        return cls((0.0,) * count, (255.0,) * count)


def percentile_stretch(samples: Sequence[np.ndarray], percentiles: tuple[float, float]) -> Stretch:
    """The stretch between two percentiles of each band.

    Args:
        samples: per band, a 1-D array of its valid values (not empty, finite).
        percentiles: lower and upper, 0 to 100.

    Returns:
        The stretch; a band of one value is stretched from it to it + 1, so that it shows as black.
    """
    low, high = [], []
    for values in samples:
        bottom, top = (float(v) for v in np.percentile(values, percentiles))
        if not top > bottom:  # one value fills the middle: take the whole range before giving up
            bottom, top = float(values.min()), float(values.max())
        step = max(1.0, abs(bottom) * 1e-6)  # float32 tells neighbours of a large value apart only that well
        low.append(bottom)
        high.append(top if top > bottom else bottom + step)
    return Stretch(tuple(low), tuple(high))


def is_display_ready(samples: Sequence[np.ndarray], dtype: str, tags: Sequence[str], is_photo: bool) -> bool:
    """Whether 8-bit values are meant to be looked at as they are.

    Photos (png, jpg) are. Any other 8-bit file is, if its three bands are tagged red, green and blue and it
    makes use
    of the range: writers put those tags on every three-band file, so that a dark satellite scene carries them
        too.

    Args:
        samples: valid values of the three bands of the view.
        dtype: of the scene.
        tags: colour interpretation of the three bands of the view.
        is_photo: whether the file's format is one for photos.
    """
    if dtype != "uint8":
        return False
    if is_photo:
        return True
    if tuple(tags) != ("red", "green", "blue"):
        return False
    low, high = np.percentile(np.concatenate(samples), (2, 98))
    return bool(high - low >= DISPLAY_SPAN)
