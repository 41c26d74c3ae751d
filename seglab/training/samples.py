"""Chips to train on, made from partial labels.

What is not labelled is unknown, not background. Background is: a ring around each accepted object, inside the window
in which a person saw it whole; negative clicks; and what lies unlabelled inside a reviewed extent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from seglab.core.masks import rasterize
from seglab.core.prompts import Prompts
from seglab.core.raster import Scene
from seglab.core.windows import Window, common_scale, sweep_windows
from seglab.encoding.encoder import WindowEncoder
from seglab.jobs import Reporter
from seglab.models.sam import Prefix
from seglab.training.losses import IGNORE

RING = 6
"""Width of the ring around an accepted object that counts as background, mask pixels."""
CLICK_RADIUS = 2
"""Radius of the disc that a negative click says is background, mask pixels."""
VIEWS = 4
"""Windows at the map's scale in which an object accepted at another scale is shown, at most."""

RecordedPrompts = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Points, labels and box in model pixels: see Prompts.in_model."""


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


@dataclass(frozen=True)
class Chip:
    """One window, in one orientation, ready for training."""

    prefix: Prefix
    """Stored activations of the frozen prefix, batch of one."""
    masks: np.ndarray
    """(N, m, m) bool: the objects to prompt for, at the decoder's resolution."""
    prompts: tuple[RecordedPrompts | None, ...]
    """Per object, the recorded prompts; None where they no longer fit the object."""
    class_target: np.ndarray
    """(m, m) int64: IGNORE, 0 background, 1..C."""


def plan(labels: Labels, size: int, shape: tuple[int, int], count: int, orientations: int) -> list[tuple[Window, int]]:
    """Which windows to train on, and in which orientation, at most `count` in all.

    Windows in which objects were accepted come first, and views at the map's scale of objects that were accepted at
    another: the map has to know what a large lake looks like from inside. Reviewed extents without an object get up to
    half of the places.

    Args:
        labels: the snapshot.
        size: side of the model's input, model pixels.
        shape: (rows, cols) of the scene.
        count: places; more would never be drawn.
        orientations: how many of the 8 flips and quarter turns of each window to use.

    Returns:
        (window, turn) pairs, no two alike; see `_turned` for the turns.
    """
    scale = common_scale(obj.window for obj in labels.objects)
    lattice = list(sweep_windows(shape, size, 0.0, scale))
    seen = {obj.window for obj in labels.objects}
    for obj in labels.objects:
        if obj.window.scale != scale:
            seen |= set(_most_covered(lattice, obj.geometry, VIEWS))
    reviewed = [
        w
        for w in lattice
        if w not in seen and any(w.polygon.intersection(extent).area > 0 for extent in labels.reviewed)
    ]
    turns = range(min(orientations, 8))
    rng = np.random.default_rng(0)
    ours = [(w, turn) for turn in turns for w in _shuffled(sorted(seen), rng)]
    theirs = [(w, turn) for turn in turns for w in _shuffled(reviewed, rng)]
    theirs = theirs[: max(count // 2, count - len(ours))]
    return ours[: count - len(theirs)] + theirs


def _most_covered(windows: list[Window], geometry: BaseGeometry, count: int) -> list[Window]:
    """The windows that have most of a geometry in them, at most `count`."""
    areas = {w: w.polygon.intersection(geometry).area for w in windows}
    return sorted((w for w in windows if areas[w] > 0), key=lambda w: -areas[w])[:count]


def _shuffled(windows: list[Window], rng: np.random.Generator) -> list[Window]:
    return [windows[i] for i in rng.permutation(len(windows))]


def class_target(labels: Labels, window: Window, mask_size: int, valid: np.ndarray) -> np.ndarray:
    """What is known of a window's pixels, at the decoder's resolution.

    Args:
        labels: the snapshot.
        window: where.
        mask_size: side of the result.
        valid: bool, model-sized: False where the scene has no data.

    Returns:
        (mask_size, mask_size) int64: IGNORE, 0 background, 1..C.
    """
    target = np.full((mask_size, mask_size), IGNORE, dtype=np.int64)
    for extent in labels.reviewed:
        target[_at_mask_size(extent, window, mask_size)] = 0
    near = [obj for obj in labels.objects if window.polygon.intersects(obj.geometry)]
    for obj in near:
        target[_ring(obj, window, mask_size)] = 0
    target[_negative_clicks(labels, window, mask_size)] = 0
    for obj in near:
        target[_at_mask_size(obj.geometry, window, mask_size)] = obj.class_index + 1
    inside = cv2.resize(valid.astype(np.uint8), (mask_size, mask_size), interpolation=cv2.INTER_NEAREST)
    target[inside == 0] = IGNORE
    return target


def _negative_clicks(labels: Labels, window: Window, mask_size: int) -> np.ndarray:
    """A disc around every click that said "not this"."""
    discs = np.zeros((mask_size, mask_size), dtype=np.uint8)
    clicks = [p for obj in labels.objects for p in obj.prompts.points if not p.positive]
    for click in (c for c in clicks if window.contains(c.col, c.row)):
        col = (click.col - window.col) / window.width * mask_size
        row = (click.row - window.row) / window.height * mask_size
        cv2.circle(discs, (int(col), int(row)), CLICK_RADIUS, 1, -1)
    return discs > 0


def _at_mask_size(geometry: BaseGeometry, window: Window, mask_size: int) -> np.ndarray:
    """A geometry as a bool mask of the window at the decoder's resolution; a thin object never vanishes."""
    mask = rasterize(geometry, window).astype(np.float32)
    share = cv2.resize(mask, (mask_size, mask_size), interpolation=cv2.INTER_AREA)
    found = share >= 0.5
    return found if found.any() else share > 0


def _ring(obj: TrainingObject, window: Window, mask_size: int) -> np.ndarray:
    """The ring around an object, only where the window in which it was accepted shows its surroundings."""
    mask = _at_mask_size(obj.geometry, window, mask_size).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING + 1, 2 * RING + 1))
    ring = (cv2.dilate(mask, kernel) > 0) & (mask == 0)
    if obj.window != window:
        ring &= _at_mask_size(obj.window.polygon, window, mask_size)
    return ring


def build_chips(
    reporter: Reporter, labels: Labels, scene: Scene, encoder: WindowEncoder, count: int, orientations: int
) -> list[Chip]:
    """The chips of a round, with the frozen prefix computed once for each.

    Args:
        reporter: told which chip is being encoded.
        labels: the snapshot, with at least one object.
        scene, encoder: where pixels and prefixes come from.
        count: how many chips to make, at most.
        orientations: how many of the 8 flips and quarter turns of each window to use.

    Returns:
        Chips of which every one has something labelled.
    """
    spec = encoder.model.spec
    chips: list[Chip] = []
    places = plan(labels, spec.image_size, (scene.grid.height, scene.grid.width), count, orientations)
    for done, (window, turn) in enumerate(places):
        reporter.update(0, message=f"encoding window {done + 1} of {len(places)}")
        rgb, valid = scene.rgb(window)
        target = class_target(labels, window, spec.mask_size, valid)
        if (target == IGNORE).all():
            continue
        masks, prompts = _prompted_objects(labels, window, spec.mask_size)
        prefix = encoder.prefix(window) if turn == 0 else encoder.prefix_of(_turned(rgb, turn))
        recorded = tuple(None if p is None else _turned_prompts(p, turn, spec.image_size) for p in prompts)
        stack = np.zeros((len(masks), *target.shape), dtype=bool)
        for i, mask in enumerate(masks):
            stack[i] = _turned(mask, turn)
        chips.append(Chip(prefix, stack, recorded, _turned(target, turn)))
    return chips


def _prompted_objects(
    labels: Labels, window: Window, mask_size: int
) -> tuple[list[np.ndarray], list[RecordedPrompts | None]]:
    """The masks of the objects accepted in a window, and their recorded prompts.

    A later object may have taken ground from an earlier one: what is left may be too thin to see, and its prompts may
    no longer point at it.
    """
    masks, prompts = [], []
    for obj in labels.objects:
        if obj.window != window:
            continue
        mask = _at_mask_size(obj.geometry, window, mask_size)
        if not mask.any():
            continue
        hits = [obj.geometry.intersects(Point(p.col, p.row)) for p in obj.prompts.points if p.positive]
        masks.append(mask)
        prompts.append(None if obj.prompts.is_empty or not all(hits) else obj.prompts.in_model(window))
    return masks, prompts


def _turned(array: np.ndarray, turn: int) -> np.ndarray:
    """One of the 8 symmetries of the square on the first two axes: a flip for 4..7, then quarter turns."""
    flipped = array[:, ::-1] if turn >= 4 else array
    return np.ascontiguousarray(np.rot90(flipped, turn % 4))


def _turned_points(points: np.ndarray, turn: int, size: int) -> np.ndarray:
    """(N, 2) (x, y) under the same symmetry as `_turned`."""
    x, y = points[:, 0], points[:, 1]
    if turn >= 4:
        x = size - x
    for _ in range(turn % 4):
        x, y = y, size - x
    return np.stack([x, y], axis=1).astype(np.float32)


def _turned_prompts(prompts: RecordedPrompts, turn: int, size: int) -> RecordedPrompts:
    points, labels, corners = prompts
    if corners is not None:
        turned = _turned_points(corners.reshape(2, 2), turn, size)
        corners = np.concatenate([turned.min(0), turned.max(0)])
    return _turned_points(points, turn, size), labels, corners


def batches(chips: Sequence[Chip], steps: int, rng: np.random.Generator) -> Iterator[Chip]:
    """`steps` chips, every chip once before any comes again."""
    order: list[int] = []
    for _ in range(steps):
        if not order:
            order = list(rng.permutation(len(chips)))
        yield chips[order.pop()]
