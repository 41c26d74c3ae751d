"""Proposed objects from the latest class map: its regions where nothing is accepted yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio import DatasetReader
from rasterio.windows import Window as RasterWindow
from shapely import GeometryCollection, STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.drawing import window_around
from seglab.app.mapping import mapped_names
from seglab.app.proposed import scored_entry
from seglab.app.state import State
from seglab.core.masks import as_multipolygon, on_pixel_edges, rasterize
from seglab.core.outlines import Region, find_regions, strips_of
from seglab.inference.mapper import UNMAPPED
from seglab.inference.sweep import Prediction
from seglab.jobs import Reporter

TAKEN = 0.1
"""A region of which accepted objects and reviewed ground hold more than this share is not proposed."""
AGAIN = 0.5
"""IoU with a dismissed object of its class from which a region is the same again."""

NOTHING = 0
"""Value of the class map that is no class."""
PERCENT = 100
"""What the confidence map holds for certain."""


def map_proposals(
    reporter: Reporter, prediction: Prediction, state: State, size: int, least_area: int, least_confidence: float
) -> list[dict[str, Any]]:
    """The objects of a "propose" event, the most confident first.

    Args:
        reporter: told megapixels read.
        prediction: the map.
        state: what is accepted, reviewed and dismissed; also the map's classes.
        size: side of the model's input, model pixels.
        least_area: pixels; smaller regions are left out.
        least_confidence: mean confidence, 0 to 1; less certain regions are left out.
    """
    taken = STRtree([*(o.geometry for o in state.objects), *state.reviewed])
    names = mapped_names(state, (state.prediction or {}).get("classes", ()))
    dismissed = _dismissed(state)
    with rasterio.open(prediction.path) as classes, rasterio.open(prediction.confidence_path) as confidence:
        shape = classes.shape
        strips = _strips(reporter, classes, confidence, taken)
        regions = [
            region
            for region in find_regions(strips, NOTHING, least_area)
            if region.means[0] / PERCENT >= least_confidence and region.means[1] <= TAKEN
        ]
    found = []
    for region in regions:
        name, outline = names.get(region.value), _free(region, taken)
        if name is None or outline.area < least_area or _overlap(outline, dismissed.get(name, [])) >= AGAIN:
            continue
        found.append(scored_entry(name, outline, window_around(outline, size, 1, shape), region.means[0] / PERCENT))
    return sorted(found, key=lambda one: -one["score"])


def _strips(
    reporter: Reporter, classes: DatasetReader, confidence: DatasetReader, taken: STRtree
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    """Strips of the map; their weights are the confidence in percent and whether the ground is taken."""
    height, width = classes.shape
    for strip in strips_of(classes.shape):
        place = RasterWindow(strip.col, strip.row, strip.width, strip.height)
        values = classes.read(1, window=place)
        values[values == UNMAPPED] = NOTHING
        there = taken.geometries[taken.query(strip.polygon, predicate="intersects")]
        yield values, (confidence.read(1, window=place), rasterize(GeometryCollection(list(there)), strip))
        reporter.update((strip.row + strip.height) * width / 1e6, height * width / 1e6, message="looking for objects")


def _free(region: Region, taken: STRtree) -> BaseGeometry:
    """A region without the ground that is taken."""
    if region.means[1] == 0:
        return as_multipolygon(region.outline)
    there = taken.geometries[taken.query(region.outline, predicate="intersects")]
    return on_pixel_edges(region.outline.difference(shapely.union_all(there)))


def _dismissed(state: State) -> dict[str, list[BaseGeometry]]:
    found: dict[str, list[BaseGeometry]] = {}
    for proposed in state.dismissed:
        found.setdefault(proposed.class_name, []).append(proposed.geometry)
    return found


def _overlap(outline: BaseGeometry, others: Sequence[BaseGeometry]) -> float:
    """The largest IoU of an outline with others."""
    near = STRtree(others).query(outline, predicate="intersects")
    return max((_iou(outline, others[i]) for i in near), default=0.0)


def _iou(one: BaseGeometry, other: BaseGeometry) -> float:
    both = one.intersection(other).area
    return both / (one.area + other.area - both)
