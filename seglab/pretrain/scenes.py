"""Procedural satellite scenes: land cover with shape, texture and context, and exact labels for every object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seglab.pretrain.canvas import CLASSES, UNKNOWN, Canvas
from seglab.pretrain.farmland import farmland, fields, panels, pivots, terraces
from seglab.pretrain.layout import blobs, ellipse, fill, footprint, rectangle, wander
from seglab.pretrain.nature import creek, deforestation, mountains, roads, waters, woods
from seglab.pretrain.roofs import Roof, build
from seglab.pretrain.sensor import clouds, develop, edge_of_data, veil
from seglab.pretrain.settlement import city, industry, informal, suburb
from seglab.pretrain.textures import PALETTE, Theme

__all__ = ["CLASSES", "UNKNOWN", "SceneSample", "scene"]


@dataclass(frozen=True)
class SceneSample:
    """One procedural scene."""

    rgb: np.ndarray
    """(size, size, 3) uint8."""
    instances: np.ndarray
    """(size, size) uint16, the topmost object of each pixel; 0 is none."""
    semantic: np.ndarray
    """(size, size) uint8, an index of CLASSES."""
    parents: dict[int, int]
    """For an object that lies inside another: its id to the id of the outer one."""


def clutter(canvas: Canvas) -> None:
    """Things anywhere: sheds, single trees, ponds, vehicles, bare spots."""
    rng, size = canvas.rng, canvas.size
    for _ in range(int(rng.integers(2, 16))):
        centre, radius = rng.uniform(0, size, 2), 2 * 7 ** rng.random()
        kind = str(rng.choice(["object", "forest", "building", "water", "bare"], p=[0.25, 0.3, 0.25, 0.1, 0.1]))
        long, short, angle = 2 * radius, radius * rng.uniform(0.7, 2), rng.uniform(0, np.pi)
        if kind == "building":
            outline = footprint(rng, centre, long, short, angle)
            style = str(rng.choice(["gable", "hip", "flat", "sheets"]))
            build(canvas, Roof(outline, centre, long, short, angle, 0.3 * short, style))
        elif kind == "forest":
            canvas.tree(centre, radius, label=radius > 3)
        elif kind == "object":
            outline = rectangle(centre, long, short, angle)
            canvas.shadow(outline, 0.3 * radius)
            canvas.paint(fill(size, outline), kind, nested=True)
        else:
            canvas.paint(fill(size, ellipse(rng, centre, radius)), kind, nested=True)


def distractors(canvas: Canvas) -> None:
    """Stains, shadows, tracks and texture changes that are no objects."""
    rng, size = canvas.rng, canvas.size
    if rng.random() < 0.5:
        spots = blobs(rng, size, rng.uniform(30, 200), rng.uniform(0.03, 0.25))
        canvas.darken(spots.soften(rng.uniform(2, 10)), float(rng.uniform(0.75, 1.2)))
    for _ in range(int(rng.integers(0, 5))):
        colour = canvas.rgb[tuple(rng.integers(0, size, 2))] * rng.uniform(0.7, 1.4)
        canvas.line(wander(rng, size, rng.uniform(0.2, 0.95)), rng.uniform(0.5, 1.6), colour, rng.uniform(0.15, 0.5))
    for _ in range(int(rng.integers(0, 4))):
        stain = fill(size, ellipse(rng, rng.uniform(0, size, 2), 3 * 12 ** rng.random(), 0.5))
        if stain is not None:
            canvas.darken(stain.soften(rng.uniform(1, 4)), float(rng.uniform(0.7, 1.25)))


Layer = Callable[[Canvas], None]


@dataclass(frozen=True)
class Recipe:
    """A kind of scene."""

    weight: float
    pixel: tuple[float, float]
    """Least and greatest coarseness, see Theme.pixel."""
    ground: tuple[str, ...]
    """Classes of the land before anything is painted."""
    cloudy: float
    """Chance of clouds over everything."""
    layers: tuple[tuple[float, Layer], ...]
    """Layers painted in order, each with the chance that it is there."""


OPEN = ("background", "grass", "bare")
RECIPES: tuple[Recipe, ...] = (
    Recipe(
        3.0,
        (1, 12),
        (*OPEN, "field"),
        0.1,
        ((0.25, woods), (1, fields), (0.3, creek), (0.4, woods), (0.35, waters), (0.6, roads), (0.4, clutter)),
    ),
    Recipe(0.5, (2, 20), OPEN, 0.1, ((1, pivots), (0.3, waters), (0.5, roads))),
    Recipe(0.4, (1, 6), ("grass", "forest"), 0, ((1, terraces), (0.5, woods), (0.3, roads), (0.4, clutter))),
    Recipe(2.2, (0.5, 6), ("bare", "bare", "background", "grass"), 0, ((0.15, farmland), (0.4, roads), (1, informal))),
    Recipe(2.0, (1, 5), ("grass", *OPEN), 0, ((1, suburb),)),
    Recipe(1.3, (1, 7), ("background", "bare", "road"), 0, ((1, city),)),
    Recipe(1.0, (1, 5), (*OPEN, "road"), 0, ((1, industry), (0.2, clutter))),
    Recipe(1.8, (1, 15), (*OPEN, "forest", "water"), 0.2, ((1, woods), (0.7, waters), (0.5, roads), (0.5, clutter))),
    Recipe(2.2, (1, 10), ("grass", "forest", "forest"), 0.1, ((1, mountains), (0.3, roads), (0.15, clutter))),
    Recipe(1.0, (8, 30), ("forest",), 0.15, ((1, deforestation), (0.4, roads), (0.2, waters))),
    Recipe(1.3, (1, 3), OPEN, 0, ((0.5, woods), (0.3, farmland), (1, panels), (0.4, roads), (0.4, clutter))),
    Recipe(1.1, (8, 30), (*OPEN, "forest", "water"), 1, ((0.6, woods), (0.4, farmland), (0.4, waters))),
)


def scene(seed: int, size: int = 384) -> SceneSample:
    """Make one scene; the same seed and size give the same scene.

    Args:
        seed: any non-negative integer.
        size: rows and columns, pixels.

    Returns:
        A SceneSample with every painted object labelled.
    """
    rng = np.random.default_rng(seed)
    weights = np.array([recipe.weight for recipe in RECIPES])
    recipe = RECIPES[rng.choice(len(RECIPES), p=weights / weights.sum())]
    low, high = recipe.pixel
    theme = Theme.draw(rng, float(low * (high / low) ** rng.random()))
    canvas = Canvas(rng, size, theme, str(rng.choice(recipe.ground)))
    for chance, layer in recipe.layers:
        if rng.random() < chance:
            layer(canvas)
    if rng.random() < 0.5:
        distractors(canvas)
    if rng.random() < recipe.cloudy:
        clouds(canvas)
    if rng.random() < 0.08:
        veil(canvas)
    if rng.random() < 0.03:
        edge_of_data(canvas)
    canvas.tidy()
    return SceneSample(develop(rng, canvas.rgb, theme.pixel), canvas.instances, canvas.semantic, canvas.parents)


assert set(CLASSES) <= set(PALETTE), "every class needs a colour"
