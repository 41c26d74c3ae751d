"""Where a round looks: which windows it trains on, in which views. No pixel is read here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.core.prompts import Prompts
from seglab.core.views import TURNS, View
from seglab.core.windows import Window, common_scale, sweep_windows

COVERING = 4
"""Windows at the map's scale in which an object accepted at another scale is shown, at most."""
SHIFTS = 9
"""Even places per axis that are tried for a window that must not overlap excluded ground."""
EDGES = 16
"""Places per axis, at most, that are tried because the window would lie just beside excluded ground there."""
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


@dataclass(frozen=True)
class Plan:
    """What a round looks at."""

    places: tuple[tuple[Window, View], ...]
    """No two alike: windows of objects, then those inside large ones, then reviewed ground; of each, plain views
    come first."""
    objects: dict[Window, tuple[int, ...]]
    """Indices of the objects to prompt for in each window."""
    left_out: int
    """Objects that have no window of their own, for all around them is excluded."""


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
    excluded = _Excluded(labels.excluded)
    whole = [seen_whole(obj.geometry, obj.window, shape) for obj in labels.objects]
    homes = _homes(labels, shape, excluded, whole)
    own = {home for home in homes if home is not None}
    inside, reviewed = _at_map_scale(labels, size, shape, excluded, own)
    rng = np.random.default_rng(0)
    ours, covering, theirs = (_views(found, augment, rng) for found in (own, inside, reviewed))
    theirs = theirs[: max(count // 2, count - len(ours) - len(covering))]
    left = count - len(theirs)
    covering = covering[: max(left // 3, left - len(ours))]
    places = ours[: left - len(covering)] + covering + theirs
    return Plan(
        tuple(places), _shown({w for w, _ in places}, labels, homes, whole), sum(home is None for home in homes)
    )


class _Excluded:
    """Ground that no window may overlap, in parts, so that a question looks only at what is near.

    Args:
        areas: polygons and collections of such, scene pixels.
    """

    def __init__(self, areas: Sequence[BaseGeometry]) -> None:
        self._parts = shapely.get_parts(np.array(areas, dtype=object)) if areas else np.zeros(0, dtype=object)
        self._tree = STRtree(self._parts)

    def leaves_free(self, windows: Sequence[Window]) -> np.ndarray:
        """(N,) bool: which windows have no such ground in them; touching it from outside is allowed."""
        free = np.ones(len(windows), dtype=bool)
        boxes = _boxes(windows)
        found, part = self._tree.query(boxes, predicate="intersects")
        free[found[shapely.area(shapely.intersection(boxes[found], self._parts[part])) > 0]] = False
        return free

    def edges(self, reach: BaseGeometry) -> np.ndarray:
        """(N, 2) corners, as (col, row), of what lies within reach."""
        return shapely.get_coordinates(self._parts[self._tree.query(reach, predicate="intersects")])


def _boxes(windows: Sequence[Window]) -> np.ndarray:
    """The outlines of windows."""
    corners = [(w.col, w.row, w.col + w.width, w.row + w.height) for w in windows]
    return shapely.box(*np.array(corners, dtype=float).reshape(-1, 4).T)


def _at_map_scale(
    labels: Labels, size: int, shape: tuple[int, int], excluded: _Excluded, own: Collection[Window]
) -> tuple[set[Window], set[Window]]:
    """Free windows of the map's scale: those inside objects of other scales, and those of reviewed ground."""
    scale = common_scale(obj.window for obj in labels.objects)
    others = [obj.geometry for obj in labels.objects if obj.window.scale != scale]
    if not others and not labels.reviewed:
        return set(), set()
    lattice = list(sweep_windows(shape, size, 0.0, scale))
    boxes = _boxes(lattice)
    asked = np.array([*others, *labels.reviewed], dtype=object)
    number, place = STRtree(boxes).query(asked, predicate="intersects")
    area = shapely.area(shapely.intersection(boxes[place], asked[number]))
    at = np.unique(place)
    free = np.zeros(len(lattice), dtype=bool)
    free[at] = excluded.leaves_free([lattice[i] for i in at])
    kept = (area > 0) & free[place]
    number, place, area = number[kept], place[kept], area[kept]
    inside: set[Window] = set()
    for n in range(len(others)):
        mine = np.flatnonzero(number == n)
        most = mine[np.lexsort((place[mine], -area[mine]))][:COVERING]
        inside |= {lattice[i] for i in place[most]}
    inside -= set(own)
    reviewed = {lattice[i] for i in place[number >= len(others)]} - inside - set(own)
    return inside, reviewed


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


def _shown(
    windows: Collection[Window], labels: Labels, homes: Sequence[Window | None], whole: Sequence[bool]
) -> dict[Window, tuple[int, ...]]:
    """Indices of the objects to prompt for in each window: those that live there, and others that it shows whole."""
    living: dict[Window, set[int]] = {window: set() for window in windows}
    for n, home in enumerate(homes):
        if home in living:
            living[home].add(n)
    tree = STRtree([obj.geometry for obj in labels.objects])
    for window, found in living.items():
        found |= {n for n in tree.query(window.polygon, predicate="covers").tolist() if whole[n]}
    return {window: tuple(sorted(found)) for window, found in living.items()}


def _homes(labels: Labels, shape: tuple[int, int], excluded: _Excluded, whole: Sequence[bool]) -> list[Window | None]:
    """The window that shows each object: its own, or one beside it that is free."""
    objects = labels.objects
    free = excluded.leaves_free([obj.window for obj in objects])
    homes = [obj.window if kept else None for obj, kept in zip(objects, free, strict=True)]
    taken: dict[int, dict[Window, None]] = {}
    for home in homes:
        if home is not None:
            taken.setdefault(home.scale, {})[home] = None
    for n in (n for n, home in enumerate(homes) if home is None and whole[n]):
        mine = taken.setdefault(objects[n].window.scale, {})
        homes[n] = _covering(objects[n].geometry, list(mine)) or _beside(objects[n], shape, excluded)
        if homes[n] is not None:
            mine[homes[n]] = None
    return homes


def _covering(geometry: BaseGeometry, windows: Sequence[Window]) -> Window | None:
    """The first window that shows all of a geometry."""
    left, top, right, bottom = geometry.bounds
    fits = (
        w for w in windows if w.col <= left and w.row <= top and right <= w.col + w.width and bottom <= w.row + w.height
    )
    return next(fits, None)


def seen_whole(geometry: BaseGeometry, window: Window, shape: tuple[int, int]) -> bool:
    """Whether an object ends inside the window it was accepted in: one that is cut there may go on beyond.

    Args:
        geometry: its outline, scene pixels.
        window: in which it was accepted.
        shape: (rows, cols) of the scene.
    """
    left, top, right, bottom = geometry.bounds
    inside = window.clip(shape)
    return (
        (left > inside.col or inside.col == 0)
        and (top > inside.row or inside.row == 0)
        and (right < inside.col + inside.width or inside.col + inside.width == shape[1])
        and (bottom < inside.row + inside.height or inside.row + inside.height == shape[0])
    )


def _beside(obj: TrainingObject, shape: tuple[int, int], excluded: _Excluded) -> Window | None:
    """The free window like an object's own that shows it whole and is nearest to its own."""
    own, (left, top, right, bottom) = obj.window, obj.geometry.bounds
    reach = shapely.box(right - own.width, bottom - own.height, left + own.width, top + own.height)
    corners = excluded.edges(reach)
    cols = origins(left, right, own.width, shape[1], corners[:, 0])
    rows = origins(top, bottom, own.height, shape[0], corners[:, 1])
    found = [Window(int(col), int(row), own.width, own.height, own.scale) for col in cols for row in rows]
    found.sort(key=lambda w: abs(w.col - own.col) + abs(w.row - own.row))
    free = np.flatnonzero(excluded.leaves_free(found))
    return found[free[0]] if len(free) else None


def origins(low: float, high: float, side: int, extent: int, edges: np.ndarray) -> np.ndarray:
    """Where a window's edge may lie so that low..high is inside it and it is inside the scene, along one axis.

    A window that can be had free of some rectangles can be slid until it meets one of them or can go no further, so
    besides even steps only places just beside their edges are listed.

    Args:
        low, high: what the window has to show, scene pixels.
        side: of the window, scene pixels.
        extent: of the scene, scene pixels.
        edges: (N,) where rectangles that are to be avoided begin or end, scene pixels.

    Returns:
        (M,) int, ascending; none where low..high is too long.
    """
    first = max(0, int(np.ceil(high)) - side)
    last = min(int(np.floor(low)), max(0, extent - side))
    if first > last:
        return np.zeros(0, dtype=int)
    beside = np.unique(np.concatenate([np.ceil(edges), np.floor(edges) - side])).astype(int)
    beside = beside[(beside > first) & (beside < last)]
    thinned = beside[np.unique(np.linspace(0, len(beside) - 1, EDGES).round().astype(int))] if len(beside) else beside
    even = np.linspace(first, last, SHIFTS).round().astype(int)
    return np.unique(np.concatenate([even, thinned]))
