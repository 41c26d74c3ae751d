"""Proposed objects from the latest class map: its regions where nothing is accepted yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import rasterio
from rasterio import DatasetReader
from rasterio.windows import Window as RasterWindow
from shapely import GeometryCollection

from seglab.app.history.state import State
from seglab.app.labels.answered import TAKEN, Answered
from seglab.app.labels.proposed import OBJECTS_ORIGIN, scored_entry
from seglab.app.maps.mapping import mapped_names
from seglab.app.prompting.drawing import window_around
from seglab.core.masks import as_multipolygon, rasterize
from seglab.core.outlines import find_regions, strips_of
from seglab.inference.mapper import UNMAPPED
from seglab.inference.sweep import Prediction
from seglab.jobs import Reporter

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
        state: what is accepted, reviewed and dismissed, and the found objects that wait: their ground is not proposed
            twice; also the map's classes.
        size: side of the model's input, model pixels.
        least_area: pixels; smaller regions are left out.
        least_confidence: mean confidence, 0 to 1; less certain regions are left out.
    """
    answered = Answered(state, [p.geometry for p in state.proposals if p.origin.startswith(OBJECTS_ORIGIN)])
    names = mapped_names(state, (state.prediction or {}).get("classes", ()))
    with rasterio.open(prediction.path) as classes, rasterio.open(prediction.confidence_path) as confidence:
        shape = classes.shape
        strips = _strips(reporter, classes, confidence, answered)
        regions = [
            region
            for region in find_regions(strips, NOTHING, least_area)
            if region.means[0] / PERCENT >= least_confidence and region.means[1] <= TAKEN
        ]
    found = []
    for region in regions:
        name = names.get(region.value)
        outline = as_multipolygon(region.outline) if region.means[1] == 0 else answered.free(region.outline)
        if name is None or outline.area < least_area or answered.was_dismissed(name, outline):
            continue
        found.append(scored_entry(name, outline, window_around(outline, size, 1, shape), region.means[0] / PERCENT))
    return sorted(found, key=lambda one: -one["score"])


def _strips(
    reporter: Reporter, classes: DatasetReader, confidence: DatasetReader, answered: Answered
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    """Strips of the map; their weights are the confidence in percent and whether the ground is taken."""
    height, width = classes.shape
    for strip in strips_of(classes.shape):
        place = RasterWindow(strip.col, strip.row, strip.width, strip.height)
        values = classes.read(1, window=place)
        values[values == UNMAPPED] = NOTHING
        taken = GeometryCollection(list(answered.taken_in(strip.polygon)))
        yield values, (confidence.read(1, window=place), rasterize(taken, strip))
        reporter.update((strip.row + strip.height) * width / 1e6, height * width / 1e6, message="looking for objects")
