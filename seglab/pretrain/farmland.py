"""Farmland in many systems: parcels, strips, centre pivots, terraces, orchards; and solar farms, which stand there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from seglab.pretrain.canvas import Canvas
from seglab.pretrain.layout import (
    Frame,
    Stencil,
    Warp,
    blobs,
    cells,
    densify,
    disc,
    ellipse,
    fill,
    inset,
    level,
    parcels,
    rectangle,
    ribbon,
    rotation,
    slices,
)
from seglab.pretrain.nature import blocks
from seglab.pretrain.roofs import modules
from seglab.pretrain.textures import lighten, lit, noise, sample, stripes


def farmland(canvas: Canvas) -> None:
    """Neighbouring fields with shared borders: straight, curved, strips or cells; hedges and tracks between."""
    rng, size = canvas.rng, canvas.size
    smallest = float(np.clip(size * 10 ** rng.uniform(-1.6, -0.6) / canvas.theme.pixel**0.25, 9, 110))
    if rng.random() < 0.87:
        shapes = parcels(
            rng,
            size,
            smallest,
            rng.uniform(0, np.pi),
            float(rng.choice([0, 0, 0.3, 1])),
            rng.uniform(0.2, 0.8, 2) * size,
        )
    else:
        shapes = cells(rng, size, int(np.clip((size / smallest / 1.6) ** 2, 4, 90)))
    amount = rng.uniform(0, 0.35) * smallest * (rng.random() < 0.7)
    warp = Warp.draw(rng, size, rng.uniform(1.5, 5) * smallest, amount)
    gap = float(rng.choice([0, 0, 0.6, 1.2, rng.uniform(1, 4)]))
    hedge, kept = rng.uniform(0, 0.5) * (rng.random() < 0.5), rng.uniform(0.6, 1.0)
    other = rng.uniform(0, 0.35)
    for shape in shapes:
        outline = warp(inset(shape, gap) if gap else shape)
        if rng.random() < kept:
            kind = str(rng.choice(["grass", "bare", "forest", "water"], p=[0.5, 0.2, 0.24, 0.06]))
            crop(canvas, outline, "field" if rng.random() > other else kind)
        if rng.random() < hedge:
            border(canvas, outline)


def fields(canvas: Canvas) -> None:
    """Farmland of one of the systems that cover a whole scene."""
    sections(canvas) if canvas.rng.random() < 0.3 else farmland(canvas)


def sections(canvas: Canvas) -> None:
    """Large farms in blocks between straight country roads, each block cut into a few fields."""
    rng, size = canvas.rng, canvas.size
    block = size * rng.uniform(0.15, 0.6)
    whole = rng.uniform(0, 0.5)
    for outline in blocks(canvas, block, rng.uniform(1.5, 12) / canvas.theme.pixel**0.3):
        plots = [outline] if rng.random() < whole else slices(rng, outline, block)
        for plot in plots:
            kinds, odds = ["field", "grass", "forest", "bare"], [0.78, 0.1, 0.08, 0.04]
            crop(canvas, inset(plot, rng.uniform(0, 1.5)), str(rng.choice(kinds, p=odds)))
            if rng.random() < 0.08:
                border(canvas, densify(plot, 8))


def crop(canvas: Canvas, outline: np.ndarray, kind: str) -> None:
    """One parcel with what is in it."""
    rng = canvas.rng
    stencil = fill(canvas.size, outline)
    if stencil is None:
        return
    skin = canvas.skin(kind, stencil)
    large = stencil.alpha.size > 600
    if kind == "field" and large:
        skin = worked(canvas, stencil, skin)
    if not canvas.paint(stencil, kind, skin) or not large:
        return
    if rng.random() < 0.15:
        closed = np.concatenate([outline, outline[:1]])
        centre = outline.mean(0)
        headland = centre + (closed - centre) * 0.93
        canvas.line(headland, rng.uniform(1, 4), canvas.theme.colour(rng, "field"), rng.uniform(0.15, 0.5))
    if rng.random() < 0.08:
        inside = np.argwhere(stencil.inside)
        at = inside[rng.integers(len(inside))][::-1] + np.array([stencil.left, stencil.top])
        spot = fill(canvas.size, ellipse(rng, at, rng.uniform(3, 0.12 * canvas.size)))
        if spot is not None:
            canvas.paint(spot.within(stencil), str(rng.choice(["water", "forest", "bare", "grass"])), nested=True)


def worked(canvas: Canvas, stencil: Stencil, skin: np.ndarray) -> np.ndarray:
    """Traces of farm work on a field: tramlines, half of it harvested, wet patches, trees in rows."""
    rng, shape = canvas.rng, stencil.alpha.shape
    angle = rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    across = cols.astype(np.float32) * c + rows.astype(np.float32) * s
    if rng.random() < 0.3:
        pitch = np.float32(max(5, rng.uniform(10, 40) / canvas.theme.pixel**0.5))
        line = np.clip(1 - np.abs(across % pitch - pitch / 2), 0, 1)
        skin = lighten(skin, 1 + np.float32(rng.uniform(-0.25, 0.2)) * line)
    if rng.random() < 0.18:
        edge = np.float32(rng.uniform(0.25, 0.75)) * (across.max() - across.min()) + across.min()
        done = np.clip((across - edge) * np.float32(rng.uniform(0.3, 1)) + 0.5, 0, 1)[..., None]
        skin = skin * (
            1
            + done * (np.float32(rng.uniform(0.75, 1.25)) * (1 + 0.06 * rng.standard_normal(3).astype(np.float32)) - 1)
        )
    if rng.random() < 0.3:
        wet = np.clip(sample(rng, "broad", shape, rng.uniform(0.5, 3)) - np.float32(rng.uniform(0, 1)), 0, 1)
        skin = lighten(skin, 1 + np.float32(rng.uniform(-0.45, 0.2)) * wet)
    if rng.random() < 0.05:
        pitch = max(4.5, rng.uniform(5, 16) / canvas.theme.pixel**0.4)
        trees = (1 + stripes(rng, shape, pitch, angle)) * (1 + stripes(rng, shape, pitch, angle + np.pi / 2))
        crown = np.clip(trees * np.float32(0.7) - np.float32(rng.uniform(0.3, 1.2)), 0, 1)
        crown *= np.clip(sample(rng, "fine", shape) * np.float32(0.35) + np.float32(0.8), 0, 1)
        light = 1 + np.float32(1.2) * lit(crown, canvas.theme.sun)
        skin = lighten(skin + crown[..., None] * (canvas.theme.colour(rng, "forest") - skin), light)
    return skin


def border(canvas: Canvas, outline: np.ndarray) -> None:
    """A hedge, ditch or track along part of a field's edge."""
    rng = canvas.rng
    start, length = int(rng.integers(len(outline))), int(rng.integers(2, len(outline) + 1))
    line = np.roll(np.concatenate([outline]), -start, 0)[:length]
    if len(line) < 2:
        return
    width = rng.uniform(1, 7)
    if rng.random() < 0.5 and width > 3:
        hedge = ribbon(canvas.size, [line + rng.normal(0, 0.2 * width, line.shape)], width)
        canvas.darken(ribbon(canvas.size, [line - 0.5 * width * sun(canvas)], width), canvas.theme.shade)
        canvas.paint(hedge, "forest")
    else:
        kind = str(rng.choice(["forest", "bare", "road", "grass"]))
        canvas.line(line, 0.5 * width, canvas.theme.colour(rng, kind), rng.uniform(0.4, 1))


def sun(canvas: Canvas) -> np.ndarray:
    """Unit vector (col, row) towards the light."""
    return np.array([np.cos(canvas.theme.sun), np.sin(canvas.theme.sun)])


def pivots(canvas: Canvas) -> None:
    """Centre-pivot circles in a grid, some cut to sectors, corners left dry."""
    rng, size = canvas.rng, canvas.size
    pitch = float(np.clip(size * 10 ** rng.uniform(-1.1, -0.2), 20, 260))
    turn, offset = rotation(rng.normal(0, 0.1)), rng.uniform(0, pitch, 2)
    reach = int(0.8 * size / pitch) + 1
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            centre = np.array([i, j]) * pitch @ turn + size / 2 + offset
            if rng.random() < 0.2 or (np.abs(centre - size / 2) > size / 2 + pitch / 2).any():
                continue
            radius = pitch * rng.choice([0.48, 0.48, 0.46, rng.uniform(0.25, 0.45)])
            outline = disc(centre, radius)
            if rng.random() < 0.2:
                cut = int(rng.integers(0, len(outline)))
                outline = np.concatenate(
                    [np.roll(outline, cut, 0)[: int(len(outline) * rng.uniform(0.4, 0.9))], [centre]]
                )
            crop(canvas, outline, "field")
            if radius > 25 and rng.random() < 0.6:
                arm = centre + np.array([[0, 0], [radius, 0]]) @ rotation(rng.uniform(0, 6.3))
                canvas.line(arm, 0.8, 0.8, 0.5)


def terraces(canvas: Canvas) -> None:
    """Bands that follow the contours of a slope, each a field, with dark risers between."""
    rng, size = canvas.rng, canvas.size
    slope = np.linspace(0, 1, size, dtype=np.float32)[:, None] * rng.normal(0, 1.5) + np.linspace(
        0, 1, size, dtype=np.float32
    )[None, :] * np.float32(rng.normal(0, 1.5))
    height = noise(rng, size, size * rng.uniform(0.4, 1), 3, 0.35) + slope
    edges = np.quantile(height[::4, ::4], np.sort(rng.uniform(0.05, 0.95, int(rng.integers(6, 26)))))
    for low, high in pairwise(edges):
        band = level(height, low)
        band = Stencil(band.alpha - level(height, high).alpha, 0, 0)
        if rng.random() < 0.92:
            base = canvas.theme.colour(rng, "field")
            canvas.paint_parts(band, "field", canvas.skin("field", band, base))
        riser = Stencil(np.clip(level(height, low).alpha - level(height, low + 0.02).alpha, 0, 1), 0, 0)
        canvas.tint(riser, canvas.theme.colour(rng, "forest"), rng.uniform(0.3, 0.9))


def panels(canvas: Canvas) -> None:
    """A solar farm: rows of panels with frames on bare or grassy ground, tracks between blocks."""
    rng, size = canvas.rng, canvas.size
    pad = blobs(rng, size, size, rng.uniform(0.3, 0.8))
    canvas.paint_parts(pad.soften(rng.uniform(0, 2)), str(rng.choice(["bare", "grass", "bare"])))
    module, colour = rng.uniform(2, 9), canvas.theme.colour(rng, "solar")
    short = module * float(rng.integers(1, 5))
    pitch, merged = short * rng.uniform(1.05, 2.2), rng.random() < 0.3
    for origin, long, deep, angle in plots(canvas, pitch):
        rows = int(np.clip(deep / pitch, 1, 24))
        ends = rng.uniform(0.7, 1, rows) if rng.random() < 0.3 else np.ones(rows)
        at = [origin + np.array([0, (row - (rows - 1) / 2) * pitch]) @ rotation(angle) for row in range(rows)]
        outlines = [rectangle(a, long * end, short, angle) for a, end in zip(at, ends, strict=True)]
        for outline in outlines:
            canvas.shadow(outline, 0.25 * short)
        for group in [outlines] if merged else [[o] for o in outlines]:
            stencil = fill(size, *group)
            if stencil is not None:
                skin = modules(canvas, stencil, origin, angle, module)
                canvas.paint(stencil, "solar", skin * (0.5 + 0.5 * colour / max(float(colour.mean()), 0.05)))


def plots(canvas: Canvas, pitch: float) -> list[tuple[np.ndarray, float, float, float]]:
    """Where blocks of panels stand: centre, length along the rows, depth across them (pixels), angle of the rows."""
    rng, size = canvas.rng, canvas.size
    angle = rng.normal(0, 0.5)
    if rng.random() < 0.5:
        count = int(rng.integers(1, 7))
        return [
            (rng.uniform(0, size, 2), rng.uniform(20, 170), pitch * rng.uniform(1, max(2, 180 / pitch)), angle)
            for _ in range(count)
        ]
    gap, kept = rng.uniform(2, 14), rng.uniform(0.5, 1)
    frames = [Frame.of(p) for p in parcels(rng, size, rng.uniform(40, 120), angle, 0.0) if rng.random() < kept]
    return [(f.centre, f.long - gap, f.short - gap, f.angle) for f in frames]
