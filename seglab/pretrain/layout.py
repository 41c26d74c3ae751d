"""Shapes for procedural scenes: polygons, ribbons and blobs as boolean masks."""

from __future__ import annotations

import cv2
import numpy as np

from seglab.pretrain.textures import Rng, noise

# Sub-pixel bits of OpenCV's fixed-point drawing: shapes keep fractional corners.
SHIFT = 4


def fill(size: int, points: np.ndarray) -> np.ndarray:
    """Filled polygon, points (N, 2) as (col, row) pixels; returns (size, size) bool."""
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [np.round((points - 0.5) * 2**SHIFT).astype(np.int32)], 1, shift=SHIFT)
    return canvas.astype(bool)


def ribbon(size: int, points: np.ndarray, width: float) -> np.ndarray:
    """Polyline of a width in pixels, points (N, 2) as (col, row); returns (size, size) bool."""
    canvas = np.zeros((size, size), np.uint8)
    cv2.polylines(canvas, [np.round(points * 2**SHIFT).astype(np.int32)], False, 1, max(1, round(width)), shift=SHIFT)
    return canvas.astype(bool)


def rectangle(rng: Rng, centre: np.ndarray, long: float, short: float, angle: float) -> np.ndarray:
    """Corners of a roof footprint (rectangle, L or T), (N, 2) as (col, row) pixels around `centre`."""
    a, b = long / 2, short / 2
    if rng.random() < 0.35:
        u, v = rng.uniform(-0.3, 0.5) * a, rng.uniform(-0.3, 0.5) * b
        corners = np.array([[-a, -b], [a, -b], [a, v], [u, v], [u, b], [-a, b]])
    else:
        corners = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return centre + corners @ turn


def ellipse(rng: Rng, centre: np.ndarray, radius: float) -> np.ndarray:
    """A wobbly closed curve of about `radius` pixels, (48, 2) as (col, row)."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    r = np.ones(48)
    for k in range(2, 6):
        r += rng.normal(0, 0.3 / k) * np.cos(k * t + rng.uniform(0, 6.3))
    stretch, angle = rng.uniform(0.4, 1), rng.uniform(0, np.pi)
    xy = np.stack([np.cos(t), stretch * np.sin(t)], 1) * (radius * np.clip(r, 0.3, 2))[:, None]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return centre + xy @ turn


def wander(rng: Rng, size: int, straight: float) -> np.ndarray:
    """A line across the whole scene, (N, 2) as (col, row); `straight` 1 is a ruler, 0 a meandering river."""
    steps = 40
    t = np.linspace(-0.15, 1.15, steps)
    drift = np.cumsum(rng.normal(0, 1, steps))
    drift = np.interp(np.arange(steps), np.arange(0, steps, 4), drift[::4])
    drift -= np.linspace(drift[0], drift[-1], steps)
    waves = drift / (np.abs(drift).max() + 1e-6) * (1 - straight) * rng.uniform(0.1, 0.35)
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4)
    xy = np.stack([(t - 0.5) * 1.5, offset + waves], 1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (xy @ turn + 0.5) * size


def blobs(rng: Rng, size: int, cell: float, share: float) -> np.ndarray:
    """Irregular regions that cover about `share` of the scene, (size, size) bool."""
    field = noise(rng, size, cell, 4, 0.45)
    return field > np.quantile(field, 1 - share)


def parcels(rng: Rng, size: int, smallest: float, angle: float) -> list[np.ndarray]:
    """Rectangular parcels by repeated splitting of a turned square; corner arrays (4, 2) as (col, row)."""
    half = 0.75 * size
    stack = [(-half, -half, half, half)]
    done: list[np.ndarray] = []
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    while stack:
        left, top, right, bottom = stack.pop()
        w, h = right - left, bottom - top
        stop = max(w, h) < smallest * 2 or (max(w, h) < smallest * 5 and rng.random() < 0.35)
        if stop and min(w, h) < max(w, h):
            corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
            done.append(corners @ turn + size / 2)
            continue
        cut = rng.uniform(0.3, 0.7)
        if w * rng.uniform(0.6, 1.6) > h:
            stack += [(left, top, left + cut * w, bottom), (left + cut * w, top, right, bottom)]
        else:
            stack += [(left, top, right, top + cut * h), (left, top + cut * h, right, bottom)]
    return done


def cells(rng: Rng, size: int, count: int) -> np.ndarray:
    """Voronoi regions with wavy borders as labels 1..count, (size, size) int32."""
    seeds = np.zeros((size, size), np.uint8)
    where = rng.integers(0, size, (count, 2))
    seeds[where[:, 0], where[:, 1]] = 1
    _, labels = cv2.distanceTransformWithLabels(1 - seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
    if rng.random() < 0.5:
        amount = rng.uniform(1, 8)
        axis = np.arange(size, dtype=np.float32)
        dx = axis[None, :] + amount * noise(rng, size, 40, 2)
        dy = axis[:, None] + amount * noise(rng, size, 40, 2)
        labels = cv2.remap(labels.astype(np.float32), dx, dy, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    return labels.astype(np.int32)
