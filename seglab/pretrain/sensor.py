"""What lies between the ground and the file: clouds, haze, optics, noise, processing and compression."""

from __future__ import annotations

import cv2
import numpy as np

from seglab.pretrain.canvas import Canvas
from seglab.pretrain.layout import Stencil
from seglab.pretrain.textures import Rng, coloured, lighten, noise, sample

LEAST_CONTRAST = 0.03
"""Standard deviation (0..1) below which an image is brightened: what is labelled must be visible."""


def clouds(canvas: Canvas) -> None:
    """Clouds with soft textured edges over their shadows; thin veils between them stay unlabelled."""
    rng, size = canvas.rng, canvas.size
    field = noise(rng, size, size * 10 ** rng.uniform(-1.3, -0.2), 6, rng.uniform(0.45, 0.65))
    threshold = np.quantile(field[::4, ::4], 1 - rng.uniform(0.03, 0.55))
    body = np.clip((field - np.float32(threshold)) * np.float32(rng.uniform(1.2, 6)) + np.float32(0.5), 0, 1)
    opaque = np.float32(rng.uniform(0.8, 1))
    move = rng.uniform(-50, 50, 2)
    matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]])
    fallen = cv2.GaussianBlur(cv2.warpAffine(body, matrix, (size, size)), (0, 0), rng.uniform(0.5, 3))
    if rng.random() < 0.7:
        canvas.darken(Stencil(fallen, 0, 0), canvas.theme.shade)
    base = canvas.theme.colour(rng, "cloud")
    puffs = 1 + np.float32(rng.uniform(0.02, 0.14)) * (sample(rng, "mottle", (size, size), rng.uniform(0.5, 2)))
    thick = np.clip((field - np.float32(threshold)) * np.float32(0.3), -0.2, 0.3) * np.float32(rng.uniform(0, 1))
    skin = coloured(puffs + thick, base * np.float32(rng.uniform(0.8, 1.0)))
    canvas.paint_parts(Stencil(body * opaque, 0, 0), "cloud", skin, least=20)


def edge_of_data(canvas: Canvas) -> None:
    """A corner beyond the edge of the image strip, black or white, with nothing in it."""
    rng, size = canvas.rng, canvas.size
    turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.6) * size
    rows, cols = np.ogrid[:size, :size]
    beyond = (cols - size / 2) * np.cos(turn) + (rows - size / 2) * np.sin(turn) > reach
    canvas.rgb[beyond] = 0.0 if rng.random() < 0.8 else 1.0
    canvas.instances[beyond] = 0
    canvas.semantic[beyond] = 0


def veil(canvas: Canvas) -> None:
    """Thin high cloud or smoke that hides nothing, unlabelled."""
    rng, size = canvas.rng, canvas.size
    thin = np.clip(sample(rng, "broad", (size, size), rng.uniform(0.5, 2)) * 0.5, 0, 1)
    canvas.tint(Stencil(thin, 0, 0), np.float32(rng.uniform(0.7, 0.95)), rng.uniform(0.1, 0.45))


def optics(rng: Rng, rgb: np.ndarray) -> np.ndarray:
    """Uneven light, blur, resampling and the halo of over-sharpening."""
    size = rgb.shape[0]
    if rng.random() < 0.35:
        ramp = np.linspace(-1, 1, size, dtype=np.float32)
        plane = np.float32(rng.normal(0, 0.1)) * ramp[:, None] + np.float32(rng.normal(0, 0.1)) * ramp[None, :]
        bowl = np.float32(rng.uniform(0, 0.15)) * (ramp[:, None] ** 2 + ramp[None, :] ** 2)
        rgb = lighten(rgb, 1 + plane - bowl)
    how = rng.random()
    if how < 0.35:
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.35 + 1.1 * rng.random() ** 2)
    elif how < 0.55:
        small = int(size * rng.uniform(0.4, 0.9))
        rgb = cv2.resize(rgb, (small, small), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_CUBIC if rng.random() < 0.6 else cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        wide = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.7, 2))
        amount = rng.uniform(0.3, 1.3)
        rgb = cv2.addWeighted(rgb, 1 + amount, wide, -amount, 0)
    return rgb


def grade(rng: Rng, rgb: np.ndarray, dim: float) -> np.ndarray:
    """Haze, contrast stretch, colour casts, grey and false-colour images, 0..1; `dim` is the chance of a dark one."""
    if rng.random() < 0.25:
        haze = np.float32(rng.uniform(0.02, 0.4))
        rgb = rgb * (1 - haze) + haze * np.float32(rng.uniform([0.55, 0.6, 0.65], [0.85, 0.88, 0.95]))
    pick = rng.random()
    if pick < 0.06:
        rgb = np.repeat((rgb @ rng.dirichlet([2, 3, 1]).astype(np.float32))[..., None], 3, -1)
    elif pick < 0.12:
        rgb = rgb @ (0.35 * np.eye(3) + 0.65 * rng.dirichlet([1, 1, 1], 3)).astype(np.float32).T
    elif pick < 0.5:
        grey = rgb.mean(-1, keepdims=True)
        rgb = grey + (rgb - grey) * np.float32(rng.uniform(0.35, 1.3))
    if rng.random() < 0.6:
        low, high = np.percentile(rgb[::6, ::6], (rng.uniform(0, 3), rng.uniform(95, 100)))
        floor, reach = low * rng.uniform(0, 1), rng.uniform(0.6, 1.15)
        rgb = (rgb - np.float32(floor)) * np.float32(reach / max(high - floor, 0.12))
    if rng.random() < dim:
        rgb = rgb * np.float32(rng.uniform(0.2, 0.6))
    contrast = float(rgb[::6, ::6].std())
    if contrast < LEAST_CONTRAST:
        rgb = rgb * np.float32(LEAST_CONTRAST / max(contrast, 0.005))
    rgb = rgb * (1 + 0.03 * rng.standard_normal(3)).astype(np.float32)
    return np.clip(rgb, 0, 1)


def develop(rng: Rng, rgb: np.ndarray, pixel: float) -> np.ndarray:
    """Radiance to the uint8 image a user opens.

    Args:
        rng: random generator.
        rgb: (size, size, 3) float32 around 0..1.
        pixel: coarseness of the ground resolution, see Theme; coarse images more often come unstretched and dark.
    """
    size = rgb.shape[0]
    rgb = grade(rng, optics(rng, np.clip(rgb, 0, 1.3)), 0.08 if pixel < 8 else 0.3)
    curve = (np.linspace(0, 1, 1024) ** rng.uniform(0.65, 1.4) * 255).astype(np.float32)
    rgb = curve[(rgb * 1023).astype(np.int16)]
    level, grain = 7 * rng.random() ** 2, "grain" if rng.random() < 0.5 else "soft grain"
    luma = sample(rng, grain, (size, size)) * np.float32(level)
    chroma = np.float32(0.5 * level * rng.random())
    for band in range(3):
        rgb[..., band] += luma + chroma * sample(rng, grain, (size, size))
    image = cv2.convertScaleAbs(np.clip(rgb, 0, 255))
    if rng.random() < 0.5:
        quality = int(rng.integers(35, 96))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image
