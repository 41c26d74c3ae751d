"""Where a round looks: which windows it trains on, in which views. No pixel is read here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.core.prompts import Prompts
from seglab.core.views import TURNS, View
from seglab.core.windows import Window, common_scale, sweep_windows

COVERING = 4
"""Windows at the map's scale in which an object accepted at another scale is shown, at most."""
SHIFTS = 9
"""Places per axis that are tried for a window that must not overlap excluded ground."""
VIEWS = 8
"""Views of each window: itself, and one of every other turn."""
ZOOM = 1.3
"""Augmentation shows objects up to so much larger or smaller."""
CONTRAST, BRIGHTNESS = 0.15, 15.0
"""Augmentation changes each band's contrast by up to this share and its brightness by up to this much of 255."""


@dataclass(frozen=True)
class TrainingObject:
    """What training needs of one accepted object."""

    class_index: int
    """0-based index of its class."""
    geometry: BaseGeometry
    """Outline in scene pixels."""
    prompts: Prompts
    """What the person clicked."""
    window: Window
    """The window in which it was accepted."""


@dataclass(frozen=True)
class Labels:
    """A snapshot of all that is labelled, taken when training starts."""

    classes: tuple[str, ...]
    objects: tuple[TrainingObject, ...]
    reviewed: tuple[BaseGeometry, ...] = ()
    """Extents in which everything is labelled, scene pixels."""
    excluded: tuple[BaseGeometry, ...] = ()
    """Held-out ground and never-train areas, scene pixels: no training window overlaps them."""
    others: tuple[BaseGeometry, ...] = ()
    """Outlines of accepted objects that are not among `objects`, scene pixels: neither learned nor background."""

    @cached_property
    def excluded_ground(self) -> BaseGeometry:
        """The union of `excluded`."""
        return shapely.union_all(self.excluded)


@dataclass(frozen=True)
class Plan:
    """What a round looks at."""

    places: tuple[tuple[Window, View], ...]
    """No two alike: windows of objects, then those inside large ones, then reviewed ground; of each, plain views
    come first."""
    objects: dict[Window, tuple[int, ...]]
    """Indices of the objects to prompt for in each window."""
    left_out: int
    """Objects that no window shows, for all around them is excluded."""


def ground_id(window: Window) -> str:
    """Names the ground that a window shows, for intervals that draw whole places: a cell of the window's side."""
    col, row = window.center
    return f"{window.scale}:{int(col // window.width)}:{int(row // window.height)}"


def plan(labels: Labels, size: int, shape: tuple[int, int], count: int, augment: bool = True) -> Plan:
    """Which windows to train on, and in which views, at most `count` in all.

    Windows in which objects were accepted come first. Others show, at the map's scale, objects that were accepted at
    another, for the map has to know what a large lake looks like from inside: they get up to a third of the places, for
    nothing is prompted for in most of them. Reviewed extents without an object get up to half. A window that overlaps
    excluded ground is moved off it, if its object was seen whole.

    Args:
        labels: the snapshot.
        size: side of the model's input, model pixels.
        shape: (rows, cols) of the scene.
        count: places; more would never be drawn.
        augment: whether windows are seen in other views than their own.
    """
    scale = common_scale(obj.window for obj in labels.objects)
    lattice = [w for w in sweep_windows(shape, size, 0.0, scale) if is_free(w, labels)]
    homes = _homes(labels, shape)
    own = {home for home in homes if home is not None}
    inside = {
        w
        for obj in labels.objects
        if obj.window.scale != scale
        for w in _most_covered(lattice, obj.geometry, COVERING)
        if w not in own
    }
    reviewed = {
        w
        for w in lattice
        if w not in own | inside and any(w.polygon.intersection(extent).area > 0 for extent in labels.reviewed)
    }
    rng = np.random.default_rng(0)
    ours, covering, theirs = (_views(found, augment, rng) for found in (own, inside, reviewed))
    theirs = theirs[: max(count // 2, count - len(ours) - len(covering))]
    left = count - len(theirs)
    covering = covering[: max(left // 3, left - len(ours))]
    places = ours[: left - len(covering)] + covering + theirs
    shown = {w: objects_in(labels, w, shape, homes) for w in {w for w, _ in places}}
    return Plan(tuple(places), shown, sum(home is None for home in homes))


def _views(windows: Iterable[Window], augment: bool, rng: np.random.Generator) -> list[tuple[Window, View]]:
    """Every window as it is, in a random order; then every one in its second view, and so on."""
    found = sorted(windows)
    return [
        (found[i], view(found[i], number))
        for number in range(VIEWS if augment else 1)
        for i in rng.permutation(len(found))
    ]


def view(window: Window, number: int) -> View:
    """A window's view of that number: the same one in every round, so that its prefix can be cached.

    Args:
        window: where.
        number: 0 for the window as it is; turn, zoom and colour follow from window and number for the others.
    """
    if number == 0:
        return View()
    rng = np.random.default_rng([window.col % 2**32, window.row % 2**32, window.scale, number])
    zoom = 1.0 if number % 2 else float(ZOOM ** rng.uniform(-1, 1))
    gain = tuple(float(g) for g in rng.uniform(1 - CONTRAST, 1 + CONTRAST, 3))
    offset = tuple(float(o) for o in rng.uniform(-BRIGHTNESS, BRIGHTNESS, 3))
    return View(number % TURNS, zoom, gain, offset)


def is_free(window: Window, labels: Labels) -> bool:
    """Whether no excluded ground lies in a window."""
    return window.polygon.intersection(labels.excluded_ground).area == 0


def objects_in(
    labels: Labels, window: Window, shape: tuple[int, int], homes: Sequence[Window | None] | None = None
) -> tuple[int, ...]:
    """Indices of the objects to prompt for in a window: those that live there, and others that it shows whole.

    Args:
        labels: the snapshot.
        window: where.
        shape: (rows, cols) of the scene.
        homes: each object's window; the ones they were accepted in if None.
    """
    homes = [obj.window for obj in labels.objects] if homes is None else homes
    return tuple(
        n
        for n, (obj, home) in enumerate(zip(labels.objects, homes, strict=True))
        if home == window or (window.polygon.covers(obj.geometry) and _seen_whole(obj, shape))
    )


def _homes(labels: Labels, shape: tuple[int, int]) -> list[Window | None]:
    """The window that shows each object: its own, or one beside it that is free."""
    homes = [obj.window if is_free(obj.window, labels) else None for obj in labels.objects]
    for n, obj in enumerate(labels.objects):
        if homes[n] is None and _seen_whole(obj, shape):
            taken = (home for home in homes if home is not None and home.scale == obj.window.scale)
            shared = next((home for home in taken if home.polygon.covers(obj.geometry)), None)
            homes[n] = shared or next((w for w in _around(obj, shape) if is_free(w, labels)), None)
    return homes


def _seen_whole(obj: TrainingObject, shape: tuple[int, int]) -> bool:
    """Whether an object ends inside the window it was accepted in: one that is cut there may go on beyond."""
    left, top, right, bottom = obj.geometry.bounds
    inside = obj.window.clip(shape)
    return (
        (left > inside.col or inside.col == 0)
        and (top > inside.row or inside.row == 0)
        and (right < inside.col + inside.width or inside.col + inside.width == shape[1])
        and (bottom < inside.row + inside.height or inside.row + inside.height == shape[0])
    )


def _around(obj: TrainingObject, shape: tuple[int, int]) -> list[Window]:
    """Windows like an object's own that show it whole, the nearest to its own first."""
    own = obj.window
    left, top, right, bottom = obj.geometry.bounds
    cols = _origins(left, right, own.width, shape[1])
    rows = _origins(top, bottom, own.height, shape[0])
    found = [Window(col, row, own.width, own.height, own.scale) for col in cols for row in rows]
    return sorted(found, key=lambda w: abs(w.col - own.col) + abs(w.row - own.row))


def _origins(low: float, high: float, side: int, extent: int) -> list[int]:
    """Where a window's edge may lie so that low..high is inside it and it is inside the scene."""
    first = max(0, int(np.ceil(high)) - side)
    last = min(int(np.floor(low)), max(0, extent - side))
    if first > last:
        return []
    return sorted({round(v) for v in np.linspace(first, last, SHIFTS)})


def _most_covered(windows: Iterable[Window], geometry: BaseGeometry, count: int) -> list[Window]:
    """The windows that have most of a geometry in them, at most `count`."""
    areas = {w: w.polygon.intersection(geometry).area for w in windows}
    return sorted((w for w in areas if areas[w] > 0), key=lambda w: -areas[w])[:count]
