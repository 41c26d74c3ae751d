"""Outlines of a map made simpler, with the borders that two regions share still shared."""

from __future__ import annotations

import numpy as np
import shapely


def simplified(polygons: np.ndarray, tolerance: float) -> np.ndarray:
    """Simpler outlines without gaps and overlaps between them, by Visvalingam and Whyatt's algorithm.

    Corners go in the order of the triangles that they make with their neighbours, smallest first; those where three
    outlines meet stay.

    Args:
        polygons: (N,) on pixel edges, that do not overlap.
        tolerance: side of a square as large as the largest triangle that goes, pixels; 0 changes nothing.

    Returns:
        (N,) valid polygons; those that share a border have the same corners along it.
    """
    if tolerance <= 0 or len(polygons) == 0:
        return polygons
    return shapely.coverage_simplify(with_shared_corners(polygons), tolerance)


def with_shared_corners(polygons: np.ndarray) -> np.ndarray:
    """Polygons on pixel edges with a corner wherever another one of them has a corner on their outline.

    Without that, a straight edge beside two neighbours would be theirs in two pieces and its own in one.

    Args:
        polygons: (N,) with whole numbers as coordinates.
    """
    if len(polygons) == 0:
        return polygons
    kind, corners, (rings, owners) = shapely.to_ragged_array(polygons)
    for axis in (0, 1):  # edges along rows, then along columns
        corners, rings = _filled(corners, rings, axis)
    return shapely.from_ragged_array(kind, corners, (rings, owners))


def _filled(corners: np.ndarray, rings: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners and rings (as shapely's ragged arrays) with the corners that lie on edges along an axis."""
    moving, fixed = corners.astype(np.int64)[:, (axis, 1 - axis)].T
    span = int(moving.max()) + 1
    place = fixed * span + moving
    known = np.unique(place)
    is_end = fixed[1:] == fixed[:-1]
    is_end[rings[1:-1] - 1] = False  # the first corner of a ring ends none
    ends = np.flatnonzero(is_end) + 1
    here, there = np.searchsorted(known, place[ends]), np.searchsorted(known, place[ends - 1])
    count = np.abs(here - there) - 1
    more = np.zeros(len(corners), dtype=np.int64)
    more[ends] = count
    new = np.arange(len(corners)) + np.cumsum(more)  # where the old corners are now
    edge = np.repeat(np.arange(len(ends)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + 1
    filled = np.empty((len(corners) + len(edge), 2))
    filled[new] = corners
    at = new[ends - 1][edge] + step
    filled[at, 1 - axis], filled[at, axis] = np.divmod(known[there[edge] + np.sign(here - there)[edge] * step], span)
    return filled, np.append(new, len(filled))[rings]
