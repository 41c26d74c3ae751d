"""Shapes for procedural scenes: outlines as (N, 2) points (col, row) in pixels, and their anti-aliased coverage."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from seglab.pretrain.textures import Rng, noise, sample

# Sub-pixel bits of OpenCV's fixed-point drawing: shapes keep fractional corners.
SHIFT = 4
MOST_PARCELS = 190
"""A limit on the parcels of one system, for speed."""


@dataclass(frozen=True)
class Stencil:
    """Coverage of a shape inside its bounding box: natural one-pixel transitions at the border."""

    alpha: np.ndarray
    """(rows, cols) float32, 0..1."""
    top: int
    left: int

    @property
    def view(self) -> tuple[slice, slice]:
        """The bounding box as an index into the scene."""
        return (
            slice(self.top, self.top + self.alpha.shape[0]),
            slice(self.left, self.left + self.alpha.shape[1]),
        )

    @property
    def inside(self) -> np.ndarray:
        """(rows, cols) bool: pixels that are mostly covered."""
        return self.alpha >= 0.5

    def within(self, other: Stencil) -> Stencil:
        """This shape cut to another one's."""
        clip = np.zeros_like(self.alpha)
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + self.alpha.shape[0], other.top + other.alpha.shape[0])
        right = min(self.left + self.alpha.shape[1], other.left + other.alpha.shape[1])
        if bottom > top and right > left:
            clip[top - self.top : bottom - self.top, left - self.left : right - self.left] = other.alpha[
                top - other.top : bottom - other.top, left - other.left : right - other.left
            ]
        return Stencil(np.minimum(self.alpha, clip), self.top, self.left)

    def roughen(self, rng: Rng, scale: float, amount: float, sharp: float) -> Stencil:
        """The same shape with a ragged border.

        Args:
            rng: random generator.
            scale: width of the zone in which the border runs, pixels.
            amount: how ragged, about 0 to 1.
            sharp: slope of the new border.
        """
        near = cv2.GaussianBlur(self.alpha, (0, 0), scale, borderType=cv2.BORDER_CONSTANT)
        teeth = sample(rng, "mottle", self.alpha.shape, rng.uniform(0.5, 2)) * near * (1 - near)
        ragged = (near + np.float32(amount) * teeth - np.float32(0.5)) * np.float32(sharp) + np.float32(0.5)
        return Stencil(np.clip(ragged, 0, 1), self.top, self.left)

    def soften(self, blur: float) -> Stencil:
        """The same shape with its border blurred by `blur` pixels."""
        return Stencil(cv2.GaussianBlur(self.alpha, (0, 0), blur), self.top, self.left) if blur > 0.2 else self


def box(size: int, points: np.ndarray, margin: float) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the part of the scene that points reach, None when there is none."""
    (left, top), (right, bottom) = points.min(0), points.max(0)
    left, top = max(0, int(left - margin)), max(0, int(top - margin))
    right, bottom = min(size, int(right + margin) + 1), min(size, int(bottom + margin) + 1)
    return (left, top, right, bottom) if right - left > 0 and bottom - top > 0 else None


def fixed(points: np.ndarray, left: int, top: int, factor: int) -> np.ndarray:
    """Points as OpenCV's fixed-point coordinates in a box enlarged `factor` times."""
    moved = ((points - (left, top)) * factor - 0.5) * 2**SHIFT
    return np.rint(moved).astype(np.int32)


def covered(fine: np.ndarray, factor: int, left: int, top: int) -> Stencil:
    """Coverage from an enlarged drawing."""
    shape = (fine.shape[1] // factor, fine.shape[0] // factor)
    alpha = cv2.resize(fine, shape, interpolation=cv2.INTER_AREA)
    return Stencil(alpha.astype(np.float32) * np.float32(1 / 255), top, left)


def fill(size: int, *polygons: np.ndarray, margin: float = 1) -> Stencil | None:
    """Coverage of the union of polygons, with a margin of pixels around; None when it lies outside the scene."""
    where = box(size, np.concatenate(polygons) if len(polygons) > 1 else polygons[0], margin)
    if where is None:
        return None
    left, top, right, bottom = where
    factor = 4 if (right - left) * (bottom - top) < 10000 else 2
    fine = np.zeros(((bottom - top) * factor, (right - left) * factor), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(fine, [fixed(polygon, left, top, factor)], 255, shift=SHIFT)
    return covered(fine, factor, left, top)


def ribbon(size: int, lines: list[np.ndarray], width: float) -> Stencil | None:
    """Coverage of polylines of a width in pixels; None when they lie outside the scene."""
    where = box(size, np.concatenate(lines), width / 2 + 1)
    if where is None:
        return None
    left, top, right, bottom = where
    factor = 4 if width < 4 else 2
    fine = np.zeros(((bottom - top) * factor, (right - left) * factor), np.uint8)
    drawn = [fixed(line, left, top, factor) for line in lines]
    cv2.polylines(fine, drawn, False, 255, max(1, round(width * factor)), shift=SHIFT)
    return covered(fine, factor, left, top)


def level(field: np.ndarray, threshold: float) -> Stencil:
    """Where a smooth (size, size) field exceeds a threshold, with a border one pixel wide."""
    gx, gy = cv2.Sobel(field, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(field, cv2.CV_32F, 0, 1, scale=0.125)
    slope = cv2.magnitude(gx, gy) + np.float32(1e-4)
    return Stencil(np.clip((field - np.float32(threshold)) / slope + np.float32(0.5), 0, 1), 0, 0)


def blobs(
    rng: Rng,
    size: int,
    cell: float,
    share: float,
    octaves: int = 4,
    gain: float = 0.5,
    rough: float = 0.0,
    teeth: str = "mottle",
) -> Stencil:
    """Irregular regions that cover about `share` of the scene.

    Args:
        rng: random generator.
        size: side of the scene, pixels.
        cell: about the size of a region, pixels.
        share: part of the scene covered.
        octaves: detail of the border, see `noise`.
        gain: roughness of the border, see `noise`.
        rough: how far the border follows a fine texture, 0 not at all.
        teeth: the stock tile of that texture.
    """
    field = noise(rng, size, cell, octaves, gain)
    if rough:
        field += np.float32(rough) * sample(rng, teeth, (size, size), rng.uniform(0.6, 2))
    return level(field, float(np.quantile(field[::3, ::3], 1 - share)))


def rotation(angle: float) -> np.ndarray:
    """(2, 2) matrix that turns points given as rows by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def rectangle(centre: np.ndarray, long: float, short: float, angle: float) -> np.ndarray:
    """Corners of a turned rectangle, (4, 2)."""
    a, b = long / 2, short / 2
    return centre + np.array([[-a, -b], [a, -b], [a, b], [-a, b]]) @ rotation(angle)


@dataclass(frozen=True)
class Frame:
    """Length, width (pixels), angle (radians) and centre of a roughly rectangular outline."""

    centre: np.ndarray
    long: float
    short: float
    angle: float

    @classmethod
    def of(cls, outline: np.ndarray) -> Frame:
        """Measure a four-cornered outline."""
        u, v = outline[1] - outline[0], outline[3] - outline[0]
        long, short = float(np.hypot(*u)), float(np.hypot(*v))
        if long < short:
            u, long, short = v, short, long
        return cls(outline.mean(0), long, short, float(np.arctan2(u[1], u[0])))

    def at(self, along: float, across: float) -> np.ndarray:
        """The point at fractions (-0.5..0.5) of the length and width."""
        return self.centre + np.array([along * self.long, across * self.short]) @ rotation(self.angle)


def footprint(rng: Rng, centre: np.ndarray, long: float, short: float, angle: float) -> np.ndarray:
    """Corners of a building: a rectangle, or an L, T, U or stepped shape, around `centre`."""
    shape, a, b = rng.random(), long / 2, short / 2
    if shape < 0.55:
        corners = [[-a, -b], [a, -b], [a, b], [-a, b]]
    elif shape < 0.78:
        u, v = rng.uniform(-0.4, 0.6) * a, rng.uniform(-0.3, 0.6) * b
        corners = [[-a, -b], [a, -b], [a, v], [u, v], [u, b], [-a, b]]
    elif shape < 0.9:
        u, w, v = rng.uniform(-0.7, -0.2) * a, rng.uniform(0.1, 0.6) * a, rng.uniform(-0.2, 0.6) * b
        corners = [[-a, -b], [a, -b], [a, v], [w, v], [w, b], [u, b], [u, v], [-a, v]]
    else:
        u, w, v = rng.uniform(-0.6, -0.2) * a, rng.uniform(0.2, 0.6) * a, rng.uniform(-0.4, 0.5) * b
        corners = [[-a, -b], [a, -b], [a, b], [w, b], [w, v], [u, v], [u, b], [-a, b]]
    return centre + np.array(corners) @ rotation(angle)


def ellipse(rng: Rng, centre: np.ndarray, radius: float, rough: float = 0.3) -> np.ndarray:
    """A wobbly closed curve of about `radius` pixels, (40, 2); `rough` 0 is an ellipse."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    orders = np.arange(2, 10)[:, None]
    weights = rng.normal(0, rough, (8, 1)) / orders
    r = 1 + (weights * np.cos(orders * t + rng.uniform(0, 6.3, (8, 1)))).sum(0)
    xy = np.stack([np.cos(t), rng.uniform(0.4, 1) * np.sin(t)], 1) * (radius * np.clip(r, 0.3, 2))[:, None]
    return centre + xy @ rotation(rng.uniform(0, np.pi))


def disc(centre: np.ndarray, radius: float) -> np.ndarray:
    """A circle, (24, 2)."""
    t = np.linspace(0, 2 * np.pi, 24 if radius < 30 else 72, endpoint=False)
    return centre + radius * np.stack([np.cos(t), np.sin(t)], 1)


def wander(rng: Rng, size: int, straight: float) -> np.ndarray:
    """A line across the whole scene, (N, 2); `straight` 1 is a ruler, 0 a meandering river."""
    steps = 64
    t = np.linspace(-0.15, 1.15, steps)
    coarse = np.cumsum(rng.normal(0, 1, steps // 4 + 1))
    drift = cv2.resize(coarse[None].astype(np.float32), (steps, 1), interpolation=cv2.INTER_CUBIC)[0]
    drift -= np.linspace(drift[0], drift[-1], steps)
    waves = drift / (np.abs(drift).max() + 1e-6) * (1 - straight) * rng.uniform(0.1, 0.4)
    xy = np.stack([(t - 0.5) * 1.5, rng.uniform(-0.4, 0.4) + waves], 1)
    return (xy @ rotation(rng.uniform(0, np.pi)) + 0.5) * size


def tongue(line: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Outline of a band along a line, its full width given at every point, (2N, 2)."""
    ahead = np.gradient(line, axis=0)
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / (np.hypot(*ahead.T) + 1e-6)[:, None]
    offset = normal * (widths / 2)[:, None]
    return np.concatenate([line + offset, (line - offset)[::-1]])


def densify(points: np.ndarray, step: float) -> np.ndarray:
    """A closed outline with extra points so that none are more than about `step` pixels apart."""
    edges = np.concatenate([points[1:], points[:1]]) - points
    counts = np.maximum(1, (np.hypot(edges[:, 0], edges[:, 1]) / step).astype(int))
    of = np.repeat(np.arange(len(points)), counts)
    along = (np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[of]
    return points[of] + edges[of] * along[:, None]


@dataclass(frozen=True)
class Warp:
    """A smooth displacement of the plane: outlines that share a border keep sharing it."""

    dx: np.ndarray
    dy: np.ndarray

    @classmethod
    def draw(cls, rng: Rng, size: int, cell: float, amount: float) -> Warp:
        """A random warp with features of `cell` pixels that moves points by about `amount` pixels."""
        return cls(amount * noise(rng, size, cell, 2), amount * noise(rng, size, cell, 2))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The displaced outline, with extra points so that its sides can bend."""
        dense = densify(points, 8)
        cols, rows = np.clip(dense.astype(int), 0, len(self.dx) - 1).T
        return dense + np.stack([self.dx[rows, cols], self.dy[rows, cols]], 1)


def parcels(
    rng: Rng, size: int, smallest: float, angle: float, strip: float, centre: np.ndarray | None = None
) -> list[np.ndarray]:
    """Parcels by repeated splitting of a turned square, (4, 2) each; about MOST_PARCELS at most.

    Args:
        rng: random generator.
        size: side of the scene, pixels.
        smallest: about the least side of a parcel, pixels.
        angle: turn of the whole system, radians.
        strip: 0 for squarish parcels, 1 for long strips.
        centre: of the square when small parcels do not fill the scene, its middle when None.
    """
    half = min(0.75 * size, 0.8 * smallest * MOST_PARCELS**0.5)
    middle = np.full(2, size / 2) if centre is None else centre
    stack, done = [(-half, -half, half, half)], []
    turn = rotation(angle)
    while stack:
        left, top, right, bottom = stack.pop()
        w, h = right - left, bottom - top
        if max(w, h) < smallest * 2 or (max(w, h) < smallest * 5 and rng.random() < 0.3):
            corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ turn + middle
            if (corners.max(0) > 0).all() and (corners.min(0) < size).all():
                done += slices(rng, corners, smallest) if rng.random() < strip else [corners]
            continue
        cut = rng.uniform(0.3, 0.7)
        if w * rng.uniform(0.6, 1.6) > h:
            stack += [(left, top, left + cut * w, bottom), (left + cut * w, top, right, bottom)]
        else:
            stack += [(left, top, right, top + cut * h), (left, top + cut * h, right, bottom)]
    return done


def slices(rng: Rng, corners: np.ndarray, width: float) -> list[np.ndarray]:
    """A four-cornered parcel cut into side-by-side strips of unequal widths."""
    a, b, c, d = corners
    if np.hypot(*(b - a)) < np.hypot(*(d - a)):
        a, b, c, d = b, c, d, a
    count = int(np.clip(np.hypot(*(b - a)) / (width * rng.uniform(0.3, 0.8)), 2, 14))
    cuts = np.concatenate([[0], np.cumsum(rng.uniform(0.5, 1.5, count))])
    pairs = pairwise(cuts / cuts[-1])
    return [np.array([a + (b - a) * s, a + (b - a) * e, d + (c - d) * e, d + (c - d) * s]) for s, e in pairs]


def cells(rng: Rng, size: int, count: int) -> list[np.ndarray]:
    """Voronoi regions of about `count` random seeds, an outline each."""
    margin = size // 4
    plane = cv2.Subdiv2D((-margin, -margin, size + 2 * margin, size + 2 * margin))
    plane.insert(rng.uniform(-margin, size + margin - 1, (count * 2, 2)).astype(np.float32).tolist())
    facets, _ = plane.getVoronoiFacetList([])
    return [f for f in facets if (f.max(0) > 0).all() and (f.min(0) < size).all() and np.abs(f).max() < 4 * size]


def inset(points: np.ndarray, gap: float) -> np.ndarray:
    """A roughly convex outline pulled in by about `gap` pixels on every side."""
    centre = points.mean(0)
    away = points - centre
    reach = np.hypot(*away.T)[:, None] + 1e-6
    return centre + away * np.maximum(1 - 1.3 * gap / reach, 0.1)
