"""Ground and objects about which a person has said something already: nobody proposes them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.history.state import State
from seglab.core.masks import as_multipolygon, on_pixel_edges

TAKEN = 0.1
"""What accepted objects and reviewed ground hold more than this share of is not proposed."""
AGAIN = 0.5
"""IoU with a dismissed object of its class from which an outline is the same again."""


class Answered:
    """What a person has answered for.

    Args:
        state: what is accepted, reviewed and dismissed.
        waiting: outlines that are proposed and shall not be proposed again; they count as accepted ones do.
    """

    def __init__(self, state: State, waiting: Iterable[BaseGeometry] = ()) -> None:
        self._taken = STRtree([*(o.geometry for o in state.objects), *state.reviewed, *waiting])
        self._dismissed: dict[str, list[BaseGeometry]] = {}
        for proposed in state.dismissed:
            self._dismissed.setdefault(proposed.class_name, []).append(proposed.geometry)

    def taken_in(self, outline: BaseGeometry) -> np.ndarray:
        """Accepted objects and reviewed ground that an outline touches."""
        return self._taken.geometries[self._taken.query(outline, predicate="intersects")]

    def taken_share(self, outline: BaseGeometry) -> float:
        """The share of an outline that they hold."""
        there = self.taken_in(outline)
        return float(outline.intersection(shapely.union_all(there)).area / outline.area) if len(there) else 0.0

    def free(self, outline: BaseGeometry) -> BaseGeometry:
        """An outline without them, on pixel edges."""
        there = self.taken_in(outline)
        if not len(there):
            return as_multipolygon(outline)
        return on_pixel_edges(outline.difference(shapely.union_all(there)))

    def was_dismissed(self, class_name: str, outline: BaseGeometry) -> bool:
        """Whether nearly the same was proposed before, and dismissed."""
        return _overlap(outline, self._dismissed.get(class_name, [])) >= AGAIN


def _overlap(outline: BaseGeometry, others: Sequence[BaseGeometry]) -> float:
    """The largest IoU of an outline with others."""
    near = STRtree(others).query(outline, predicate="intersects")
    return max((_iou(outline, others[i]) for i in near), default=0.0)


def _iou(one: BaseGeometry, other: BaseGeometry) -> float:
    both = one.intersection(other).area
    return both / (one.area + other.area - both)
