"""How much of each class there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.history.label_events import ALLOWED
from seglab.app.history.state import State
from seglab.app.labels.labelled import LabelledObject
from seglab.core.grid import Grid

SQUARE_METRES = 10_000
"""In a hectare."""


class Areas:
    """Measures objects, each once: with ten thousand of them that takes a while, and few change at a time.

    Args:
        grid: of the scene.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._known: dict[int, tuple[BaseGeometry, float, float]] = {}

    def table(self, objects: Sequence[LabelledObject], classes: Iterable[str], overlapping: bool) -> pd.DataFrame:
        """How much of each class there is.

        Args:
            objects: accepted.
            classes: names, in order.
            overlapping: whether objects may overlap: ground that two of a class share counts once.

        Returns:
            One row per class: objects, pixels, and hectares on the ellipsoid (NaN without a CRS).
        """
        rows = {name: [0, 0.0, 0.0] for name in classes}
        measured = self._measured(objects)
        for o in objects:
            for column, value in enumerate((1, *measured[o.id][1:])):
                rows[o.class_name][column] += value
        if overlapping:
            for name, row in rows.items():
                row[1:] = self._measure(shapely.union_all([o.geometry for o in objects if o.class_name == name]))
        self._known = measured
        table = {
            name: (count, round(pixels), metres / SQUARE_METRES if self._grid.crs is not None else float("nan"))
            for name, (count, pixels, metres) in rows.items()
        }
        columns = ["objects", "pixels", "hectares"]
        return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis("class")

    def _measured(self, objects: Sequence[LabelledObject]) -> dict[int, tuple[BaseGeometry, float, float]]:
        known = {o.id: self._known.get(o.id) for o in objects}
        new = [o for o in objects if known[o.id] is None or known[o.id][0] is not o.geometry]
        metres = [0.0] * len(new) if self._grid.crs is None else self._grid.areas_m2([o.geometry for o in new])
        return known | {o.id: (o.geometry, o.geometry.area, m2) for o, m2 in zip(new, metres, strict=True)}

    def _measure(self, outline: BaseGeometry) -> tuple[float, float]:
        """Pixels, and square metres (0 without a CRS)."""
        return outline.area, self._grid.area_m2(outline) or 0.0


class Measuring:
    """The part of a LabelSession that measures its labels."""

    _areas: Areas
    state: State
    objects: tuple[LabelledObject, ...]
    classes: Mapping[str, Any]

    @property
    def areas(self) -> pd.DataFrame:
        """Objects, pixels and true hectares by class; ground that two objects of a class share counts once."""
        state = self.state
        return self._areas.table(state.objects, state.classes, state.overlaps == ALLOWED)
