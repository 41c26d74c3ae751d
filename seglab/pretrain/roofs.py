"""Buildings seen from above: gable, hip, flat and sheet-metal roofs with what lies on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seglab.pretrain.canvas import Canvas
from seglab.pretrain.layout import Stencil, fill, rectangle
from seglab.pretrain.textures import coloured, lighten, sample, stripes


@dataclass(frozen=True)
class Roof:
    """A roof to build; lengths in pixels, angles in radians."""

    outline: np.ndarray
    centre: np.ndarray
    long: float
    short: float
    angle: float
    height: float
    style: str
    """gable, hip, flat or sheets."""


def axes(roof: Roof, stencil: Stencil) -> tuple[np.ndarray, np.ndarray]:
    """Distance along and across the ridge from the roof's centre, each (rows, cols) float32."""
    rows, cols = np.ogrid[stencil.view]
    dx, dy = (cols - roof.centre[0]).astype(np.float32), (rows - roof.centre[1]).astype(np.float32)
    c, s = np.float32(np.cos(roof.angle)), np.float32(np.sin(roof.angle))
    return dx * c + dy * s, dy * c - dx * s


def slopes(canvas: Canvas, roof: Roof, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Brightness of the faces of a pitched roof, around 1: each face by its angle to the sun."""
    steep = canvas.rng.uniform(0.08, 0.32)
    to_sun = canvas.theme.sun - roof.angle
    ridge = np.float32(canvas.rng.uniform(-0.15, 0.15) * roof.short)
    side = np.clip((across - ridge) * np.float32(1.2), -1, 1) * np.float32(steep * np.sin(to_sun))
    light = 1 + side
    if roof.style == "hip":
        end = np.abs(along) - np.float32((roof.long - roof.short) / 2)
        face = end > np.abs(across)
        ends = 1 + np.sign(along) * np.float32(steep * np.cos(to_sun))
        light = np.where(face, ends, light)
    if canvas.rng.random() < 0.4 and roof.short > 10:
        light += np.float32(canvas.rng.uniform(-0.15, 0.25)) * (np.abs(across - ridge) < 0.9)
    return light


def sheets(canvas: Canvas, roof: Roof, along: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Colours of metal sheets side by side, some of them rusty or replaced, (rows, cols, 3)."""
    rng = canvas.rng
    width = max(2.0, roof.short * rng.uniform(0.08, 0.4))
    index = ((along + np.float32(roof.long)) * np.float32(1 / width)).astype(np.int32)
    count = int(index.max()) + 2
    tones = 1 + np.float32(rng.uniform(0.02, 0.12)) * rng.standard_normal((count, 1), np.float32)
    rust = canvas.theme.colour(rng, "building") if rng.random() < 0.4 else np.float32([0.50, 0.30, 0.20])
    rusty = (rng.random((count, 1)) < rng.uniform(0, 0.5)) * np.float32(rng.uniform(0.3, 1))
    strip = tones * (colour + rusty * (rust - colour))
    return np.take(strip, index, axis=0)


def skin(canvas: Canvas, roof: Roof, stencil: Stencil) -> np.ndarray:
    """Colours of a whole roof over its stencil's box, (rows, cols, 3) float32."""
    rng, theme = canvas.rng, canvas.theme
    colour = theme.colour(rng, "building")
    shape = stencil.alpha.shape
    along, across = axes(roof, stencil)
    light = slopes(canvas, roof, along, across) if roof.style != "flat" else np.ones(shape, np.float32)
    if min(shape) < 9:
        return coloured(light, colour)
    light += np.float32(rng.uniform(0.005, 0.04)) * sample(rng, "soft grain", shape)
    light += np.float32(rng.uniform(0.0, 0.10)) * sample(rng, "mottle", shape, rng.uniform(0.4, 2))
    if roof.style != "flat" and rng.random() < 0.6:
        period = rng.uniform(2.3, 6)
        light += np.float32(rng.uniform(0.01, 0.10)) * stripes(rng, shape, period, roof.angle, rng.random() * 0.5)
    body = sheets(canvas, roof, along, colour) if roof.style == "sheets" else colour
    if rng.random() < 0.3:
        stain = np.clip(sample(rng, "broad", shape, rng.uniform(0.5, 4)) - np.float32(rng.uniform(0, 1)), 0, 1)
        other = theme.colour(rng, "building") * np.float32(0.8)
        body = body + np.float32(rng.uniform(0.2, 0.9)) * stain[..., None] * (other - body)
    return coloured(light, colour) if body is colour else lighten(np.asarray(body, np.float32), light)


def build(canvas: Canvas, roof: Roof) -> int:
    """Paint one building with its shadow and, at times, equipment or panels; returns its id or 0."""
    rng = canvas.rng
    canvas.shadow(roof.outline, roof.height)
    shift = roof.height * canvas.theme.lean
    if np.hypot(*shift) > 1:
        house = canvas.paint(
            walls(canvas, roof.outline, shift),
            "building",
            np.float32(rng.uniform(0.2, 0.65) * np.array([1.0, 0.97, 0.93])),
        )
        roof = replace(roof, outline=roof.outline + shift, centre=roof.centre + shift)
        stencil = fill(canvas.size, roof.outline)
        if house and stencil is not None:
            canvas.tint(stencil, skin(canvas, roof, stencil))
    else:
        stencil = fill(canvas.size, roof.outline)
        house = canvas.paint(stencil, "building", None if stencil is None else skin(canvas, roof, stencil))
    if not house or stencil is None or roof.short < 14:
        return house
    if rng.random() < 0.35:
        rim(canvas, roof)
    if roof.style == "flat" and rng.random() < 0.7:
        equipment(canvas, roof, stencil)
    if rng.random() < 0.06:
        panels(canvas, roof, stencil)
    return house


def walls(canvas: Canvas, outline: np.ndarray, shift: np.ndarray) -> Stencil | None:
    """Where a building stands when its roof is seen displaced by `shift` pixels: footprint, walls and roof."""
    nexts = np.roll(outline, -1, 0)
    sides = [np.array([a, b, b + shift, a + shift]) for a, b in zip(outline, nexts, strict=True)]
    return fill(canvas.size, outline, outline + shift, *sides)


def rim(canvas: Canvas, roof: Roof) -> None:
    """A parapet or gutter along the edge, lighter or darker than the roof."""
    closed = np.concatenate([roof.outline, roof.outline[:1]])
    inner = roof.centre + (closed - roof.centre) * (1 - 1.6 / max(6.0, roof.short / 2))
    shade = float(canvas.rng.choice([0.25, 0.8]))
    canvas.line(inner, canvas.rng.uniform(0.6, 0.05 * roof.short + 0.7), shade, canvas.rng.uniform(0.2, 0.6))


def equipment(canvas: Canvas, roof: Roof, stencil: Stencil) -> None:
    """Boxes, ducts and skylights on a flat roof: parts of the building, not objects."""
    rng = canvas.rng
    for _ in range(int(rng.integers(1, 9))):
        offset = np.array([rng.uniform(-0.42, 0.42) * roof.long, rng.uniform(-0.42, 0.42) * roof.short])
        c, s = np.cos(roof.angle), np.sin(roof.angle)
        at = roof.centre + offset @ np.array([[c, s], [-s, c]])
        side = rng.uniform(1.5, max(2.5, min(12, 0.2 * roof.short)))
        thing = rectangle(at, side * rng.uniform(1, 4), side, roof.angle + (rng.random() < 0.4) * np.pi / 2)
        inside = fill(canvas.size, thing)
        if inside is None:
            continue
        canvas.shadow(thing, min(side * 0.5, 3))
        grey = np.float32(rng.uniform(0.15, 0.95)) * (1 + 0.05 * rng.standard_normal(3).astype(np.float32))
        canvas.tint(inside.within(stencil), grey, 0.9)


def panels(canvas: Canvas, roof: Roof, stencil: Stencil) -> None:
    """A block of solar panels on a roof: an object inside the building."""
    rng = canvas.rng
    long, short = roof.long * rng.uniform(0.25, 0.75), roof.short * rng.uniform(0.2, 0.42)
    normal = np.array([-np.sin(roof.angle), np.cos(roof.angle)])
    at = roof.centre + normal * roof.short * 0.23 * rng.choice([-1, 1])
    block = fill(canvas.size, rectangle(at, long, short, roof.angle))
    if block is not None:
        block = block.within(stencil)
        canvas.paint(block, "solar", modules(canvas, block, at, roof.angle, rng.uniform(3, 9)), nested=True)


def modules(canvas: Canvas, stencil: Stencil, at: np.ndarray, angle: float, module: float) -> np.ndarray:
    """Dark glass with a lighter grid of frames `module` pixels apart, (rows, cols, 3) float32."""
    rng = canvas.rng
    body = canvas.skin("solar", stencil)
    rows, cols = np.ogrid[stencil.view]
    dx, dy = (cols - at[0]).astype(np.float32), (rows - at[1]).astype(np.float32)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    frame = np.zeros(stencil.alpha.shape, np.float32)
    for distance, pitch in ((dx * c + dy * s, module * rng.uniform(1, 2)), (dy * c - dx * s, module)):
        phase = np.abs(distance * np.float32(1 / pitch) % 1 - np.float32(0.5)) * np.float32(pitch)
        frame = np.maximum(frame, np.clip(np.float32(1.1) - phase, 0, 1))
    return body + (np.float32(rng.uniform(0.1, 0.6)) * frame)[..., None] * (np.float32(rng.uniform(0.4, 0.9)) - body)
