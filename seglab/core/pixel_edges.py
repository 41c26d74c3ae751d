"""Many outlines put on pixel edges at once: they are drawn side by side on sheets, and the sheets are traced.

Tracing takes some milliseconds to begin with, however small the mask: as long as for a thousand small objects together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from rasterio import features
from shapely import affinity
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from seglab.core.masks import as_multipolygon, on_pixel_edges
from seglab.core.outlines import outlines_of

SHEET = 2048
"""Side of a sheet, pixels."""
LARGEST = 512
"""Sides of what goes on a sheet, pixels, at most; larger outlines are put on pixel edges one by one."""
MOST = np.iinfo(np.uint16).max
"""Outlines on a sheet, at most: each has its own value."""


@dataclass(frozen=True)
class _Placed:
    """An outline's place on a sheet."""

    index: int
    """In the list of outlines."""
    shift: tuple[int, int]
    """(cols, rows) from the sheet to the scene."""


def all_on_pixel_edges(geometries: Sequence[BaseGeometry]) -> list[MultiPolygon]:
    """The same as `on_pixel_edges` of each geometry.

    Args:
        geometries: scene pixels, in any number; they may overlap.
    """
    found = [MultiPolygon()] * len(geometries)
    small = []
    for index, geometry in enumerate(geometries):
        left, top, right, bottom = (0, 0, 0, 0) if geometry.is_empty else geometry.bounds
        if max(right - left, bottom - top) > LARGEST:
            found[index] = on_pixel_edges(geometry)
        elif not geometry.is_empty:
            small.append(index)
    for sheet in _sheets(geometries, small):
        for placed, outline in zip(sheet, _trace(sheet, geometries), strict=True):
            found[placed.index] = outline
    return found


def _sheets(geometries: Sequence[BaseGeometry], indices: Sequence[int]) -> Iterator[list[_Placed]]:
    """Places in rows, from left to right, a pixel apart."""
    sheet: list[_Placed] = []
    col = row = height = 0
    for index in indices:
        left, top, right, bottom = geometries[index].bounds
        first_col, first_row = math.floor(left), math.floor(top)
        across, down = math.ceil(right) - first_col + 1, math.ceil(bottom) - first_row + 1
        if col + across > SHEET:
            col, row, height = 0, row + height, 0
        if row + down > SHEET or len(sheet) == MOST:
            yield sheet
            sheet, col, row, height = [], 0, 0, 0
        sheet.append(_Placed(index, (first_col - col, first_row - row)))
        col, height = col + across, max(height, down)
    if sheet:
        yield sheet


def _trace(sheet: Sequence[_Placed], geometries: Sequence[BaseGeometry]) -> list[MultiPolygon]:
    """What `on_pixel_edges` gives for each outline of a sheet."""
    shapes = []
    for value, placed in enumerate(sheet, start=1):
        moved = affinity.translate(as_multipolygon(geometries[placed.index]), -placed.shift[0], -placed.shift[1])
        if not moved.is_empty:
            shapes.append((moved, value))
    if not shapes:
        return [MultiPolygon()] * len(sheet)
    values = features.rasterize(shapes, out_shape=(SHEET, SHEET), dtype=np.uint16)
    # One value for all: outlines lie a pixel apart, and tracing goes through the sheet once for each value.
    _, polygons = outlines_of((values > 0).view(np.uint8), ignored=0)
    parts: list[list[BaseGeometry]] = [[] for _ in sheet]
    for polygon in polygons:
        # in the topmost row of a polygon, its leftmost pixel
        left = min(col for col, row in polygon.exterior.coords if row == polygon.bounds[1])
        parts[values[int(polygon.bounds[1]), int(left)] - 1].append(polygon)
    whole = np.array([MultiPolygon(polygons) for polygons in parts], dtype=object)
    shifts = np.repeat([placed.shift for placed in sheet], shapely.get_num_coordinates(whole), axis=0)
    return list(shapely.transform(whole, lambda xy: xy + shifts))
