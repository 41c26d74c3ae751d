"""Masks that are outlines to begin with: drawn by hand, or of an accepted object that is taken up again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from seglab.app.prompting.proposals import Proposal
from seglab.core.masks import rasterize
from seglab.core.prompts import Point
from seglab.core.windows import Window, lattice_window

CERTAIN = 8.0
"""Logit of a pixel that a person drew: fed back to the decoder with the next click."""
STROKE_POINTS = 8
"""Points that a scribble counts as, at most."""


def window_around(geometry: BaseGeometry, size: int, scale: int, shape: tuple[int, int]) -> Window:
    """The finest window of at least a scale that holds a geometry, or the whole scene.

    Args:
        geometry: scene pixels.
        size: side of the model's input, model pixels.
        scale: scene pixels per model pixel, at least.
        shape: (rows, cols) of the scene.
    """
    left, top, right, bottom = geometry.bounds
    while True:
        window = lattice_window((left + right) / 2, (top + bottom) / 2, size, scale, shape)
        if window.polygon.covers(geometry) or size * scale >= max(shape):
            return window
        scale *= 2


def drawn(
    geometry: BaseGeometry, window: Window, shape: tuple[int, int], mask_size: int, round_number: int, iou: float
) -> Proposal:
    """A proposal whose mask is an outline.

    Args:
        geometry: scene pixels; what lies outside window or scene is left out.
        window: of the proposal.
        shape: (rows, cols) of the scene.
        mask_size: side of the decoder's masks, its own pixels.
        round_number: of the model in use.
        iou: recorded with it.
    """
    array = np.zeros(window.shape, dtype=bool)
    inside, _ = window.overlap(shape)
    array[inside] = rasterize(geometry, replace(window, scale=1))[inside]
    share = torch.from_numpy(array)[None].float()
    share = torch.nn.functional.adaptive_avg_pool2d(share, (mask_size, mask_size))[0]
    return Proposal(window, iou, round_number, shape, CERTAIN * (2 * share - 1), edited=array)


def points_along(stroke: LineString, positive: bool) -> list[Point]:
    """The points that a scribble counts as, evenly spread along it.

    Args:
        stroke: scene pixels.
        positive: of the points.
    """
    count = int(np.clip(stroke.length // 4, 1, STROKE_POINTS))
    places = [stroke.interpolate((i + 0.5) / count, normalized=True) for i in range(count)]
    return [Point(place.x, place.y, positive) for place in places]
