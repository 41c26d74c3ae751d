"""Ground materials for procedural scenes: colours that belong together, textures cut from a stock of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

Rng = np.random.Generator
Colour = tuple[float, float, float]

TILE = 1024
"""Side of a stock tile, pixels. Tiles are periodic and made once per process from fixed seeds."""


FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
PLAIN = ("grain", "soft grain", "fine")
"""Tiles without a direction or a scale of their own worth turning."""


def spectral(rng: Rng, power: float) -> np.ndarray:
    """A periodic tile of noise whose amplitude falls as frequency to `power`, unit deviation."""
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    radius = np.maximum(np.hypot(fy, fx), 3.0 / TILE)
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) * radius**-power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (TILE, TILE)).astype(np.float32)
    return field / field.std()


def domes(rng: Rng, small: float, large: float, cover: float) -> np.ndarray:
    """A periodic tile of overlapping domes (crowns, boulders), radii in pixels; heights 0..1, made unit deviation."""
    height = np.zeros((TILE, TILE), np.float32)
    area = 0.0
    while area < cover * TILE * TILE:
        radius = small * (large / small) ** (rng.random() ** 2)
        reach = int(radius) + 1
        axis = np.arange(-reach, reach + 1, dtype=np.float32)
        dome = np.sqrt(np.clip(1 - (axis[:, None] ** 2 + axis[None, :] ** 2) / radius**2, 0, 1))
        at = rng.integers(0, TILE, 2)
        where = np.ix_((at[0] + axis.astype(int)) % TILE, (at[1] + axis.astype(int)) % TILE)
        height[where] = np.maximum(height[where], dome * np.float32(rng.uniform(0.5, 1) * (radius / large) ** 0.4))
        area += np.pi * radius**2
    height += 0.06 * spectral(rng, 0.6)
    return (height - height.mean()) / height.std()


@cache
def tile(name: str) -> np.ndarray:
    """One tile of the stock, (TILE, TILE) float32 with zero mean and unit deviation."""
    rng = np.random.default_rng(sum(name.encode()))
    if name == "grain":
        return rng.standard_normal((TILE, TILE), np.float32)
    if name == "soft grain":
        white = cv2.GaussianBlur(rng.standard_normal((TILE, TILE), np.float32), (0, 0), 0.8)
        return white / white.std()
    if name == "streaks":
        white = rng.standard_normal((TILE, TILE), np.float32)
        field = sum(cv2.blur(white, (n, 1), borderType=cv2.BORDER_REFLECT) * n**0.5 for n in (9, 61))
        return (field / field.std()).astype(np.float32)
    powers = {"fine": 0.6, "mottle": 1.0, "broad": 1.6}
    if name in powers:
        return spectral(rng, powers[name])
    small, large, cover = {"crowns": (4, 11, 2.2), "scrub": (2, 8, 0.35), "rocks": (1.2, 14, 1.6)}[name]
    return domes(rng, small, large, cover)


def window(rng: Rng, stock: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A random piece of a tile as it is, maybe mirrored, (rows, cols) float32; much cheaper than turning it."""
    if max(shape) > TILE:
        return cv2.resize(stock, shape[::-1])
    top, left = int(rng.random() * (TILE - shape[0])), int(rng.random() * (TILE - shape[1]))
    flip = -1 if rng.random() < 0.5 else 1
    return stock[top : top + shape[0], left : left + shape[1]][::flip]


def sample(rng: Rng, name: str, shape: tuple[int, int], step: float = 1.0, angle: float | None = None) -> np.ndarray:
    """A random window of a stock tile, (rows, cols) float32.

    Args:
        rng: random generator.
        name: which tile.
        shape: rows and columns wanted.
        step: tile pixels per output pixel; below 1 enlarges the features.
        angle: turn of the tile in radians, at random when None.
    """
    if name in PLAIN:
        return window(rng, tile(name), shape)
    turn = rng.random() * 2 * np.pi if angle is None else angle
    c, s = step * np.cos(turn), step * np.sin(turn)
    ox, oy = rng.random(2) * TILE
    coarse = 4 if name == "broad" else 2
    if name in ("broad", "mottle") and shape[0] * shape[1] > 6000:
        half = (shape[1] // coarse + 1, shape[0] // coarse + 1)
        matrix = np.array([[coarse * c, -coarse * s, ox], [coarse * s, coarse * c, oy]])
        small = cv2.warpAffine(tile(name), matrix, half, flags=FLAGS, borderMode=cv2.BORDER_WRAP)
        return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR)
    matrix = np.array([[c, -s, ox], [s, c, oy]])
    return cv2.warpAffine(tile(name), matrix, shape[::-1], flags=FLAGS, borderMode=cv2.BORDER_WRAP)


def lit(height: np.ndarray, sun: float) -> np.ndarray:
    """Slope of a height field towards the light at azimuth `sun` (radians), (rows, cols) float32."""
    c, s = np.cos(sun), np.sin(sun)
    kernel = np.array([[-c - s, -2 * s, c - s], [-2 * c, 0, 2 * c], [s - c, 2 * s, c + s]], np.float32) / 8
    return cv2.filter2D(height, -1, kernel)


def noise(rng: Rng, size: int, cell: float, octaves: int = 3, gain: float = 0.5) -> np.ndarray:
    """Fractal value noise with zero mean and unit deviation, (size, size) float32.

    Args:
        rng: random generator.
        size: rows and columns of the result, in pixels.
        cell: wavelength of the coarsest octave, in pixels.
        octaves: how many octaves; each halves the wavelength.
        gain: amplitude of an octave relative to the one before it.
    """
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        n = min(max(2, round(size / max(cell / 2**octave, 1.0)) + 1), size)
        grid = rng.standard_normal((n, n), np.float32) * np.float32(gain**octave)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    mean, deviation = cv2.meanStdDev(total)
    return (total - np.float32(mean[0, 0])) * np.float32(1 / (deviation[0, 0] + 1e-6))


def stripes(rng: Rng, shape: tuple[int, int], period: float, angle: float, sharp: float = 0.0) -> np.ndarray:
    """Parallel rows (crops, ploughing, roof sheets), amplitude 1, (rows, cols) float32.

    Args:
        rng: random generator.
        shape: rows and columns.
        period: pixels from row to row.
        angle: direction across the rows, radians.
        sharp: 0 is a sine, towards 1 a square wave.
    """
    cols = np.arange(shape[1], dtype=np.float32) * np.float32(2 * np.pi * np.cos(angle) / period)
    rows = np.arange(shape[0], dtype=np.float32) * np.float32(2 * np.pi * np.sin(angle) / period)
    wave = np.sin(cols[None, :] + (rows + np.float32(rng.random() * 6.3))[:, None])
    return np.clip(wave * np.float32(1 + 5 * sharp), -1, 1)


# Mean colours (RGB, 0..1) that each class may take; real land cover overlaps in colour, and so do these.
PALETTE: dict[str, tuple[Colour, ...]] = {
    "background": ((0.45, 0.43, 0.36), (0.36, 0.40, 0.28), (0.55, 0.50, 0.42), (0.42, 0.42, 0.42)),
    "building": (
        (0.78, 0.76, 0.74),
        (0.60, 0.36, 0.27),
        (0.52, 0.53, 0.56),
        (0.90, 0.90, 0.88),
        (0.30, 0.42, 0.62),
        (0.62, 0.54, 0.45),
        (0.28, 0.27, 0.28),
        (0.48, 0.35, 0.29),
        (0.75, 0.38, 0.30),
        (0.62, 0.62, 0.60),
        (0.40, 0.38, 0.37),
        (0.36, 0.50, 0.46),
        (0.55, 0.25, 0.28),
        (0.74, 0.68, 0.58),
    ),
    "field": (
        (0.26, 0.40, 0.22),
        (0.20, 0.36, 0.22),
        (0.40, 0.46, 0.24),
        (0.66, 0.60, 0.45),
        (0.50, 0.41, 0.31),
        (0.28, 0.36, 0.22),
        (0.58, 0.51, 0.38),
        (0.38, 0.42, 0.30),
        (0.72, 0.67, 0.52),
        (0.47, 0.33, 0.26),
        (0.36, 0.30, 0.24),
        (0.55, 0.56, 0.33),
    ),
    "road": (
        (0.50, 0.50, 0.50),
        (0.62, 0.60, 0.57),
        (0.36, 0.36, 0.38),
        (0.68, 0.61, 0.50),
        (0.58, 0.46, 0.36),
        (0.27, 0.27, 0.29),
        (0.76, 0.73, 0.68),
    ),
    "water": (
        (0.09, 0.15, 0.19),
        (0.14, 0.24, 0.25),
        (0.05, 0.07, 0.10),
        (0.33, 0.36, 0.28),
        (0.17, 0.33, 0.38),
        (0.46, 0.41, 0.32),
        (0.32, 0.45, 0.47),
        (0.16, 0.19, 0.13),
    ),
    "forest": (
        (0.15, 0.24, 0.12),
        (0.20, 0.29, 0.16),
        (0.10, 0.17, 0.11),
        (0.26, 0.31, 0.17),
        (0.34, 0.30, 0.20),
        (0.13, 0.26, 0.19),
        (0.24, 0.33, 0.15),
    ),
    "grass": ((0.36, 0.45, 0.24), (0.46, 0.47, 0.31), (0.28, 0.38, 0.20), (0.53, 0.50, 0.35), (0.40, 0.38, 0.27)),
    "bare": (
        (0.62, 0.54, 0.43),
        (0.72, 0.66, 0.56),
        (0.52, 0.42, 0.34),
        (0.58, 0.42, 0.31),
        (0.52, 0.50, 0.48),
        (0.82, 0.79, 0.74),
        (0.42, 0.35, 0.30),
    ),
    "cloud": ((0.95, 0.95, 0.96), (0.90, 0.90, 0.92), (0.84, 0.85, 0.88)),
    "solar": ((0.11, 0.14, 0.25), (0.17, 0.19, 0.25), (0.08, 0.09, 0.13), (0.25, 0.31, 0.45), (0.33, 0.38, 0.50)),
    "landslide": ((0.64, 0.57, 0.48), (0.56, 0.48, 0.40), (0.74, 0.70, 0.64), (0.48, 0.38, 0.30), (0.62, 0.47, 0.36)),
    "object": (
        (0.88, 0.88, 0.88),
        (0.15, 0.15, 0.17),
        (0.58, 0.16, 0.13),
        (0.20, 0.30, 0.55),
        (0.70, 0.62, 0.28),
        (0.55, 0.56, 0.58),
        (0.25, 0.50, 0.72),
    ),
    "cleared": ((0.50, 0.38, 0.30), (0.40, 0.40, 0.24), (0.60, 0.46, 0.38), (0.34, 0.33, 0.22)),
}


# Directions in which real colours vary: with the light's temperature, and with how green plants are.
WARMER = np.array([1.0, 0.0, -1.0])
GREENER = np.array([-0.5, 1.0, -0.5])


@dataclass(frozen=True)
class Texture:
    """How a material varies; amplitudes are relative brightness, each drawn between its two bounds."""

    grain: tuple[float, float]
    mottle: tuple[float, float]
    mix: tuple[float, float] = (0.0, 0.0)
    """Strength of a second colour of the class, in patches."""
    relief: str = ""
    """Stock tile of bumps lit by the sun, if any."""
    bumps: tuple[float, float] = (0.0, 0.0)
    rows: float = 0.0
    """Chance of parallel rows."""


TEXTURES: dict[str, Texture] = {
    "background": Texture((0.01, 0.05), (0.05, 0.16), (0.0, 0.8), "scrub", (0.0, 0.12)),
    "building": Texture((0.005, 0.03), (0.01, 0.07), (0.0, 0.25), rows=0.45),
    "field": Texture((0.005, 0.035), (0.01, 0.08), (0.0, 0.3), rows=0.5),
    "road": Texture((0.005, 0.03), (0.01, 0.06), (0.0, 0.3)),
    "water": Texture((0.0, 0.03), (0.0, 0.05), (0.0, 0.5)),
    "forest": Texture((0.01, 0.05), (0.03, 0.10), (0.1, 0.8), "crowns", (0.08, 0.30)),
    "grass": Texture((0.01, 0.05), (0.03, 0.11), (0.0, 0.7), "scrub", (0.0, 0.08)),
    "bare": Texture((0.01, 0.05), (0.03, 0.12), (0.0, 0.6), "rocks", (0.0, 0.08)),
    "cloud": Texture((0.0, 0.01), (0.01, 0.05)),
    "solar": Texture((0.005, 0.03), (0.0, 0.04)),
    "landslide": Texture((0.01, 0.05), (0.05, 0.20), (0.1, 0.9), "rocks", (0.04, 0.22)),
    "object": Texture((0.0, 0.03), (0.0, 0.05)),
    "cleared": Texture((0.01, 0.05), (0.04, 0.14), (0.2, 0.9), "scrub", (0.0, 0.12)),
}

PLAIN_AREA = 160
"""Patches below this many pixels get grain only: nothing else shows."""


@dataclass(frozen=True)
class Theme:
    """What is common to a whole scene: light, resolution and the few colours each class takes there."""

    sun: float
    """Azimuth the light comes from, radians from +col towards +row."""
    shade: np.ndarray
    """(3,) colour factor of a cast shadow."""
    pixel: float
    """Coarseness of the ground resolution, 1 (sub-metre) to about 30."""
    lean: np.ndarray
    """(2,) pixels (col, row) that a roof is displaced per pixel of height; zero is a view from straight above."""
    colours: dict[str, np.ndarray]
    """Per class a few colours, (n, 3) float32."""

    @classmethod
    def draw(cls, rng: Rng, pixel: float) -> Theme:
        """A random light and a random choice of colours."""
        deep = rng.uniform(0.25, 0.7)
        shade = np.float32([deep, deep * rng.uniform(1, 1.06), deep * rng.uniform(1, 1.2)])
        warm = rng.normal(0, 0.05)
        tint = np.array([1 + warm, 1 + rng.normal(0, 0.01), 1 - warm])
        colours = {}
        for kind, palette in PALETTE.items():
            few = rng.integers(1, 6 if kind in ("building", "field", "object") else 3)
            picked = np.array(palette)[rng.integers(0, len(palette), few)]
            jitter = (
                rng.uniform(0.75, 1.2, (few, 1))
                + rng.normal(0, 0.03, (few, 1)) * WARMER
                + rng.normal(0, 0.01, (few, 3))
            )
            colours[kind] = np.clip(picked * jitter * tint, 0.02, 0.98).astype(np.float32)
        lean = rng.normal(0, 0.25, 2) * (rng.random() < 0.4)
        return cls(float(rng.uniform(0, 2 * np.pi)), shade, pixel, lean, colours)

    def colour(self, rng: Rng, kind: str) -> np.ndarray:
        """A mean colour for one piece of land cover, (3,) float32: mostly one of the scene's, a little off."""
        own: Sequence = self.colours[kind] if rng.random() < 0.88 else PALETTE[kind]
        base = np.asarray(own[int(rng.random() * len(own))], np.float32)
        bright, warm, green = rng.standard_normal(3)
        jitter = 1 + 0.06 * bright + 0.025 * warm * WARMER + 0.012 * green * GREENER
        return np.clip(base * jitter, 0.02, 0.98).astype(np.float32)


def coloured(light: np.ndarray, base: np.ndarray) -> np.ndarray:
    """One colour under varying light, (rows, cols, 3); faster than broadcasting over three channels."""
    return cv2.merge([light * np.float32(b) for b in base])


def lighten(image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A colour image times a (rows, cols) light, (rows, cols, 3) float32."""
    return cv2.multiply(image, cv2.merge([light, light, light]))


def between(rng: Rng, bounds: tuple[float, float]) -> np.float32:
    """A uniform draw between two bounds."""
    return np.float32(bounds[0] + (bounds[1] - bounds[0]) * rng.random())


def relief(rng: Rng, kind: str, shape: tuple[int, int], theme: Theme) -> np.ndarray:
    """Brightness of a material relative to its mean, around 1, (rows, cols) float32."""
    texture = TEXTURES[kind]
    light = 1 + between(rng, texture.grain) * sample(rng, "grain" if rng.random() < 0.5 else "soft grain", shape)
    if shape[0] * shape[1] < PLAIN_AREA:
        return light
    light += between(rng, texture.mottle) * sample(rng, "mottle", shape, 2 ** rng.uniform(-2, 1))
    if texture.relief and texture.bumps[1] > 0:
        step = min(5.0, max(0.35, theme.pixel ** rng.uniform(0.5, 0.9) * rng.uniform(0.5, 1.3)))
        height = sample(rng, texture.relief, shape, step)
        seen = np.float32(min(1.0, 3 / theme.pixel**0.8))  # bumps much smaller than a pixel average out
        light += seen * between(rng, texture.bumps) * (0.6 * height + lit(height, theme.sun) * np.float32(1.2))
    if rng.random() < texture.rows:
        period = max(2.2, rng.uniform(3, 16) / theme.pixel**0.5)
        light += np.float32(0.015 + 0.09 * rng.random() ** 2) * stripes(rng, shape, period, rng.uniform(0, np.pi))
    return light


def material(rng: Rng, kind: str, shape: tuple[int, int], theme: Theme, base: np.ndarray | None = None) -> np.ndarray:
    """A patch of one material.

    Args:
        rng: random generator.
        kind: a key of PALETTE.
        shape: rows and columns.
        theme: the scene's light and colours.
        base: mean colour (3,), drawn from the theme when None.

    Returns:
        (rows, cols, 3) float32 around 0..1.
    """
    base = theme.colour(rng, kind) if base is None else base
    light = relief(rng, kind, shape, theme)
    strength = between(rng, TEXTURES[kind].mix)
    if shape[0] * shape[1] < 4 * PLAIN_AREA or strength < 0.08:
        return coloured(light, base)
    patches = sample(rng, "broad" if rng.random() < 0.6 else "mottle", shape, 2 ** rng.uniform(-1.5, 1.5))
    share = np.clip(patches * np.float32(rng.uniform(0.25, 1.5)) + np.float32(rng.uniform(-0.3, 0.6)), 0, 1) * strength
    other = theme.colour(rng, kind) - base
    return cv2.merge([light * (b + share * o) for b, o in zip(base, other, strict=True)])
