"""Ground materials for procedural scenes: a colour and a texture for each kind of land cover."""

from __future__ import annotations

import cv2
import numpy as np

Rng = np.random.Generator


def noise(rng: Rng, size: int, cell: float, octaves: int = 3, gain: float = 0.5) -> np.ndarray:
    """Fractal value noise with zero mean and unit standard deviation.

    Args:
        rng: random generator.
        size: rows and columns of the result, in pixels.
        cell: wavelength of the coarsest octave, in pixels.
        octaves: how many octaves; each halves the wavelength.
        gain: amplitude of an octave relative to the one before it.

    Returns:
        (size, size) float32.
    """
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        n = max(2, round(size / max(cell / 2**octave, 1.0)) + 1)
        n = min(n, size)
        grid = rng.standard_normal((n, n)).astype(np.float32)
        total += gain**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / (total.std() + 1e-6)


def grain(rng: Rng, size: int, blur: float) -> np.ndarray:
    """White noise blurred by `blur` pixels, unit standard deviation, (size, size) float32."""
    white = rng.standard_normal((size, size)).astype(np.float32)
    if blur > 0.3:
        white = cv2.GaussianBlur(white, (0, 0), blur)
    return white / (white.std() + 1e-6)


def stripes(rng: Rng, size: int, period: float, angle: float) -> np.ndarray:
    """Parallel rows (crops, ploughing, roof tiles), amplitude 1, wavy by a little noise, (size, size) float32."""
    axis = np.arange(size, dtype=np.float32)
    phase = (np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]) / period
    phase = phase + rng.uniform(0, 0.25) * noise(rng, size, size / 2, 2)
    wave = np.sin(2 * np.pi * phase)
    return (np.sign(wave) * np.abs(wave) ** rng.uniform(0.3, 1.0)).astype(np.float32)


def crowns(rng: Rng, size: int, radius: float) -> np.ndarray:
    """Tree crowns lit from one side: blobs of about `radius` pixels, unit standard deviation, (size, size) float32."""
    seeds = (rng.random((size, size)) < 0.35 / (radius * radius)).astype(np.uint8)
    distance = cv2.distanceTransform(1 - seeds, cv2.DIST_L2, 3)
    dome = np.clip(1 - distance / (1.3 * radius), 0, None)
    angle = rng.uniform(0, 2 * np.pi)
    gx = cv2.Sobel(dome, cv2.CV_32F, 1, 0)
    gy = cv2.Sobel(dome, cv2.CV_32F, 0, 1)
    lit = dome + 0.6 * (np.cos(angle) * gx + np.sin(angle) * gy)
    return ((lit - lit.mean()) / (lit.std() + 1e-6)).astype(np.float32)


# Mean colours (RGB, 0..1) that each class may take; real land cover overlaps in colour, and so do these.
PALETTE: dict[str, tuple[tuple[float, float, float], ...]] = {
    "background": ((0.45, 0.43, 0.36), (0.36, 0.40, 0.28), (0.55, 0.50, 0.42), (0.42, 0.42, 0.42)),
    "building": (
        (0.72, 0.70, 0.68),
        (0.55, 0.33, 0.26),
        (0.45, 0.46, 0.50),
        (0.85, 0.84, 0.82),
        (0.33, 0.42, 0.52),
        (0.62, 0.52, 0.40),
        (0.30, 0.29, 0.29),
        (0.55, 0.45, 0.35),
    ),
    "field": (
        (0.35, 0.48, 0.22),
        (0.52, 0.55, 0.28),
        (0.65, 0.58, 0.40),
        (0.50, 0.40, 0.30),
        (0.28, 0.38, 0.20),
        (0.58, 0.50, 0.36),
        (0.42, 0.50, 0.30),
        (0.72, 0.68, 0.50),
    ),
    "road": (
        (0.45, 0.45, 0.46),
        (0.62, 0.60, 0.56),
        (0.33, 0.33, 0.34),
        (0.68, 0.60, 0.48),
        (0.55, 0.48, 0.40),
    ),
    "water": (
        (0.10, 0.18, 0.24),
        (0.16, 0.28, 0.30),
        (0.05, 0.08, 0.12),
        (0.35, 0.38, 0.30),
        (0.20, 0.38, 0.45),
        (0.45, 0.42, 0.34),
        (0.40, 0.52, 0.55),
    ),
    "forest": (
        (0.14, 0.24, 0.11),
        (0.20, 0.30, 0.16),
        (0.10, 0.17, 0.10),
        (0.26, 0.30, 0.16),
        (0.32, 0.28, 0.18),
    ),
    "grass": ((0.36, 0.46, 0.24), (0.46, 0.48, 0.30), (0.30, 0.40, 0.22), (0.52, 0.50, 0.34)),
    "bare": (
        (0.62, 0.54, 0.42),
        (0.70, 0.64, 0.54),
        (0.52, 0.42, 0.34),
        (0.60, 0.45, 0.32),
        (0.50, 0.48, 0.46),
    ),
    "cloud": ((0.95, 0.95, 0.96), (0.88, 0.88, 0.90), (0.80, 0.81, 0.84)),
    "solar": ((0.10, 0.13, 0.24), (0.16, 0.17, 0.22), (0.07, 0.08, 0.12), (0.22, 0.26, 0.36)),
    "landslide": ((0.60, 0.52, 0.42), (0.52, 0.45, 0.38), (0.68, 0.62, 0.55), (0.48, 0.38, 0.30)),
    "object": (
        (0.85, 0.85, 0.85),
        (0.15, 0.15, 0.17),
        (0.60, 0.15, 0.12),
        (0.20, 0.30, 0.55),
        (0.75, 0.65, 0.25),
    ),
}


def colour(rng: Rng, kind: str) -> np.ndarray:
    """One mean colour for a piece of land cover, (3,) float32 in 0..1, jittered around the class palette."""
    palette = PALETTE[kind]
    base = np.array(palette[rng.integers(len(palette))], np.float32)
    return np.clip(base * rng.uniform(0.75, 1.25) + rng.normal(0, 0.035, 3), 0.02, 0.98).astype(np.float32)


def relief(rng: Rng, kind: str, size: int, pixel: float) -> np.ndarray:
    """Texture of a material as relative brightness around 0, (size, size) float32.

    Args:
        rng: random generator.
        kind: a key of PALETTE.
        size: rows and columns, pixels.
        pixel: how coarse the ground resolution is: 1 is sub-metre, 10 is a coarse satellite image.
    """
    fine = grain(rng, size, rng.uniform(0.3, 1.2))
    if kind == "forest":
        body = crowns(rng, size, max(1.2, rng.uniform(3, 7) / pixel))
        return rng.uniform(0.12, 0.35) * body + 0.08 * noise(rng, size, 60) + 0.04 * fine
    if kind == "field":
        out = rng.uniform(0.02, 0.10) * noise(rng, size, rng.uniform(10, 90)) + rng.uniform(0.01, 0.06) * fine
        if rng.random() < 0.6:
            out += rng.uniform(0.02, 0.16) * stripes(rng, size, rng.uniform(2.2, 14), rng.uniform(0, np.pi))
        return out
    if kind in ("building", "solar"):
        out = rng.uniform(0.01, 0.05) * fine + rng.uniform(0, 0.05) * noise(rng, size, 20)
        if rng.random() < 0.5:
            out += rng.uniform(0.02, 0.12) * stripes(rng, size, rng.uniform(2.2, 9), rng.uniform(0, np.pi))
        return out
    if kind == "water":
        return rng.uniform(0, 0.06) * noise(rng, size, 120) + rng.uniform(0.0, 0.05) * fine
    if kind == "grass":
        return rng.uniform(0.04, 0.14) * noise(rng, size, rng.uniform(6, 40)) + rng.uniform(0.02, 0.08) * fine
    if kind in ("bare", "landslide", "background"):
        return rng.uniform(0.04, 0.16) * noise(rng, size, rng.uniform(8, 80), 5, 0.6) + rng.uniform(0.02, 0.08) * fine
    return rng.uniform(0.01, 0.05) * fine


def material(rng: Rng, kind: str, size: int, pixel: float) -> np.ndarray:
    """A patch of one material, (size, size, 3) float32 around 0..1; see `relief` for the arguments."""
    shade = 1 + relief(rng, kind, size, pixel)
    tint = 1 + 0.05 * noise(rng, size, size / 3, 2)[..., None] * rng.normal(0, 1, 3).astype(np.float32)
    return colour(rng, kind) * shade[..., None] * tint
