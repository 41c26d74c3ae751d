"""Which windows are looked at before some of them are suggested: few enough, spread evenly, and without labels."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.history.state import State
from seglab.app.rounds.held_out import kept_out
from seglab.core.raster import Scene
from seglab.core.windows import Window, sweep_windows
from seglab.inference.lattice import Lattice

LEAST_WINDOWS, MOST_WINDOWS = 24, 96
"""So many windows are looked at where the scene has them: 24 take about 4 s on two cores if none is encoded."""
SHARE_OF_MAP = 0.05
"""Of the windows of a full map, in large scenes; fewer where a strategy looks at each window several times. A full map
of 10,000 x 10,000 pixels by the embedded model has 2,704 windows: 96 of them are 3.6 %."""
MOSTLY = 0.5
"""A window is suggested only if at least this share of it has data, and less of it is reviewed or skipped."""

_DITHER = (0.7548776662466927, 0.5698402909980532)
"""Per row and column of windows: the first N by the fraction of their sum lie evenly in two dimensions, whatever N is
(the R2 sequence of Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018)."""


def budget(scene: Scene, size: int, scale: int, state: State, looks: float = 1.0) -> int:
    """How many windows may be looked at.

    Args:
        scene: of the windows.
        size: side of the model's input, model pixels.
        scale: scene pixels per model pixel.
        state: its area of interest counts.
        looks: what looking at a window costs, in windows of a map.
    """
    rows, cols = Lattice(scene.grid.shape, size, scale).counts
    area, (height, width) = state.area_of_interest, scene.grid.shape
    share = 1.0 if area is None else min(1.0, area.area / (height * width))
    return max(1, int(min(MOST_WINDOWS, max(LEAST_WINDOWS, SHARE_OF_MAP * rows * cols * share)) / looks))


def candidates(scene: Scene, size: int, scale: int, state: State, most: int) -> list[Window]:
    """Windows with data spread evenly over the area of interest, but for those that a person has reviewed or skipped:
    those without any label, from which rounds may learn, where there are some, else all.

    A window's turn depends on its place alone: when one is labelled, another one joins and the others stay, so that
    what is known of them is of use again.

    Args:
        scene, size, scale, state: see `budget`.
        most: how many.
    """
    _, valid, factor = scene.preview()
    windows = [w for w in sweep_windows(scene.grid.shape, size, 0.0, scale) if _share(w, valid, factor) >= MOSTLY]
    windows = _in_area(windows, state.area_of_interest)
    answered = STRtree([*state.reviewed, *state.never_suggest])
    windows = [w for w in windows if covered(w.clip(scene.grid.shape).polygon, answered) < MOSTLY]
    labelled = [*(o.geometry for o in state.objects), *state.reviewed, *kept_out(state)]
    free = _apart(windows, labelled) or windows
    return sorted(sorted(free, key=_turn)[:most], key=lambda w: (w.row, w.col))


def _turn(window: Window) -> float:
    row, col = -(-window.row // window.height), -(-window.col // window.width)  # the last one is shifted
    return (row * _DITHER[0] + col * _DITHER[1]) % 1.0


def _apart(windows: list[Window], ground: Collection[BaseGeometry]) -> list[Window]:
    """Windows that do not reach into some ground; those that only meet it at an edge do not."""
    tree = STRtree(list(ground))
    return [w for w in windows if len(tree.query(w.polygon.buffer(-0.5, join_style="mitre"), "intersects")) == 0]


def covered(outline: BaseGeometry, ground: STRtree) -> float:
    """The share of an outline that lies in some ground, 0 to 1."""
    there = ground.geometries[ground.query(outline, predicate="intersects")]
    return float(outline.intersection(shapely.union_all(there)).area / outline.area) if len(there) else 0.0


def _in_area(windows: list[Window], area: BaseGeometry | None) -> list[Window]:
    """Windows that lie mostly in an area; where it is too small for that, those that touch it."""
    if area is None:
        return windows
    mostly = [w for w in windows if area.intersection(w.polygon).area >= MOSTLY * w.polygon.area]
    return mostly or [w for w in windows if area.intersects(w.polygon)]


def _share(window: Window, valid: np.ndarray, factor: int) -> float:
    """The share of a window that has data, by the scene's preview."""
    rows = slice(window.row // factor, -(-(window.row + window.height) // factor))
    cols = slice(window.col // factor, -(-(window.col + window.width) // factor))
    part = valid[rows, cols]
    return float(part.mean()) if part.size else 0.0
