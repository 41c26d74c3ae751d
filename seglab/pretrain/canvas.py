"""The scene being painted: colours, labels, and the brush that keeps both in step."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from seglab.pretrain.layout import Stencil, fill, ribbon
from seglab.pretrain.textures import Rng, Theme, coloured, material, sample

# Semantic class ids shared by procedural and real samples; 255 is "unknown, carries no class loss".
CLASSES: tuple[str, ...] = (
    "background",
    "building",
    "field",
    "road",
    "water",
    "forest",
    "grass",
    "bare",
    "cloud",
    "solar",
    "landslide",
    "object",
    "cleared",
)
UNKNOWN = 255
SMALLEST = 6
"""Objects with fewer visible pixels are not labelled."""

Skin = np.ndarray
"""What a brush lays down: (3,) one colour, or (rows, cols, 3) over the stencil's box."""


@dataclass
class Canvas:
    """A scene in the making."""

    rng: Rng
    size: int
    theme: Theme
    ground: str
    """Class of the land before anything is painted."""
    rgb: np.ndarray = field(init=False)
    instances: np.ndarray = field(init=False)
    semantic: np.ndarray = field(init=False)
    parents: dict[int, int] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        shape = (self.size, self.size)
        self.rgb = np.ascontiguousarray(material(self.rng, self.ground, shape, self.theme), np.float32)
        self.instances = np.zeros(shape, np.uint16)
        self.semantic = np.full(shape, CLASSES.index(self.ground), np.uint8)

    def skin(self, kind: str, stencil: Stencil, base: np.ndarray | None = None) -> Skin:
        """A fresh texture of a material for the stencil's box, with mean colour `base` if given."""
        return material(self.rng, kind, stencil.alpha.shape, self.theme, base)

    def tint(self, stencil: Stencil | None, skin: Skin, strength: float = 1.0) -> None:
        """Lay colour down without labelling anything (marks, stains, soft cover)."""
        if stencil is None:
            return
        alpha = stencil.alpha if strength == 1 else stencil.alpha * np.float32(strength)
        region = self.rgb[stencil.view]
        if skin.ndim < 3:
            region += (skin - region) * alpha[..., None]
        else:
            region[:] = cv2.blendLinear(np.asarray(skin, np.float32), region, alpha, 1 - alpha)

    def darken(self, stencil: Stencil | None, factor: np.ndarray | float) -> None:
        """Multiply colours where the stencil covers; `factor` may be one number, (3,) or an image of the box."""
        if stencil is not None:
            change = np.asarray(factor, np.float32) - np.float32(1)
            self.rgb[stencil.view] *= 1 + stencil.alpha[..., None] * change

    def paint(self, stencil: Stencil | None, kind: str, skin: Skin | None = None, nested: bool = False) -> int:
        """Lay a material down as one new object; returns its id, 0 when nothing is visible.

        Args:
            stencil: where; None is outside the scene.
            kind: a class name.
            skin: colours, a fresh texture of the class when None.
            nested: the new object lies inside the one it covers most, and stays a part of it.
        """
        if stencil is None:
            return 0
        inside = stencil.inside
        if np.count_nonzero(inside) < SMALLEST:
            return 0
        self.count += 1
        ids = self.instances[stencil.view]
        if nested:
            below = np.bincount(ids[inside])
            if below.size > 1 and below[1:].max() > 0.9 * below.sum():
                self.parents[self.count] = int(below[1:].argmax()) + 1
        self.tint(stencil, self.skin(kind, stencil) if skin is None else skin)
        ids[inside] = self.count
        self.semantic[stencil.view][inside] = CLASSES.index(kind)
        return self.count

    def paint_parts(self, stencil: Stencil, kind: str, skin: Skin | None = None, least: int = 30) -> None:
        """Lay a material down at once, each connected part of at least `least` pixels an object of its own."""
        self.tint(stencil, self.skin(kind, stencil) if skin is None else skin)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(stencil.inside.astype(np.uint8), connectivity=4)
        ids = np.zeros(count, np.uint16)
        order = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= least]
        ids[order] = np.arange(self.count + 1, self.count + 1 + len(order))
        self.count += len(order)
        new = ids[labels]
        self.instances[stencil.view][new > 0] = new[new > 0]
        self.semantic[stencil.view][new > 0] = CLASSES.index(kind)

    def shadow(self, outline: np.ndarray, length: float) -> None:
        """Cast the shadow of a thing `length` pixels long onto whatever lies there now."""
        if length < 0.5:
            return
        move = -length * np.array([np.cos(self.theme.sun), np.sin(self.theme.sun)])
        nexts = np.roll(outline, -1, 0)
        sides = [np.array([a, b, b + move, a + move]) for a, b in zip(outline, nexts, strict=True)]
        if len(outline) > 12:
            sides = [outline + 0.5 * move]
        self.darken(fill(self.size, outline + move, *sides), self.theme.shade)

    def line(self, points: np.ndarray, width: float, colour: np.ndarray | float, strength: float = 1.0) -> None:
        """Draw an unlabelled line, its width in pixels."""
        self.tint(ribbon(self.size, [points], width), np.float32(colour), strength)

    def tree(self, centre: np.ndarray, radius: float, label: bool) -> None:
        """A single crown with its shadow, its lit side towards the sun."""
        rng, theme = self.rng, self.theme
        count = 14 if radius < 10 else 40
        t = np.linspace(0, 2 * np.pi, count, endpoint=False)
        bumps = rng.standard_normal(count)
        reach = radius * (1 + (0.12 if radius < 10 else 0.07) * (bumps + np.roll(bumps, 1)))
        outline = centre + np.stack([np.cos(t), np.sin(t)], 1) * reach[:, None]
        self.shadow(outline, radius * rng.uniform(0.5, 1.2))
        stencil = fill(self.size, outline)
        if stencil is None:
            return
        rows, cols = np.ogrid[stencil.view]
        side = (cols - centre[0]) * np.cos(theme.sun) + (rows - centre[1]) * np.sin(theme.sun)
        light = 1 + np.float32(0.3 / radius) * side.astype(np.float32)
        if radius > 2:
            light += np.float32(0.15) * sample(rng, "fine", stencil.alpha.shape)
        if radius > 7:
            light += np.float32(0.2) * sample(rng, "crowns", stencil.alpha.shape, 22 / radius)
        skin = coloured(np.clip(light, 0.3, 2), theme.colour(rng, "forest"))
        if label:
            self.paint(stencil, "forest", skin, nested=True)
        else:
            self.tint(stencil, skin)

    def tidy(self) -> None:
        """Take the labels off objects of which too little is left to see."""
        seen = np.bincount(self.instances.ravel(), minlength=self.count + 1)
        gone = np.nonzero(seen < SMALLEST)[0]
        keep = np.arange(self.count + 1, dtype=np.uint16)
        keep[gone] = 0
        self.instances = keep[self.instances]
        lost = set(gone.tolist())
        self.parents = {child: p for child, p in self.parents.items() if child not in lost and p not in lost}
