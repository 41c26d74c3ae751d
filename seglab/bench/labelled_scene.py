"""A labelled scene as a simulation of active learning uses it: every third window judges, in diagonal stripes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.app.labels.importing import imported
from seglab.bench.window_pool import TURN, PoolWindow, Windows, common_scale, tiles
from seglab.core.masks import rasterize
from seglab.core.metrics import IGNORE
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.datasets.folder import MIN_OBJECT_PX
from seglab.datasets.labels_file import CLASS, read_labels
from seglab.errors import DatasetError


def scene_windows(
    path: str | Path, labels: str | Path, class_name: str | None, size: int, most: int, judges: int
) -> Windows:
    """Windows of a scene in which everything is labelled: what is no object is background.

    Args:
        path: the scene.
        labels: its objects: see `read_labels`.
        class_name: of all objects, for files that tell none.
        size: side of the model's input, model pixels.
        most, judges: windows to choose from and that judge, at most; spread over the scene.

    Raises:
        SegLabError: the scene cannot be opened.
        LabelsFileError: the labels cannot be used as they are.
        DatasetError: the scene has fewer windows than it takes.
    """
    found = read_labels(labels, class_name=class_name)
    classes = tuple(sorted(set(found[CLASS])))
    with Scene.open(path) as scene:
        objects = [
            (classes.index(one["class"]), shapely.from_wkb(one["geometry"]))
            for one in imported(found, scene.grid, size)
        ]
        shape = scene.grid.shape
        scale = common_scale([shape], size)
        side = size * scale
        places = tiles(shape, size, scale)
        judging = [w for w in places if (w.row // side + w.col // side) % TURN == 1]
        pool = [w for w in places if w not in judging]
        if not pool or not judging:
            raise DatasetError(f"{str(path)!r} has {len(places)} windows of {side} pixels; a simulation takes two")
        parts = [_seen(scene, objects, _evenly(some, count)) for some, count in ((pool, most), (judging, judges))]
    return Windows(classes, *parts, [[one.name for one in part] for part in parts])


def _evenly(windows: Sequence[Window], count: int) -> list[Window]:
    chosen = np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(int)
    return [windows[i] for i in chosen]


def _seen(scene: Scene, objects: Sequence[tuple[int, BaseGeometry]], windows: Sequence[Window]) -> list[PoolWindow]:
    """The windows that have data, with their objects; later objects lie over earlier ones."""
    tree = STRtree([outline for _, outline in objects])
    found = []
    for window in windows:
        rgb, valid = scene.rgb(window)
        if not valid.any():
            continue
        near = sorted(tree.query(window.polygon, predicate="intersects").tolist())
        truth, numbers = np.zeros(window.model_shape, np.uint8), np.full(window.model_shape, -1)
        for i in near:
            inside = rasterize(objects[i][1], window)
            truth[inside], numbers[inside] = objects[i][0] + 1, i
        truth[~valid], numbers[~valid] = IGNORE, -1
        large = [i for i in near if np.count_nonzero(numbers == i) >= MIN_OBJECT_PX]
        masks = np.array([numbers == i for i in large], dtype=bool).reshape(-1, *window.model_shape)
        name = f"{window.row}:{window.col}"
        found.append(PoolWindow(name, window, 0, rgb, truth, masks, tuple(objects[i][0] for i in large)))
    return found
