"""Settlements: informal quarters, suburbs, city blocks, industry, with streets, gardens, cars and trees."""

from __future__ import annotations

import numpy as np

from seglab.pretrain.canvas import CLASSES, Canvas
from seglab.pretrain.farmland import crop
from seglab.pretrain.layout import (
    Frame,
    blobs,
    disc,
    ellipse,
    fill,
    footprint,
    inset,
    parcels,
    rectangle,
    slices,
)
from seglab.pretrain.nature import blocks
from seglab.pretrain.roofs import Roof, build

MOST_HOUSES = 170
"""A limit on the buildings of a scene, for speed."""


def visible(outline: np.ndarray, size: int) -> bool:
    """Whether an outline's box reaches into the scene."""
    return bool((outline.max(0) > 0).all() and (outline.min(0) < size).all())


def informal(canvas: Canvas) -> None:
    """Touching roofs of odd sizes on bare soil, narrow paths, rubbish, trees that hide parts of roofs."""
    rng, size = canvas.rng, canvas.size
    patches(canvas)
    roof = float(np.clip(70 / canvas.theme.pixel, 9, 140)) * rng.uniform(0.6, 1.4)
    plots = parcels(rng, size, roof * 0.62, rng.uniform(0, np.pi), 0.1, rng.uniform(0.15, 0.85, 2) * size)
    order = rng.permutation(len(plots))[:MOST_HOUSES]
    empty, height, gap = rng.uniform(0.05, 0.45), rng.uniform(0.05, 0.3), rng.uniform(0, 0.12) * roof
    styles = ["sheets", "gable", "hip", "flat"]
    odds = rng.dirichlet([3, 2, 1, 0.7])
    litter(canvas, int(rng.integers(0, 50)))
    for i in order:
        frame = Frame.of(plots[i])
        if rng.random() < empty:
            continue
        angle = frame.angle + rng.normal(0, 0.06)
        long, short = frame.long - gap * rng.uniform(-0.3, 2), frame.short - gap * rng.uniform(-0.3, 2)
        if min(long, short) < 4:
            continue
        shape = rectangle if rng.random() < 0.75 else lambda *a: footprint(rng, *a)
        outline = shape(frame.centre + rng.normal(0, 0.03 * roof, 2), long, short, angle)
        style = str(styles[rng.choice(4, p=odds)])
        build(canvas, Roof(outline, outline.mean(0), long, short, angle, height * roof * rng.uniform(0.5, 1.3), style))
    trees(canvas, int(rng.integers(0, 25)), roof * 0.4)


def patches(canvas: Canvas) -> None:
    """Grass or bare soil in soft patches on the open ground, unlabelled."""
    rng, size = canvas.rng, canvas.size
    if rng.random() < 0.7:
        spots = blobs(rng, size, rng.uniform(20, 150), rng.uniform(0.05, 0.5))
        canvas.tint(spots.soften(rng.uniform(0, 4)), canvas.skin("grass" if rng.random() < 0.7 else "bare", spots))


def litter(canvas: Canvas, count: int) -> None:
    """Small things of any colour on the ground, unlabelled."""
    rng = canvas.rng
    for _ in range(count):
        thing = rectangle(rng.uniform(0, canvas.size, 2), *rng.uniform(0.8, 4, 2), rng.uniform(0, np.pi))
        colour = canvas.theme.colour(rng, "object")
        canvas.tint(fill(canvas.size, thing), colour, rng.uniform(0.3, 1))


def trees(canvas: Canvas, count: int, radius: float) -> None:
    """Single crowns in clusters; those large enough to count as objects are labelled."""
    rng, size = canvas.rng, canvas.size
    hubs = rng.uniform(0, size, (max(1, count // 4), 2))
    for _ in range(count):
        at = hubs[rng.integers(len(hubs))] + rng.normal(0, 3 * radius, 2)
        r = radius * 2 ** rng.uniform(-1.3, 0.6)
        canvas.tree(at, max(1.2, r), label=r > 3)


def suburb(canvas: Canvas) -> None:
    """Houses in gardens along streets: lawns, drives, pools, parked cars, hedges, trees."""
    rng, size = canvas.rng, canvas.size
    patches(canvas)
    lot = float(np.clip(110 / canvas.theme.pixel, 16, 130)) * rng.uniform(0.7, 1.3)
    fullness, pools, green = rng.uniform(0.6, 1), rng.uniform(0, 0.3), rng.uniform(0, 1)
    styles = ["gable", "hip", "flat", "sheets"]
    odds = rng.dirichlet([3, 3, 1, 0.5])
    houses = 0
    for block in blocks(canvas, lot * rng.uniform(1.6, 3), lot * rng.uniform(0.12, 0.3)):
        frame = Frame.of(block)
        if houses > MOST_HOUSES or rng.random() < 0.06:
            outskirts(canvas, block) if houses > MOST_HOUSES else park(canvas, block)
            continue
        for half in (-0.25, 0.25):
            row = rectangle(frame.at(0, half), frame.long, frame.short / 2, frame.angle)
            for plot in slices(rng, row, lot):
                if not visible(plot, size):
                    continue
                garden(canvas, plot, pools, green)
                if rng.random() < fullness:
                    houses += 1
                    house(canvas, plot, half, str(styles[rng.choice(4, p=odds)]))
    trees(canvas, int(rng.integers(0, 40)), lot * rng.uniform(0.08, 0.2))


def garden(canvas: Canvas, plot: np.ndarray, pools: float, green: float) -> None:
    """The ground of a plot: its own surface, a fence, maybe a pool or a shed."""
    rng = canvas.rng
    if rng.random() < 0.6:
        kind = "grass" if rng.random() < green else str(rng.choice(["bare", "background"]))
        stencil = fill(canvas.size, inset(plot, rng.uniform(0, 2)))
        if stencil is not None:
            canvas.tint(stencil, canvas.skin(kind, stencil), rng.uniform(0.3, 0.9))
    frame = Frame.of(plot)
    if rng.random() < 0.3:
        colour = canvas.theme.colour(rng, "forest" if rng.random() < 0.5 else "road")
        canvas.line(np.concatenate([plot, plot[:1]]), rng.uniform(0.7, 2), colour, rng.uniform(0.3, 0.9))
    if rng.random() < pools and frame.short > 18:
        at = frame.at(*rng.uniform(-0.4, 0.4, 2))
        size = rng.uniform(0.1, 0.22) * frame.short
        outline = rectangle(at, 2 * size, size, frame.angle) if rng.random() < 0.6 else ellipse(rng, at, size * 0.8)
        canvas.tint(fill(canvas.size, at + 1.3 * (outline - at)), np.float32(rng.uniform(0.5, 0.9)), 0.8)
        blue = np.float32([0.25, 0.62, 0.75]) * np.float32(rng.uniform(0.7, 1.2))
        canvas.paint(fill(canvas.size, outline), "water", blue)


def outskirts(canvas: Canvas, plot: np.ndarray) -> None:
    """Land at the edge of town that is not built on: a field or a wood, or just open."""
    if canvas.rng.random() < 0.7:
        kinds, odds = ["field", "grass", "forest", "bare", "water"], [0.45, 0.2, 0.15, 0.15, 0.05]
        crop(canvas, plot, str(canvas.rng.choice(kinds, p=odds)))


def park(canvas: Canvas, plot: np.ndarray) -> None:
    """A green or a sports ground: grass, paths or marks, trees."""
    rng, frame = canvas.rng, Frame.of(plot)
    stencil = fill(canvas.size, plot)
    if not canvas.paint(stencil, "grass"):
        return
    if rng.random() < 0.5:
        marks = rectangle(frame.centre, 0.7 * frame.long, 0.6 * frame.short, frame.angle)
        strength = rng.uniform(0.2, 0.8)
        canvas.line(np.concatenate([marks, marks[:1]]), 1.0, 0.85, strength)
        canvas.line(np.stack([frame.at(0, -0.3), frame.at(0, 0.3)]), 1.0, 0.85, strength)
    else:
        path = np.stack([frame.at(*rng.uniform(-0.6, 0.6, 2)) for _ in range(4)])
        canvas.line(path, rng.uniform(1, 4), canvas.theme.colour(rng, "bare"), 0.8)
    for _ in range(int(rng.integers(0, 14))):
        radius = frame.short * rng.uniform(0.03, 0.1)
        canvas.tree(frame.at(*rng.uniform(-0.48, 0.48, 2)), max(1.5, radius), label=radius > 3)


def house(canvas: Canvas, plot: np.ndarray, half: float, style: str) -> None:
    """A house on its plot, with a drive and sometimes a car and a crown over the roof."""
    rng, frame = canvas.rng, Frame.of(plot)
    long, short = frame.long * rng.uniform(0.35, 0.6), frame.short * rng.uniform(0.5, 0.85)
    long = min(long, 1.9 * short)
    centre = frame.at(rng.uniform(-0.12, 0.12), rng.uniform(-0.06, 0.06))
    angle = frame.angle + (np.pi / 2 if rng.random() < 0.4 else 0) + rng.normal(0, 0.03)
    if rng.random() < 0.4:
        drive = np.stack([centre, frame.at(0.52 * np.sign(half), rng.uniform(-0.3, 0.3))])
        canvas.line(drive, max(1.5, short * 0.2), canvas.theme.colour(rng, "road"), 0.9)
    if rng.random() < 0.35 and short > 12:
        car(canvas, frame.at(0.42 * np.sign(half), rng.uniform(-0.3, 0.3)), short * 0.28, frame.angle)
    outline = footprint(rng, centre, long, short, angle)
    build(canvas, Roof(outline, centre, long, short, angle, short * rng.uniform(0.1, 0.35), style))
    if rng.random() < 0.3:
        radius = short * rng.uniform(0.12, 0.35)
        canvas.tree(centre + rng.normal(0, 0.6, 2) * short, max(1.5, radius), label=radius > 3)


def car(canvas: Canvas, centre: np.ndarray, length: float, angle: float) -> None:
    """A vehicle with dark windows; `length` in pixels."""
    rng = canvas.rng
    width = length * rng.uniform(0.4, 0.5)
    outline = rectangle(centre, length, width, angle)
    canvas.shadow(outline, 0.25 * width)
    colour = canvas.theme.colour(rng, "object")
    if canvas.paint(fill(canvas.size, outline), "object", colour, nested=True) and length > 7:
        glass = centre + 0.18 * length * np.array([np.cos(angle), np.sin(angle)])
        canvas.tint(fill(canvas.size, rectangle(glass, 0.16 * length, 0.8 * width, angle)), np.float32(0.12), 0.8)


def parking(canvas: Canvas, plot: np.ndarray, length: float) -> None:
    """An asphalt lot with painted bays, partly full."""
    rng, frame = canvas.rng, Frame.of(plot)
    stencil = fill(canvas.size, plot)
    if stencil is None:
        return
    canvas.tint(stencil, canvas.skin("road", stencil), 0.95)
    pitch, full, lines = length * 0.62, rng.uniform(0.1, 0.9), rng.random() < 0.6
    across, reach = np.array([-np.sin(frame.angle), np.cos(frame.angle)]), 0.5 * length * np.array([[-1], [1]])
    for row in np.arange(-frame.short / 2 + length, frame.short / 2 - length / 2, 2.2 * length)[:6]:
        for step in np.arange(-frame.long / 2 + length, frame.long / 2 - length, pitch)[:28]:
            at = frame.at(step / frame.long, row / frame.short)
            if lines and length > 6:
                mark = frame.at((step + 0.5 * pitch) / frame.long, row / frame.short) + across * reach
                canvas.line(mark, 0.6, 0.85, 0.6)
            if rng.random() < full:
                car(
                    canvas,
                    at + rng.normal(0, 0.05 * length, 2),
                    length * rng.uniform(0.75, 0.95),
                    frame.angle + np.pi / 2,
                )


def city(canvas: Canvas) -> None:
    """Built-up blocks: roofs wall to wall or towers with long shadows, few trees."""
    rng, size = canvas.rng, canvas.size
    patches(canvas)
    lot = float(np.clip(120 / canvas.theme.pixel, 14, 150)) * rng.uniform(0.6, 1.3)
    tall, gap, flat = rng.uniform(0.1, 0.9), rng.uniform(0, 0.25), rng.uniform(0.3, 1)
    houses = 0
    for block in blocks(canvas, lot * rng.uniform(1.2, 2.4), lot * rng.uniform(0.12, 0.4)):
        frame = Frame.of(block)
        if houses > MOST_HOUSES or rng.random() < 0.08:
            outskirts(canvas, block) if houses > MOST_HOUSES else park(canvas, block)
            continue
        halves = ((-0.25, 2), (0.25, 2)) if frame.short > 1.4 * lot else ((0.0, 1),)
        for half, parts in halves:
            row = rectangle(frame.at(0, half), frame.long, frame.short / parts, frame.angle)
            for plot in slices(rng, row, lot):
                inner = Frame.of(plot)
                if rng.random() < 0.12 or not visible(plot, size) or inner.short < 5:
                    continue
                houses += 1
                long, short = inner.long * (1 - gap * rng.uniform(0, 2)), inner.short * (1 - gap * rng.uniform(0, 2))
                outline = footprint(rng, inner.centre, long, short, inner.angle)
                style = "flat" if rng.random() < flat else str(rng.choice(["gable", "hip"]))
                height = tall * short * rng.uniform(0.2, 1.3)
                build(canvas, Roof(outline, inner.centre, long, short, inner.angle, height, style))
    traffic(canvas, int(rng.integers(0, 30)), max(3.0, 16 / canvas.theme.pixel))
    trees(canvas, int(rng.integers(0, 20)), lot * 0.1)


def industry(canvas: Canvas) -> None:
    """Large flat or ribbed halls, yards, parking lots, tanks."""
    rng, size = canvas.rng, canvas.size
    patches(canvas)
    hall = float(np.clip(260 / canvas.theme.pixel, 30, 190)) * rng.uniform(0.6, 1.2)
    length = float(np.clip(hall * rng.uniform(0.06, 0.12), 4, 14))
    for block in blocks(canvas, hall * rng.uniform(0.8, 1.3), rng.uniform(6, 20)):
        frame = Frame.of(block)
        if min(frame.long, frame.short) < 15 or not visible(block, size):
            continue
        use = rng.random()
        if use < 0.22:
            parking(canvas, block, length)
        elif use < 0.3:
            for _ in range(int(rng.integers(1, 7))):
                tank(canvas, frame.at(*rng.uniform(-0.4, 0.4, 2)), rng.uniform(4, 0.22 * frame.short + 4))
        elif use < 0.93:
            long, short = frame.long * rng.uniform(0.5, 0.95), frame.short * rng.uniform(0.5, 0.95)
            centre = frame.at(*rng.uniform(-0.1, 0.1, 2))
            outline = footprint(rng, centre, long, short, frame.angle)
            style = str(rng.choice(["flat", "sheets", "gable"], p=[0.55, 0.25, 0.2]))
            build(canvas, Roof(outline, centre, long, short, frame.angle, rng.uniform(2, 0.2 * hall), style))
    traffic(canvas, int(rng.integers(0, 25)), length)


def tank(canvas: Canvas, centre: np.ndarray, radius: float) -> None:
    """A round storage tank."""
    outline = disc(centre, radius)
    canvas.shadow(outline, radius * canvas.rng.uniform(0.3, 1))
    stencil = fill(canvas.size, outline)
    if stencil is not None:
        grey = np.float32(canvas.rng.uniform(0.5, 0.95))
        canvas.paint(stencil, "building", canvas.skin("building", stencil, np.full(3, grey, np.float32)))
        canvas.line(np.concatenate([outline, outline[:1]]), 1.0, 0.4 * grey, 0.5)


def traffic(canvas: Canvas, count: int, length: float) -> None:
    """Cars on whatever road there is."""
    rng = canvas.rng
    from_road = np.argwhere(canvas.semantic[::4, ::4] == CLASSES.index("road"))
    angle = rng.uniform(0, np.pi)
    if len(from_road):
        for row, col in from_road[rng.integers(0, len(from_road), count)] * 4:
            car(canvas, np.array([col, row], float), length, angle + rng.integers(2) * np.pi / 2)
