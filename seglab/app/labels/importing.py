"""Labels that were made elsewhere, as accepted objects of a scene."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.history.state import State
from seglab.app.labels.areas import part_in_scene
from seglab.app.labels.labelled import entry
from seglab.app.prompting.drawing import window_around
from seglab.core.grid import PIXEL, Grid
from seglab.core.masks import on_pixel_edges
from seglab.core.palette import next_colour
from seglab.core.pixel_edges import all_on_pixel_edges
from seglab.datasets.labels_file import CLASS
from seglab.errors import LabelsFileError, OutsideSceneError, PromptError

REPORTED = 100
"""Outlines between two reports of how far an import is."""


def imported(
    labels: gpd.GeoDataFrame, grid: Grid, size: int, reporter: jobs.Reporter | None = None
) -> list[dict[str, Any]]:
    """The objects of an "import" event.

    Args:
        labels: see `datasets.labels_file.read_labels`.
        grid: of the scene.
        size: side of the model's input, model pixels.
        reporter: for calls inside a job.

    Returns:
        Class, geometry (WKB) and window of every object that reaches into the scene; those smaller than a pixel are
        left out.

    Raises:
        LabelsFileError: none does, or the file's coordinates do not say where the scene is.
    """
    if labels.crs is not None and grid.crs is None:
        raise LabelsFileError("the labels are georeferenced and the scene is not; give them in pixel coordinates")
    crs = PIXEL if labels.crs is None else labels.crs
    reporter = reporter or jobs.SilentReporter()
    found, parts = [], []
    for number, outline in enumerate(labels.geometry):
        if number % REPORTED == 0:
            reporter.update(number, len(labels))
        parts.append(_part_in_scene(outline, grid, crs))
    reporter.update(len(labels))
    for name, inside in zip(labels[CLASS], all_on_pixel_edges(parts), strict=True):
        if not inside.is_empty:
            found.append(entry(name, inside, window_around(inside, size, 1, grid.shape)))
    if not found:
        raise LabelsFileError(
            f"none of the {len(labels)} labels lies in the scene; check that file and scene are of the same place"
        )
    return found


def new_classes(found: list[dict[str, Any]], state: State) -> dict[str, str]:
    """Classes of an import that the project does not have: colour by name."""
    classes = dict(state.classes)
    for name in dict.fromkeys(one["class"] for one in found):
        if state.today(name) is None:
            classes[name] = next_colour(classes)
    return {name: colour for name, colour in classes.items() if name not in state.classes}


def outline_in_scene(outline: BaseGeometry, grid: Grid, crs: Any) -> BaseGeometry | None:
    """The part of an outline in the scene, on pixel edges; None where there is not a pixel of it.

    Args:
        outline: in `crs`; None is the grid's default.
        grid: of the scene.
        crs: see `areas.part_in_scene`.
    """
    part = _part_in_scene(outline, grid, crs)
    inside = part if part.is_empty else on_pixel_edges(part)
    return None if inside.is_empty else inside


def _part_in_scene(outline: BaseGeometry, grid: Grid, crs: Any) -> BaseGeometry:
    """As `part_in_scene`, but empty where there is none."""
    try:
        return part_in_scene(outline, grid, crs)
    except (OutsideSceneError, PromptError):
        return MultiPolygon()
