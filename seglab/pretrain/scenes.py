"""Procedural satellite scenes: land cover with shape, texture and context, and exact labels for every object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from seglab.pretrain.layout import blobs, cells, ellipse, fill, parcels, rectangle, ribbon, wander
from seglab.pretrain.textures import PALETTE, Rng, grain, material, noise

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


@dataclass
class Canvas:
    """The scene being painted: colours, labels and who lies in whom."""

    rng: Rng
    size: int
    pixel: float
    """Coarseness of the ground resolution, 1 (sub-metre) to about 20."""
    rgb: np.ndarray = field(init=False)
    instances: np.ndarray = field(init=False)
    semantic: np.ndarray = field(init=False)
    parents: dict[int, int] = field(default_factory=dict)
    count: int = 0
    _stock: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind = ("background", "grass", "bare", "forest", "field", "water")[
            self.rng.choice(6, p=[0.35, 0.25, 0.2, 0.1, 0.07, 0.03])
        ]
        self.rgb = material(self.rng, kind, self.size, self.pixel)
        self.instances = np.zeros((self.size, self.size), np.uint16)
        name = kind if kind in CLASSES else "background"
        self.semantic = np.full((self.size, self.size), CLASSES.index(name), np.uint8)

    def paint(self, mask: np.ndarray, kind: str, nested: bool = False, soft: float = 0.0) -> int:
        """Lay a material over `mask` as one new object; returns its id, 0 when nothing is visible.

        Args:
            mask: (size, size) bool.
            kind: a class name that is a key of PALETTE.
            nested: the new object lies inside the one it covers most, and stays a part of it.
            soft: blur of the edge in pixels (clouds, forest edges).
        """
        if np.count_nonzero(mask) < 6:
            return 0
        self.count += 1
        if nested:
            below = np.bincount(self.instances[mask].ravel())
            if below.size > 1 and below[1:].max() > 0.9 * below.sum():
                self.parents[self.count] = int(below[1:].argmax()) + 1
        rows, cols = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        view = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        part = mask[view]
        patch = self.texture(kind)[view]
        if soft > 0:
            alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), soft)[..., None]
            # Clouds let a trace of the ground through.
            whole = self.texture(kind) if kind != "cloud" else 0.95 + 0.03 * self.rgb
            self.rgb = self.rgb * (1 - alpha) + whole * alpha
        else:
            self.rgb[view][part] = patch[part]
        self.instances[mask] = self.count
        self.semantic[mask] = CLASSES.index(kind)
        return self.count

    def texture(self, kind: str) -> np.ndarray:
        """A full-size texture of a material, a fresh brightness every time, from a small stock per scene."""
        stock = self._stock.setdefault(kind, [])
        limit = 6 if kind in ("field", "building") else 2
        if len(stock) < limit:
            stock.append(material(self.rng, kind, self.size, self.pixel))
            return stock[-1]
        return stock[self.rng.integers(limit)] * np.float32(self.rng.uniform(0.82, 1.2))

    def shadow(self, mask: np.ndarray, dx: float, dy: float, strength: float) -> None:
        """Darken the ground where `mask`, shifted by (dx, dy) pixels, falls outside `mask`."""
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = cv2.warpAffine(mask.astype(np.uint8), shift, (self.size, self.size)).astype(bool)
        self.rgb[moved & ~mask] *= strength


def farmland(canvas: Canvas) -> None:
    """Fields as turned rectangles or wavy cells, with hedges, some with a pond or a shed inside."""
    rng, size = canvas.rng, canvas.size
    smallest = rng.uniform(12, 70)
    if rng.random() < 0.65:
        shapes = [fill(size, p) for p in parcels(rng, size, smallest, rng.uniform(0, np.pi / 2))][:140]
    else:
        labels = cells(rng, size, int(np.clip((size / smallest / 1.6) ** 2, 4, 90)))
        shapes = [labels == i for i in range(1, int(labels.max()) + 1)]
    gap = int(rng.integers(0, 4))
    kept = rng.uniform(0.5, 1.0)
    for shape in shapes:
        if rng.random() > kept:
            continue
        if gap:
            shape = cv2.erode(shape.astype(np.uint8), np.ones((gap + 1, gap + 1), np.uint8)).astype(bool)
        kind = rng.choice(["field", "grass", "bare", "forest", "water"], p=[0.7, 0.13, 0.07, 0.07, 0.03])
        if canvas.paint(shape, str(kind)) and rng.random() < 0.1:
            inside = np.argwhere(shape)
            centre = inside[rng.integers(len(inside))][::-1]
            blob = fill(size, ellipse(rng, centre, rng.uniform(4, 14))) & shape
            canvas.paint(blob, str(rng.choice(["water", "forest", "bare"])), nested=True)


def woods(canvas: Canvas) -> None:
    """Forest, grass or bare ground in irregular patches."""
    rng, size = canvas.rng, canvas.size
    for _ in range(int(rng.integers(1, 4))):
        kind = str(rng.choice(["forest", "grass", "bare"], p=[0.6, 0.2, 0.2]))
        mask = blobs(rng, size, rng.uniform(30, 220), rng.uniform(0.05, 0.45))
        count, labels = cv2.connectedComponents(mask.astype(np.uint8))
        order = np.argsort(-np.bincount(labels.ravel())[1:])[:12] + 1
        for i in order[: count - 1]:
            canvas.paint(labels == i, kind)


def waters(canvas: Canvas) -> None:
    """Lakes, ponds, a river, a coast."""
    rng, size = canvas.rng, canvas.size
    what = rng.random()
    if what < 0.35:
        canvas.paint(ribbon(size, wander(rng, size, rng.uniform(0, 0.6)), rng.uniform(3, 40)), "water")
    if what > 0.25:
        for _ in range(int(rng.integers(1, 9))):
            canvas.paint(fill(size, ellipse(rng, rng.uniform(0, size, 2), size * 10 ** rng.uniform(-2, -0.7))), "water")
    if rng.random() < 0.15:
        canvas.paint(blobs(rng, size, size, rng.uniform(0.1, 0.5)), "water")


def roads(canvas: Canvas) -> None:
    """A few roads across everything."""
    rng, size = canvas.rng, canvas.size
    width = rng.uniform(2, 16)
    for _ in range(int(rng.integers(1, 4))):
        line = wander(rng, size, rng.uniform(0.6, 1))
        canvas.paint(ribbon(size, line, width * rng.uniform(0.6, 1.4)), "road")


def town(canvas: Canvas) -> None:
    """Blocks between straight streets, roofs in rows with shadows, cars, trees, panels."""
    rng, size = canvas.rng, canvas.size
    angle = rng.uniform(0, np.pi / 2)
    block, street = rng.uniform(60, 200), rng.uniform(4, 18)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    reach = np.arange(-size, size, block) + rng.uniform(0, block)
    streets = np.zeros((size, size), bool)
    for at in reach:
        for ends in (
            np.array([[at, -2 * size], [at, 2 * size]]),
            np.array([[-2 * size, at], [2 * size, at]]),
        ):
            if rng.random() < 0.8:
                streets |= ribbon(size, ends @ turn + size / 2, street)
    canvas.paint(streets, "road")
    roof = rng.uniform(8, 50)
    step = roof * rng.uniform(1.15, 2.2)
    light, dark = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.75)
    height = rng.uniform(0, 0.4) * roof
    for x in np.arange(-0.7 * size, 0.7 * size, step):
        for y in np.arange(-0.7 * size, 0.7 * size, step):
            centre = np.array([x, y]) @ turn + size / 2 + rng.normal(0, 0.08 * step, 2)
            if (centre < -roof).any() or (centre > size + roof).any() or rng.random() < 0.25:
                continue
            long, short = roof * rng.uniform(0.7, 1.25), roof * rng.uniform(0.45, 0.95)
            tilt = angle + (rng.normal(0, 0.1) if rng.random() < 0.8 else rng.uniform(0, np.pi))
            mask = fill(size, rectangle(rng, centre, long, short, tilt + (rng.random() < 0.5) * np.pi / 2)) & ~streets
            canvas.shadow(mask, height * np.cos(light), height * np.sin(light), dark)
            house = canvas.paint(mask, "building")
            if house:
                roof_ridge(canvas, mask, centre, tilt)
                if roof > 18 and rng.random() < 0.12:
                    panel = fill(size, rectangle(rng, centre, 0.5 * long, 0.4 * short, tilt)) & mask
                    canvas.paint(panel, "solar", nested=True)


def roof_ridge(canvas: Canvas, mask: np.ndarray, centre: np.ndarray, angle: float) -> None:
    """Make one side of a roof lighter than the other, so that a roof is not one flat colour."""
    rng = canvas.rng
    if rng.random() < 0.6:
        rows, cols = np.nonzero(mask)
        side = (cols - centre[0]) * np.sin(angle) + (rows - centre[1]) * np.cos(angle) > 0
        canvas.rgb[rows[side], cols[side]] *= np.float32(rng.uniform(0.65, 0.95))


def panels(canvas: Canvas) -> None:
    """Rows of solar panels on open ground."""
    rng, size = canvas.rng, canvas.size
    angle = rng.normal(0, 0.4)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for _ in range(int(rng.integers(1, 4))):
        origin = rng.uniform(0.1 * size, 0.9 * size, 2)
        long, short = rng.uniform(20, 110), rng.uniform(3, 16)
        pitch = short * rng.uniform(1.2, 2.2)
        for row in range(int(rng.integers(1, 9))):
            centre = origin + np.array([rng.normal(0, 2), row * pitch]) @ turn
            box = np.array([[-long, -short], [long, -short], [long, short], [-long, short]]) / 2
            mask = fill(size, centre + box @ turn)
            canvas.shadow(mask, 0, 0.3 * short, 0.6)
            canvas.paint(mask, "solar")


def slides(canvas: Canvas) -> None:
    """Landslides: bare tongues with streaks downhill."""
    rng, size = canvas.rng, canvas.size
    for _ in range(int(rng.integers(1, 5))):
        points = ellipse(rng, rng.uniform(0, size, 2), size * 10 ** rng.uniform(-1.4, -0.6))
        mask = fill(size, points)
        edge = 3 * noise(rng, size, 12, 3)
        mask = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3) > 0.5 + 0.1 * edge
        canvas.paint(mask, "landslide", soft=rng.uniform(0, 1.5) if rng.random() < 0.3 else 0.0)


def clutter(canvas: Canvas) -> None:
    """Small things anywhere: cars, tanks, single trees, ponds."""
    rng, size = canvas.rng, canvas.size
    for _ in range(int(rng.integers(3, 30))):
        centre = rng.uniform(0, size, 2)
        kind = str(rng.choice(["object", "forest", "building", "water", "bare"], p=[0.4, 0.25, 0.15, 0.1, 0.1]))
        radius = rng.uniform(2, 12)
        if kind in ("object", "building"):
            shape = rectangle(rng, centre, 2 * radius, radius * rng.uniform(0.7, 2), rng.uniform(0, np.pi))
        else:
            shape = ellipse(rng, centre, radius)
        mask = fill(size, shape)
        canvas.shadow(mask, 0.3 * radius, 0.3 * radius, rng.uniform(0.5, 0.9))
        canvas.paint(mask, kind, nested=True)


def clouds(canvas: Canvas) -> None:
    """Bright clouds with soft edges, and their shadows."""
    rng, size = canvas.rng, canvas.size
    mask = blobs(rng, size, rng.uniform(30, 200), rng.uniform(0.03, 0.4))
    canvas.shadow(mask, rng.uniform(-40, 40), rng.uniform(-40, 40), rng.uniform(0.4, 0.9))
    soft = rng.uniform(0.5, 3)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    for i in (np.argsort(-np.bincount(labels.ravel())[1:])[:15] + 1)[: count - 1]:
        canvas.paint(labels == i, "cloud", soft=soft)


Layer = Callable[[Canvas], None]
# Recipes: (weight, layers each with the chance that it is there), painted in order.
RECIPES: tuple[tuple[float, tuple[tuple[float, Layer], ...]], ...] = (
    (3.0, ((1.0, farmland), (0.5, woods), (0.4, waters), (0.6, roads), (0.3, clutter), (0.12, clouds))),
    (3.0, ((0.4, woods), (1.0, town), (0.15, waters), (0.3, roads), (0.5, clutter), (0.05, clouds))),
    (2.0, ((1.0, woods), (0.8, waters), (0.4, roads), (0.4, clutter), (0.3, clouds))),
    (1.0, ((0.8, woods), (0.2, farmland), (1.0, slides), (0.4, roads), (0.2, clutter))),
    (0.8, ((0.5, woods), (0.3, farmland), (0.4, roads), (1.0, panels), (0.3, clutter))),
    (0.8, ((0.6, woods), (0.4, farmland), (0.3, waters), (1.0, clouds))),
)


def sensor(rng: Rng, rgb: np.ndarray) -> np.ndarray:
    """What the camera does: blur, haze, contrast, colour cast, vignette and noise; float 0..1 to uint8."""
    size = rgb.shape[0]
    if rng.random() < 0.6:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.3, 1.3))
    if rng.random() < 0.25:
        veil = np.clip(rng.uniform(0, 0.35) + 0.08 * noise(rng, size, size / 2, 2), 0, 0.6)[..., None]
        rgb = rgb * (1 - veil) + np.float32(rng.uniform(0.6, 0.95)) * veil
    low, high = np.percentile(rgb[::4, ::4], (1, 99))
    if rng.random() < 0.6:
        rgb = (rgb - low * rng.uniform(0, 1)) / max(high - low, 0.15) * rng.uniform(0.6, 1.1)
    rgb = np.clip(rgb, 0, 1) ** rng.uniform(0.7, 1.4)
    level = rng.uniform(0, 0.03)
    rgb = rgb + level * np.stack([grain(rng, size, rng.uniform(0, 0.8)) for _ in range(3)], -1)
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def scene(seed: int, size: int = 384) -> SceneSample:
    """Make one scene; the same seed and size give the same scene.

    Args:
        seed: any non-negative integer.
        size: rows and columns, pixels.

    Returns:
        A SceneSample with every painted object labelled.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(rng, size, float(10 ** rng.uniform(0, 1.2)))
    weights = np.array([weight for weight, _ in RECIPES])
    _, layers = RECIPES[rng.choice(len(RECIPES), p=weights / weights.sum())]
    for chance, layer in layers:
        if rng.random() < chance:
            layer(canvas)
    rgb = sensor(rng, np.clip(canvas.rgb, 0, 1.2).astype(np.float32))
    return SceneSample(rgb, canvas.instances, canvas.semantic, canvas.parents)


assert set(CLASSES) - {"cleared"} <= set(PALETTE), "every painted class needs a colour"
