"""Random changes of brightness, contrast, saturation and hue: the only augmentation of TransLandSeg's training."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import cv2
import numpy as np

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


@dataclass(frozen=True)
class ColourJitter:
    """How far each property may change; all 0 for no change."""

    brightness: float = 0.4
    """The image is multiplied by a factor from 1 - this to 1 + this."""
    contrast: float = 0.4
    """The same factor of the distance to the mean grey."""
    saturation: float = 0.4
    """The same factor of the distance to each pixel's grey."""
    hue: float = 0.1
    """Hue turns by up to this share of the colour circle, either way."""

    def __call__(self, rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy: the four changes in random order, each drawn anew.

        Args:
            rgb: (rows, cols, 3) uint8.
            rng: source of chance.

        Returns:
            (rows, cols, 3) uint8.
        """
        if not any(astuple(self)):
            return rgb
        image = rgb.astype(np.float32)
        for change in rng.permutation(4):
            if change == 0:
                image = image * _factor(self.brightness, rng)
            elif change == 1:
                image = _mix(image, float((image @ _GREY).mean()), _factor(self.contrast, rng))
            elif change == 2:
                image = _mix(image, (image @ _GREY)[..., None], _factor(self.saturation, rng))
            else:
                image = _turn_hue(image, rng.uniform(-self.hue, self.hue))
            image = np.clip(image, 0, 255)
        return np.rint(image).astype(np.uint8)


def _factor(strength: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(max(0.0, 1 - strength), 1 + strength))


def _mix(image: np.ndarray, other: np.ndarray | float, factor: float) -> np.ndarray:
    return factor * image + (1 - factor) * other


def _turn_hue(image: np.ndarray, share: float) -> np.ndarray:
    """Hue is in degrees, 0 to 360, for float images."""
    hsv = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + share * 360) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
