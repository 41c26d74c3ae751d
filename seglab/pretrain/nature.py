"""Woods, waters, roads across the land, mountains and landslides."""

from __future__ import annotations

import cv2
import numpy as np

from seglab.pretrain.canvas import Canvas
from seglab.pretrain.layout import (
    Stencil,
    Warp,
    blobs,
    ellipse,
    fill,
    inset,
    level,
    parcels,
    rectangle,
    ribbon,
    rotation,
    tongue,
    wander,
)
from seglab.pretrain.textures import coloured, lighten, lit, noise, sample

SHORE = 12
"""Pixels around a water body that its shore may reach."""


def woods(canvas: Canvas) -> None:
    """Forest, scrub or open patches with ragged edges and a shadow on the far side; lone trees around."""
    rng, size = canvas.rng, canvas.size
    for _ in range(int(rng.integers(1, 3))):
        kind = str(rng.choice(["forest", "grass", "bare"], p=[0.7, 0.15, 0.15]))
        teeth = "crowns" if kind == "forest" and canvas.theme.pixel < 8 else "mottle"
        mask = blobs(
            rng,
            size,
            rng.uniform(30, 260),
            rng.uniform(0.05, 0.5),
            5,
            rng.uniform(0.4, 0.7),
            rng.uniform(0, 0.3),
            teeth,
        )
        if kind == "forest" and canvas.theme.pixel < 4:
            length = rng.uniform(1, 7)
            move = -length * np.array([np.cos(canvas.theme.sun), np.sin(canvas.theme.sun)])
            matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]])
            canvas.darken(Stencil(cv2.warpAffine(mask.alpha, matrix, (size, size)), 0, 0), canvas.theme.shade)
        canvas.paint_parts(mask, kind)
    if rng.random() < 0.4:
        bushes(canvas)
    if canvas.theme.pixel < 5:
        scattered(canvas)


def bushes(canvas: Canvas) -> None:
    """Scrub thinly over part of the scene, unlabelled."""
    rng, size = canvas.rng, canvas.size
    height = sample(rng, "scrub", (size, size), canvas.theme.pixel**0.5 * rng.uniform(0.4, 1))
    where = np.clip(sample(rng, "broad", (size, size), rng.uniform(0.3, 1)) + np.float32(rng.uniform(-0.5, 1)), 0, 1)
    cover = np.clip((height - np.float32(rng.uniform(1, 2.2))) * 2, 0, 1) * where
    light = 1 + np.float32(0.6) * lit(height, canvas.theme.sun)
    canvas.tint(Stencil(cover, 0, 0), coloured(light, canvas.theme.colour(rng, "forest")), rng.uniform(0.5, 1))


def scattered(canvas: Canvas) -> None:
    """Single trees and bushes, clustered."""
    rng, size = canvas.rng, canvas.size
    radius = max(1.3, rng.uniform(3, 14) / canvas.theme.pixel**0.7)
    hubs = rng.uniform(0, size, (int(rng.integers(1, 6)), 2))
    for _ in range(int(rng.integers(0, 45))):
        at = hubs[rng.integers(len(hubs))] + rng.normal(0, 0.18 * size, 2)
        r = radius * 2 ** rng.uniform(-1, 0.7)
        canvas.tree(at, r, label=r > 3)


def deforestation(canvas: Canvas) -> None:
    """Forest that is being cleared along roads, from within, or both."""
    how = canvas.rng.random()
    if how < 0.65:
        frontier(canvas)
    if how > 0.45:
        patchwork(canvas)


def frontier(canvas: Canvas) -> None:
    """Deforestation at coarse resolution: forest with a track, clearings like fishbones or large blocks along it."""
    rng, size = canvas.rng, canvas.size
    angle = rng.uniform(0, np.pi)
    spacing, length = size * rng.uniform(0.05, 0.2), size * rng.uniform(0.1, 0.45)
    base = canvas.theme.colour(rng, "cleared")
    for offset in np.arange(-0.6 * size, 0.6 * size, 2.2 * length):
        for step in np.arange(-0.7 * size, 0.7 * size, spacing):
            for side in (-1, 1):
                if rng.random() < 0.45:
                    continue
                long, short = length * rng.uniform(0.3, 1), spacing * rng.uniform(0.4, 1.1)
                at = np.array([step + rng.normal(0, 0.1 * spacing), offset + side * long / 2])
                box = rectangle(at, short, long, rng.normal(0, 0.04)) @ rotation(angle) + size / 2
                cleared = fill(size, box, margin=5)
                if cleared is None:
                    continue
                ragged = cleared.roughen(rng, rng.uniform(0.7, 2), rng.uniform(0, 2), rng.uniform(1.5, 4))
                own = base if rng.random() < 0.6 else None
                canvas.paint(ragged, "cleared", canvas.skin("cleared", cleared, own))
    if rng.random() < 0.7:
        ends = np.array([[-size, 0], [size, 0]]) @ rotation(angle) + size / 2
        line = ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 30)[:, None] + rng.normal(0, 1, (30, 2))
        canvas.paint(ribbon(size, [line], rng.uniform(1.2, 3)), "road")


def patchwork(canvas: Canvas) -> None:
    """Forest eaten into by irregular clearings of many shapes, gallery forest left along the streams."""
    rng, size = canvas.rng, canvas.size
    cleared = blobs(rng, size, rng.uniform(60, 300), rng.uniform(0.15, 0.7), 6, 0.6, rng.uniform(0, 0.3))
    canvas.paint_parts(cleared, "cleared")
    if rng.random() < 0.6:
        ridges = np.abs(noise(rng, size, rng.uniform(50, 160), 4, 0.5))
        gallery = level(-ridges, -rng.uniform(0.03, 0.12))
        canvas.paint_parts(gallery, "forest", least=60)


def waters(canvas: Canvas) -> None:
    """A river with sand bars, lakes, ponds or a coast."""
    rng, size = canvas.rng, canvas.size
    what = rng.random()
    if what < 0.4:
        river(canvas)
    if 0.3 < what < 0.75:
        for _ in range(int(rng.integers(1, 8))):
            outline = ellipse(rng, rng.uniform(0, size, 2), size * 10 ** rng.uniform(-2, -0.6), rng.uniform(0.1, 0.45))
            stencil = fill(size, outline, margin=SHORE)
            if stencil is not None:
                shore(canvas, stencil)
                canvas.paint(stencil, "water", surface(canvas, stencil))
    if what > 0.72:
        coast = blobs(rng, size, size * rng.uniform(0.5, 1.5), rng.uniform(0.1, 0.6), 6, rng.uniform(0.3, 0.6))
        shore(canvas, coast)
        canvas.paint_parts(coast, "water", surface(canvas, coast))


def shore(canvas: Canvas, water: Stencil) -> None:
    """A strip of sand or reeds around water, unlabelled."""
    if canvas.rng.random() < 0.5:
        wide = np.clip(2 * cv2.GaussianBlur(water.alpha, (0, 0), canvas.rng.uniform(1, 5)), 0, 1)
        kind = "bare" if canvas.rng.random() < 0.6 else "grass"
        canvas.tint(Stencil(wide, water.top, water.left), canvas.theme.colour(canvas.rng, kind), 0.8)


def surface(canvas: Canvas, stencil: Stencil) -> np.ndarray:
    """Water colours: shallow or turbid gradients, ripples, glint."""
    rng, shape = canvas.rng, stencil.alpha.shape
    skin = canvas.skin("water", stencil)
    if rng.random() < 0.4:
        depth = cv2.GaussianBlur(stencil.alpha, (0, 0), float(rng.uniform(3, 14)))
        shallow = np.clip(1.9 - 2 * depth, 0, 1) * stencil.alpha * np.float32(rng.uniform(0.2, 0.8))
        skin = skin + shallow[..., None] * (canvas.theme.colour(rng, "bare") - skin)
    if rng.random() < 0.4:
        ripples = sample(rng, "streaks", shape, rng.uniform(0.5, 2))
        skin = lighten(skin, 1 + np.float32(rng.uniform(0.01, 0.09)) * ripples)
    if rng.random() < 0.15:
        glint = np.clip(sample(rng, "broad", shape, 0.6) * 0.5, 0, 1) * np.float32(rng.uniform(0.1, 0.5))
        skin = skin + glint[..., None] * (np.float32(0.9) - skin)
    return skin


def river(canvas: Canvas) -> None:
    """A river of varying width; a braided one leaves bars of gravel between its arms."""
    rng, size = canvas.rng, canvas.size
    line = wander(rng, size, rng.uniform(0, 0.8))
    width = size * 10 ** rng.uniform(-2.1, -0.8)
    widths = width * (1 + 0.35 * np.convolve(rng.standard_normal(len(line) + 8), np.ones(9) / 3, "valid"))
    bed = fill(size, tongue(line, np.clip(widths, 0.4 * width, 3 * width)), margin=SHORE)
    if bed is None:
        return
    if rng.random() < 0.4 and width > 14:
        canvas.paint(bed, "bare")
        for _ in range(int(rng.integers(1, 4))):
            drift = np.convolve(rng.standard_normal(len(line) + 8), np.ones(9) / 3, "valid")[:, None]
            arm = fill(size, tongue(line + 0.3 * width * drift, width * rng.uniform(0.1, 0.35) * np.ones(len(line))))
            if arm is not None:
                arm = arm.within(bed)
                canvas.paint(arm, "water", surface(canvas, arm), nested=True)
        return
    shore(canvas, bed)
    canvas.paint(bed, "water", surface(canvas, bed))
    if rng.random() < 0.4 and width > 10:
        for at in line[rng.integers(0, len(line), 3)]:
            bar = fill(size, ellipse(rng, at, width * rng.uniform(0.2, 0.6)))
            if bar is not None:
                canvas.paint(bar.within(bed), "bare", nested=True)


def roads(canvas: Canvas) -> None:
    """Roads and tracks across everything: one or two main ones with marks, thin ones that branch off."""
    rng, size = canvas.rng, canvas.size
    width = max(1.3, rng.uniform(3, 26) / canvas.theme.pixel**0.7)
    colour = canvas.theme.colour(rng, "road")
    for _ in range(int(rng.integers(1, 4))):
        line, w = wander(rng, size, rng.uniform(0.4, 1)), width * 2 ** rng.uniform(-1.2, 0.4)
        lines = [line]
        for _ in range(int(rng.integers(0, 3))):
            start = line[rng.integers(10, len(line) - 10)]
            lines.append(start + branch(canvas, line)[: int(rng.integers(8, 60))])
        road(canvas, lines, w, colour)
    if rng.random() < 0.4:
        track = wander(rng, size, rng.uniform(0.2, 0.9))
        canvas.line(track, rng.uniform(0.6, 1.5), canvas.theme.colour(rng, "bare"), rng.uniform(0.3, 0.8))


def branch(canvas: Canvas, line: np.ndarray) -> np.ndarray:
    """A side road from (0, 0) at a wide angle to a line, (N, 2) pixels."""
    away = wander(canvas.rng, canvas.size, canvas.rng.uniform(0.55, 1))
    away = away - away[0]
    main, own = line[-1] - line[0], away[-1]
    wanted = np.arctan2(main[1], main[0]) + canvas.rng.choice([-1, 1]) * canvas.rng.uniform(0.8, 2.3)
    return away @ rotation(wanted - np.arctan2(own[1], own[0]))


def road(canvas: Canvas, lines: list[np.ndarray], width: float, colour: np.ndarray) -> None:
    """One road network with verges, lane marks, wear and crowns that cover bits of it."""
    rng, size = canvas.rng, canvas.size
    if rng.random() < 0.4:
        verge = canvas.theme.colour(rng, str(rng.choice(["bare", "grass", "road"])))
        canvas.tint(ribbon(size, lines, width * rng.uniform(1.3, 2) + 1), verge, rng.uniform(0.3, 0.9))
    stencil = ribbon(size, lines, max(1.5, width))
    if stencil is None or not canvas.paint(stencil, "road", canvas.skin("road", stencil, colour)):
        return
    if width > 6 and rng.random() < 0.6:
        dashed, strength = rng.random() < 0.5, rng.uniform(0.2, 0.9)
        for line in lines:
            for part in dashes(line, 1.5 * width) if dashed else [line]:
                canvas.line(part, max(0.6, 0.05 * width), 0.85, strength)
    elif width > 4 and rng.random() < 0.5:
        canvas.line(lines[0], 0.4 * width, 1.25 * colour, 0.5)
    if rng.random() < 0.5 and canvas.theme.pixel < 4:
        radius = min(width * rng.uniform(0.4, 0.9), 13 / canvas.theme.pixel**0.5)
        for at in lines[0][rng.integers(0, len(lines[0]), int(rng.integers(1, 14)))]:
            canvas.tree(at + rng.normal(0, width, 2), max(1.5, radius), label=radius > 3)


def dashes(line: np.ndarray, length: float) -> list[np.ndarray]:
    """Pieces of a line, each about `length` pixels with as much left out between them."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    stops = np.arange(0, along[-1], length)
    points = np.stack([np.interp(stops, along, line[:, i]) for i in (0, 1)], 1)
    return [points[i : i + 2] for i in range(0, len(points) - 1, 2)]


def blocks(canvas: Canvas, block: float, street: float) -> list[np.ndarray]:
    """Streets painted as one road network; returns the four-cornered blocks between them, the most central first."""
    rng, size = canvas.rng, canvas.size
    plots = parcels(rng, size, block, rng.uniform(0, np.pi), 0.0)
    warp = Warp.draw(rng, size, size * rng.uniform(0.5, 1.2), rng.uniform(0, 0.06) * size * (rng.random() < 0.5))
    warped = [warp(inset(plot, street * rng.uniform(0.45, 0.55))) for plot in plots]
    inner = fill(size, *warped)
    if inner is None:
        return []
    canvas.paint(Stencil(1 - whole_scene(inner, size), 0, 0), "road")
    if street > 5 and rng.random() < 0.6:
        kerb = rng.uniform(0.4, 0.85)
        for outline in warped:
            canvas.line(np.concatenate([outline, outline[:1]]), rng.uniform(0.7, 1.8), kerb, rng.uniform(0.2, 0.8))
    hub = rng.uniform(0, size, 2)
    plots.sort(key=lambda plot: float(np.hypot(*(plot.mean(0) - hub))))
    return [inset(plot, street) for plot in plots]


def whole_scene(stencil: Stencil, size: int) -> np.ndarray:
    """A stencil's coverage in the frame of the whole scene, (size, size) float32."""
    full = np.zeros((size, size), np.float32)
    full[stencil.view] = stencil.alpha
    return full


def creek(canvas: Canvas) -> None:
    """A watercourse across the land, seen as a line of trees or a strip of grass."""
    rng, size = canvas.rng, canvas.size
    line, width = wander(rng, size, rng.uniform(0, 0.7)), rng.uniform(3, 26) / canvas.theme.pixel**0.5
    widths = width * np.clip(
        1 + 0.5 * np.convolve(rng.standard_normal(len(line) + 4), np.ones(5) / 2, "valid"), 0.15, 3
    )
    strip = fill(size, tongue(line, widths), margin=6)
    if strip is None:
        return
    if rng.random() < 0.6:
        canvas.paint_parts(
            strip.roughen(rng, rng.uniform(0.7, 2.5), rng.uniform(0.5, 2.5), rng.uniform(2, 5)), "forest"
        )
    else:
        canvas.tint(strip.soften(rng.uniform(0, 2)), canvas.skin("grass", strip), rng.uniform(0.5, 1))


def mountains(canvas: Canvas) -> None:
    """Steep land: forest and scrub by height, shaded by the sun, with landslides, gullies and bare rock."""
    rng, size = canvas.rng, canvas.size
    height = noise(rng, size, size * rng.uniform(0.4, 1.2), 2, 0.4)
    height = height - np.float32(0.6) * np.abs(
        noise(rng, size, size * rng.uniform(0.2, 0.5), 6, rng.uniform(0.5, 0.65))
    )
    if rng.random() < 0.8:
        edge = 0.4 * noise(rng, size, 30, 3) + np.float32(rng.uniform(0, 0.25)) * sample(rng, "crowns", (size, size))
        cover = level(height + edge, float(rng.uniform(-1.5, 0.3)))
        canvas.paint_parts(cover, "forest" if rng.random() < 0.7 else "grass", least=100)
    if rng.random() < 0.3:
        canvas.paint_parts(level(height, rng.uniform(0.8, 1.5)), "bare", least=100)
    smooth = cv2.GaussianBlur(height, (0, 0), 5)
    gy, gx = np.gradient(smooth)
    large = rng.random() < 0.5
    for i in range(int(rng.integers(1, 7))):
        slide(canvas, gx, gy, size * 10 ** (rng.uniform(-1.7, -1.2) if large and i == 0 else rng.uniform(-2.1, -1.4)))
    steep = rng.uniform(2, 10) * size / 384
    shade = np.clip(
        1 + np.float32(steep) * lit(cv2.GaussianBlur(height, (0, 0), rng.uniform(0.6, 1.2)), canvas.theme.sun),
        0.35,
        1.6,
    )
    canvas.rgb = lighten(canvas.rgb, shade)


def slide(canvas: Canvas, gx: np.ndarray, gy: np.ndarray, step: float) -> None:
    """A landslide scar: a ragged tongue of rock and soil, streaked along its path.

    Args:
        canvas: the scene.
        gx: slope of the land along columns, (size, size).
        gy: slope of the land along rows.
        step: pixels from point to point of the path downhill, 8 to 30 of them.
    """
    rng, size = canvas.rng, canvas.size
    at, path = rng.uniform(0, size, 2), []
    heading = None
    for _ in range(int(rng.integers(8, 30))):
        path.append(at)
        col, row = np.clip(at.astype(int), 0, size - 1)
        down = -np.array([gx[row, col], gy[row, col]])
        down = down / (np.hypot(*down) + 1e-6) + rng.normal(0, 0.3, 2)
        heading = down if heading is None else 0.6 * heading + 0.4 * down
        at = at + step * heading / (np.hypot(*heading) + 1e-6)
    width = step * len(path) * rng.uniform(0.2, 1.0)
    profile = np.interp(
        np.linspace(0, 1, len(path)), [0, 0.15, 0.5, 0.85, 1], rng.uniform([0.2, 0.5, 0.3, 0.5, 0.2], 1.2)
    )
    rough = float(np.clip(width * rng.uniform(0.03, 0.15), 0.8, 8))
    stencil = fill(size, tongue(np.array(path), width * profile), margin=3 * rough)
    if stencil is None:
        return
    stencil = stencil.roughen(rng, rough, rng.uniform(0.5, 3), rng.uniform(0.9, 5))
    run = np.array(path[-1]) - path[0]
    streaks = sample(rng, "streaks", stencil.alpha.shape, rng.uniform(0.5, 2), -np.arctan2(run[1], run[0]))
    skin = lighten(canvas.skin("landslide", stencil), 1 + np.float32(rng.uniform(0, 0.09)) * streaks)
    canvas.paint_parts(stencil, "landslide", skin, least=25)
