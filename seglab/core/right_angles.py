"""Outlines of buildings with right angles.

The directions of a simplified outline's edges, weighted by their lengths and taken modulo a quarter turn, have one mean
where a building stands square. Turned by it, edges run along rows or columns; each run of edges of one kind becomes a
line at its mean place, and lines that follow each other meet in a corner. All lines then move out or in by one distance
that gives the area back. The idea is that of the many regularisations
of building footprints, for example S. Wei, S. Ji and M. Lu, Toward automatic building footprint delineation from aerial
images using CNN and regularization, IEEE TGRS 58 (2020); the mean direction is a circular mean as in N. I. Fisher,
Statistical analysis of circular data (1993), of four times the angle.
"""

from __future__ import annotations

import numpy as np
import shapely
from shapely.affinity import rotate
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

TOLERANCE = 1.5
"""Pixels: corners of a pixel outline that lie so close to a straight edge are steps of it."""
SQUARE = 0.6
"""An outline whose edges agree less on a direction (1 all of them, 0 any direction alike) has no right angles."""
LEAST_IOU = 0.85
"""With the outline as it was: less, and it was no building with right angles."""
MOST_CHANGE = 0.03
"""Of the area, as a share of it."""
SHORTEST = 2.0
"""Pixels: shorter edges are noise, and go with their neighbours."""


def with_right_angles(polygons: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Outlines with right angles, where they had about such ones; others stay as they are.

    Borders that two of them share are no longer shared.

    Args:
        polygons: (N,) in pixels, on pixel edges.
        tolerance: see TOLERANCE.

    Returns:
        (N,) valid polygons.
    """
    return np.array([_squared(polygon, tolerance) for polygon in polygons], dtype=object)


def _squared(polygon: Polygon, tolerance: float) -> Polygon:
    shell = np.asarray(polygon.exterior.simplify(tolerance).coords)[:-1]
    turn, agreement = _direction(shell)
    if agreement < SQUARE:
        return polygon
    centre = polygon.centroid
    upright = rotate(polygon, -turn, origin=centre, use_radians=True)
    rings = [_stepped(ring, tolerance) for ring in (upright.exterior, *upright.interiors)]
    if rings[0] is None:
        return polygon
    made = rotate(Polygon(rings[0], [ring for ring in rings[1:] if ring is not None]), turn, centre, use_radians=True)
    if not made.is_valid:
        return polygon
    made = made.buffer((polygon.area - made.area) / made.length, join_style="mitre")
    return made if _is_like(made, polygon) else polygon


def _is_like(made: BaseGeometry, polygon: Polygon) -> bool:
    """Whether it is one valid polygon, of about the same area and place."""
    return (
        isinstance(made, Polygon)
        and made.is_valid
        and abs(made.area - polygon.area) <= MOST_CHANGE * polygon.area
        and made.intersection(polygon).area >= LEAST_IOU * made.union(polygon).area
    )


def _direction(corners: np.ndarray) -> tuple[float, float]:
    """Mean direction of a ring's edges modulo a quarter turn, radians, and how far they agree, 0 to 1.

    Args:
        corners: (N, 2), the first one not repeated.
    """
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*edges.T)
    mean = (lengths * np.exp(4j * np.arctan2(edges[:, 1], edges[:, 0]))).sum() / lengths.sum()
    return float(np.angle(mean)) / 4, float(abs(mean))


def _stepped(ring: shapely.LinearRing, tolerance: float) -> np.ndarray | None:
    """(M, 2) corners of a ring whose edges run along rows and columns; None where less than a rectangle is left.

    Args:
        ring: that stands upright already.
        tolerance: see TOLERANCE.
    """
    corners = np.asarray(ring.simplify(tolerance).coords)[:-1]
    edges = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(*edges.T)
    level = np.abs(edges[:, 0]) >= np.abs(edges[:, 1])  # along a row
    middles = corners + edges / 2
    places = np.where(level, middles[:, 1], middles[:, 0])
    runs = _merged(list(zip(level.tolist(), places.tolist(), lengths.tolist(), strict=True)))
    while len(runs) > 4 and min(run[2] for run in runs) < SHORTEST:
        runs.pop(min(range(len(runs)), key=lambda i: runs[i][2]))
        runs = _merged(runs)
    if len(runs) < 4:
        return None
    following = runs[1:] + runs[:1]
    return np.array([(b[1], a[1]) if a[0] else (a[1], b[1]) for a, b in zip(runs, following, strict=True)])


def _merged(runs: list[tuple[bool, float, float]]) -> list[tuple[bool, float, float]]:
    """Edges (along a row or not, place, length) of a ring, with those of one kind that follow each other made one."""
    start = next((i for i in range(len(runs)) if runs[i][0] != runs[i - 1][0]), None)
    if start is None:
        return []
    found: list[tuple[bool, float, float]] = []
    for level, place, length in runs[start:] + runs[:start]:
        if found and found[-1][0] == level:
            _, before, weight = found[-1]
            total = weight + length
            found[-1] = (level, (before * weight + place * length) / total, total)
        else:
            found.append((level, place, length))
    return found
