"""Prompts: the points and the box that say which object is meant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seglab.core.windows import Window
from seglab.errors import PromptError


@dataclass(frozen=True)
class Point:
    """A click, in scene pixels."""

    col: float
    row: float
    positive: bool = True
    """True: in the object; False: not in it."""


@dataclass(frozen=True)
class Box:
    """A box around the object, in scene pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, *corners: tuple[float, float]) -> Box:
        """The box spanned by corners (col, row) in any order.

        Raises:
            PromptError: the corners are not finite or enclose no area.
        """
        cols, rows = [c for c, _ in corners], [r for _, r in corners]
        if not all(math.isfinite(v) for v in (*cols, *rows)):
            raise PromptError(f"the box corners {corners!r} are not finite; draw the box inside the scene")
        found = cls(min(cols), min(rows), max(cols), max(rows))
        if found.right <= found.left or found.bottom <= found.top:
            raise PromptError("the box encloses no area; drag from one corner of the object to the other")
        return found

    @property
    def center(self) -> tuple[float, float]:
        """(col, row) of the middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def size(self) -> float:
        """The longer side, scene pixels."""
        return max(self.right - self.left, self.bottom - self.top)


@dataclass(frozen=True)
class Prompts:
    """Everything said so far about one object."""

    points: tuple[Point, ...] = ()
    box: Box | None = None

    @property
    def is_empty(self) -> bool:
        """True when nothing has been said."""
        return not self.points and self.box is None

    def with_point(self, point: Point) -> Prompts:
        """These prompts and one more point."""
        return replace(self, points=(*self.points, point))

    def with_box(self, box: Box) -> Prompts:
        """These prompts with the box replaced."""
        return replace(self, box=box)

    def in_model(self, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The prompts in a window's model pixels.

        Returns:
            points: (N, 2) float32 (x, y); labels: (N,) int64, 1 for + and 0 for -;
            box: (4,) float32 (left, top, right, bottom) or None.
        """
        xy = window.to_model(np.array([(p.col, p.row) for p in self.points])).astype(np.float32)
        labels = np.array([int(p.positive) for p in self.points], dtype=np.int64)
        if self.box is None:
            return xy, labels, None
        corners = window.to_model(np.array([(self.box.left, self.box.top), (self.box.right, self.box.bottom)]))
        return xy, labels, corners.reshape(4).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` makes equal prompts."""
        box = self.box
        return {
            "points": [[p.col, p.row, int(p.positive)] for p in self.points],
            "box": None if box is None else [box.left, box.top, box.right, box.bottom],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Prompts:
        """Prompts from what `to_json` gave."""
        points = tuple(Point(col, row, bool(positive)) for col, row, positive in value["points"])
        return cls(points, None if value["box"] is None else Box(*value["box"]))
