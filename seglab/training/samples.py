"""Chips to train on and to judge by, made from partial labels.

What is not labelled is unknown, not background. Background is: a ring around each accepted object, inside the window
in which a person saw it whole; negative clicks; and what lies unlabelled inside a reviewed extent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from seglab.core.masks import rasterize
from seglab.core.raster import Scene
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.jobs import Reporter
from seglab.training.job import RecordedPrompts, RoundConfig, TrainingChip
from seglab.training.losses import IGNORE
from seglab.training.plan import Labels, TrainingObject, ground_id, plan

RING = 6
"""Width of the ring around an accepted object that counts as background, mask pixels."""
SMALLEST = 9
"""Mask pixels that an object needs to be prompted for in a window of another scale than its own."""
CLICK_RADIUS = 2
"""Radius of the disc that a negative click says is background, mask pixels."""
JUDGES = 60
"""Held-out objects that a round is judged by, at most: intervals hardly get narrower, judging takes longer."""


@dataclass(frozen=True)
class Chips:
    """What a round trains on."""

    chips: tuple[TrainingChip, ...]
    """Of which every one has something labelled, none of which shows excluded ground; in the plan's order."""
    left_out: int
    """Objects that are prompted for in no window, for all around them is excluded."""
    trained: tuple[int, ...]
    """Indices in `Labels.objects` of all that some chip's window shows, whole or in part: what the round has seen."""


@dataclass(frozen=True)
class _Ground:
    """A window as it is: read and drawn once for all its views."""

    rgb: np.ndarray
    extra: np.ndarray | None
    masks: np.ndarray
    """(N, m, m) bool."""
    prompts: tuple[RecordedPrompts | None, ...]
    target: np.ndarray
    """(m, m) int64."""


def build_chips(
    reporter: Reporter, labels: Labels, scene: Scene, encoder: WindowEncoder, count: int, config: RoundConfig
) -> Chips:
    """The chips of a round. Reads pixels; no network runs.

    Args:
        reporter: told which window is being read.
        labels: the snapshot, with at least one object.
        scene: where pixels come from.
        encoder: reads the windows and names their prefixes.
        count: how many chips to make, at most.
        config: the recipe.

    Raises:
        JobCancelled: the reporter asked to stop.
    """
    size = encoder.model.spec.image_size
    found = plan(labels, size, scene.grid.shape, count, config.augment)
    views: dict[Window, list[View]] = {}
    for window, view in found.places:
        views.setdefault(window, []).append(view)
    chips: dict[tuple[Window, View], TrainingChip] = {}
    for done, (window, seen) in enumerate(views.items()):
        reporter.update(0, message=f"reading window {done + 1} of {len(views)}")
        ground = _ground(labels, scene, encoder, window, found.objects[window])
        if (ground.target == IGNORE).all():
            continue
        for view in seen:
            chips[window, view] = _chip(ground, encoder, window, view, ground_id(window))
    made = tuple(chips[place] for place in found.places if place in chips)
    return Chips(made, found.left_out, _seen_in(labels, {window for window, _ in chips}))


def _seen_in(labels: Labels, windows: Collection[Window]) -> tuple[int, ...]:
    """Indices of the objects that some window shows any of."""
    tree = STRtree([obj.geometry for obj in labels.objects])
    found = tree.query([window.polygon for window in windows], predicate="intersects")[1] if windows else []
    return tuple(np.unique(found).astype(int).tolist())


def held_out_chips(
    reporter: Reporter, labels: Labels, scene: Scene, encoder: WindowEncoder, most: int = JUDGES
) -> list[TrainingChip]:
    """The chips that a round is judged by: the windows of held-out objects, as they are.

    Only held-out ground carries class labels in them, and every object is prompted for in one window, its own. At most
    `most` objects are: the same ones every time, from as many places as there are.

    Args:
        reporter: told which window is being read; may cancel.
        labels: the held-out objects; `excluded` is the held-out ground.
        scene, encoder: see `build_chips`.
        most: objects.

    Returns:
        One chip per window, sorted; of one group where they show the same ground.

    Raises:
        JobCancelled: the reporter asked to stop.
    """
    ground = shapely.union_all([*labels.excluded, *(obj.geometry for obj in labels.objects)])
    by_window: dict[Window, list[int]] = {}
    for n in _judges(labels.objects, most):
        by_window.setdefault(labels.objects[n].window, []).append(n)
    chips: list[TrainingChip] = []
    for window, own in sorted(by_window.items()):
        reporter.update(0, message=f"reading held-out window {len(chips) + 1} of {len(by_window)}")
        found = _ground(labels, scene, encoder, window, own)
        found.target[~_at_mask_size(ground, window, encoder.model.spec.mask_size)] = IGNORE
        chips.append(_chip(found, encoder, window, View(), ground_id(window)))
    return chips


def _judges(objects: Sequence[TrainingObject], most: int) -> list[int]:
    """Indices of `most` objects, sorted: one of every place in turn, places and objects in an order of chance."""
    turns: Counter[str] = Counter()
    order: list[tuple[int, int]] = []
    for n in np.random.default_rng(0).permutation(len(objects)).tolist():
        place = ground_id(objects[n].window)
        order.append((turns[place], n))
        turns[place] += 1
    order.sort(key=lambda found: found[0])
    return sorted(n for _, n in order[:most])


def _ground(labels: Labels, scene: Scene, encoder: WindowEncoder, window: Window, objects: Sequence[int]) -> _Ground:
    mask_size = encoder.model.spec.mask_size
    rgb, valid = scene.rgb(window)
    extra = scene.extra(window, encoder.extra_bands) if encoder.extra_bands else None
    masks, prompts = _prompted_objects([labels.objects[n] for n in objects], window, mask_size)
    return _Ground(rgb, extra, masks, prompts, class_target(labels, window, mask_size, valid))


def _chip(ground: _Ground, encoder: WindowEncoder, window: Window, view: View, group: str) -> TrainingChip:
    """A window in one view. An object that the view leaves out is not prompted for."""
    size = encoder.model.spec.image_size
    masks = [view.labels(mask) for mask in ground.masks]
    kept = [n for n, mask in enumerate(masks) if mask.any()]
    return TrainingChip(
        encoder.prefix_key(window, view),
        view.image(ground.rgb),
        None if ground.extra is None else view.layers(ground.extra),
        np.stack([masks[n] for n in kept]) if kept else np.zeros((0, *ground.target.shape), dtype=bool),
        tuple(_seen(ground.prompts[n], view, size) for n in kept),
        view.labels(ground.target, IGNORE),
        group,
    )


def _seen(prompts: RecordedPrompts | None, view: View, size: int) -> RecordedPrompts | None:
    """Recorded prompts in a view; None where it does not show all of them."""
    if prompts is None:
        return None
    points, labels, corners = prompts
    points = view.points(points, size)
    if corners is not None:
        turned = view.points(corners.reshape(2, 2), size)
        corners = np.concatenate([turned.min(0), turned.max(0)])
    for found in (points, corners):
        if found is not None and ((found < 0) | (found > size)).any():
            return None
    return points, labels, corners


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
    for other in labels.others:
        if window.polygon.intersects(other):
            target[_at_mask_size(other, window, mask_size)] = IGNORE
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


def _prompted_objects(
    objects: Sequence[TrainingObject], window: Window, mask_size: int
) -> tuple[np.ndarray, tuple[RecordedPrompts | None, ...]]:
    """The masks of objects in a window, and their recorded prompts.

    A later object may have taken ground from an earlier one: what is left may be too thin to see, and its prompts may
    no longer point at it.
    """
    masks, prompts = [], []
    for obj in objects:
        mask = _at_mask_size(obj.geometry, window, mask_size)
        own = obj.window.scale == window.scale
        if mask.sum() < (1 if own else SMALLEST):
            continue
        masks.append(mask)
        prompts.append(_recorded(obj, window))
    return np.array(masks, dtype=bool).reshape(-1, mask_size, mask_size), tuple(prompts)


def _recorded(obj: TrainingObject, window: Window) -> RecordedPrompts | None:
    """What a person said about an object, in a window's model pixels; None where it no longer fits."""
    hits = all(obj.geometry.intersects(Point(p.col, p.row)) for p in obj.prompts.points if p.positive)
    if obj.prompts.is_empty or not hits:
        return None
    if obj.window != window and not all(window.contains(p.col, p.row) for p in obj.prompts.points):
        return None
    return obj.prompts.in_model(window)
