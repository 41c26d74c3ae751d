"""Masks and the polygons around their pixels; the round trip is exact.

Pixels that share an edge belong together, pixels that only touch at a corner do not.
"""

from __future__ import annotations

import math

import numpy as np
import shapely
from affine import Affine
from rasterio import features
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from seglab.core.outlines import outlines_of
from seglab.core.windows import Window

_ALL_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def polygons_of(mask: np.ndarray, col: int = 0, row: int = 0) -> MultiPolygon:
    """The outline of a mask along its pixel edges.

    Args:
        mask: (h, w) bool.
        col, row: scene pixel of the mask's top left corner.

    Returns:
        Valid polygons in scene pixels, one per connected piece, with their holes; empty for an empty mask.
        `rasterize` gives back the same mask.
    """
    mask = np.asarray(mask, dtype=bool)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return MultiPolygon()
    top, left = int(rows[0]), int(cols[0])  # most masks are small in their window
    inside = np.ascontiguousarray(mask[top : rows[-1] + 1, left : cols[-1] + 1])
    _, found = outlines_of(inside.view(np.uint8), ignored=0)
    corner = np.array([col + left, row + top])
    return MultiPolygon(list(shapely.transform(found, lambda xy: xy + corner)))


def as_multipolygon(geometry: BaseGeometry) -> MultiPolygon:
    """The polygons of any geometry; lines and points, which have no area, are dropped."""
    return _multipolygon([geometry])


def _multipolygon(geometries: list[BaseGeometry]) -> MultiPolygon:
    parts = shapely.get_parts(shapely.get_parts(geometries))  # a collection may hold multipolygons
    return MultiPolygon([part for part in parts if isinstance(part, Polygon) and not part.is_empty])


def rasterize(geometry: BaseGeometry, target: Window | tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies in a geometry.

    Args:
        geometry: in scene pixels.
        target: a window (the result has its model shape and scale), or the (rows, cols) of the scene.

    Returns:
        (h, w) bool.
    """
    if isinstance(target, Window):
        out_shape = target.model_shape
        transform = Affine(target.scale, 0, target.col, 0, target.scale, target.row)
    else:
        out_shape, transform = target, Affine.identity()
    polygons = as_multipolygon(geometry)
    if polygons.is_empty or 0 in out_shape:
        return np.zeros(out_shape, dtype=bool)
    return features.rasterize([polygons], out_shape=out_shape, transform=transform, dtype=np.uint8).astype(bool)


def on_pixel_edges(geometry: BaseGeometry) -> BaseGeometry:
    """The outline of the pixels whose centre lies in a geometry, scene pixels (MultiPolygon)."""
    left, top, right, bottom = geometry.bounds
    col, row = math.floor(left), math.floor(top)
    window = Window(col, row, math.ceil(right) - col, math.ceil(bottom) - row)
    return polygons_of(rasterize(geometry, window), col, row)


def clean(mask: np.ndarray, min_area: int = 0, fill_holes: float = 0) -> np.ndarray:
    """A mask without specks and pinholes.

    Args:
        mask: (h, w) bool.
        min_area: pixels; smaller connected pieces are removed.
        fill_holes: pixels; holes up to this area are filled (math.inf, or True: all of them). What reaches
            the edge of the array is not a hole.

    Returns:
        A new (h, w) bool array.
    """
    mask = np.array(mask, dtype=bool)
    if min_area > 1:
        labels, _ = ndimage.label(mask)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = (sizes >= min_area)[labels]
    limit = math.inf if fill_holes is True else fill_holes
    if limit > 0:
        labels, _ = ndimage.label(~mask, structure=_ALL_NEIGHBOURS)  # the dual of edge-connected masks
        sizes = np.bincount(labels.ravel()).astype(float)
        rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        sizes[rim] = math.inf
        is_hole = sizes <= limit
        is_hole[rim] = is_hole[0] = False
        mask |= is_hole[labels]
    return mask


def smooth(mask: np.ndarray, radius: float) -> np.ndarray:
    """A mask with an even border: each pixel is what most of its surroundings are, weighted by a Gaussian.

    Args:
        mask: (h, w) bool; beyond the array it goes on as at its edge.
        radius: of the surroundings (standard deviation), pixels; 0 changes nothing.

    Returns:
        A new (h, w) bool array.
    """
    mask = np.array(mask, dtype=bool)
    return mask if radius <= 0 else ndimage.gaussian_filter(mask.astype(np.float32), radius, mode="nearest") > 0.5


def snap(mask: np.ndarray, neighbours: np.ndarray, width: float) -> np.ndarray:
    """A mask whose edge lies on its neighbours' edges where it nearly did: gaps and overlaps up to `width` close.

    Gaps and overlaps are measured along rows and columns, in the masks as they are given: what closing one makes of
    another, in a corner, stays.

    Args:
        mask, neighbours: (h, w) bool.
        width: pixels; 0 changes nothing.

    Returns:
        A new (h, w) bool array.
    """
    mask, neighbours = np.array(mask, dtype=bool), np.asarray(neighbours, dtype=bool)
    if width <= 0:
        return mask
    gap = _between(~mask & ~neighbours, mask, neighbours, width)
    strip = _between(mask & neighbours, mask & ~neighbours, neighbours & ~mask, width)
    return (mask | gap) & ~strip


def _between(free: np.ndarray, first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """Pixels of runs in `free`, at most `width` long, that begin at one mask and end at the other."""
    return _between_in_rows(free, first, second, width) | _between_in_rows(free.T, first.T, second.T, width).T


def _between_in_rows(free: np.ndarray, first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    count = free.shape[1]
    place = np.arange(count)
    before = np.maximum.accumulate(np.where(free, -1, place), axis=1)
    after = np.minimum.accumulate(np.where(free, count, place)[:, ::-1], axis=1)[:, ::-1]
    short = free & (before >= 0) & (after < count) & (after - before - 1 <= width)
    at = np.clip(before, 0, None), np.clip(after, None, count - 1)
    ends = [[np.take_along_axis(one, side, axis=1) for side in at] for one in (first, second)]
    return short & ((ends[0][0] & ends[1][1]) | (ends[1][0] & ends[0][1]))


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The connected piece with the most pixels; all False for an empty mask.

    Args:
        mask: (h, w) bool.
    """
    labels, count = ndimage.label(np.asarray(mask, dtype=bool))
    if count == 0:
        return np.zeros(labels.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(sizes.argmax())


def piece_at(mask: np.ndarray, col: float, row: float) -> np.ndarray:
    """The connected piece under a pixel coordinate of the array; all False where the mask is not set.

    Args:
        mask: (h, w) bool.
        col, row: array pixels.
    """
    mask = np.asarray(mask, dtype=bool)
    r, c = math.floor(row), math.floor(col)
    if not (0 <= r < mask.shape[0] and 0 <= c < mask.shape[1] and mask[r, c]):
        return np.zeros(mask.shape, dtype=bool)
    labels, _ = ndimage.label(mask)
    return labels == labels[r, c]


def boundary_ring(mask: np.ndarray, width: float) -> np.ndarray:
    """The pixels around a mask, not in it.

    Args:
        mask: (h, w) bool.
        width: pixels, between pixel centres.

    Returns:
        (h, w) bool: pixels within `width` of the mask and outside it.
    """
    mask = np.asarray(mask, dtype=bool)
    if not mask.any():
        return np.zeros(mask.shape, dtype=bool)
    return ~mask & (ndimage.distance_transform_edt(~mask) <= width)
