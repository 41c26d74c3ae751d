"""What suggesting costs in a scene of 10,000 x 10,000 pixels, beside a map of it.

The map's time is measured on a part and multiplied by the scene's windows. Times are of the processor on one thread, so
that other work on the machine does not count; training is in a process of its own and counts in none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import torch
from rasterio.windows import Window as RasterWindow
from shapely.geometry import box

import seglab
from seglab.inference.lattice import Lattice

SIDE, TILE = 10_000, 512
"""Of the scene and of the file's tiles, pixels."""
PLACE, PART = 5_000, 1_200
"""Where the part begins that is mapped, and its side, pixels."""
STRATEGIES = ("entropy", "coreset", "badge", "rounds", "flips")
"""Of different passes: one look at a window, two, and four."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields of many colours, a COG-like file: tiled, with overviews."""
    path = tmp_path_factory.mktemp("wide") / "scene.tif"
    rng = np.random.default_rng(0)
    small = rng.integers(40, 210, (SIDE // 100, SIDE // 100, 3), dtype=np.uint8)
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "tiled": True}
    profile |= {"blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "zlevel": 1, "photometric": "rgb"}
    with rasterio.open(
        path, "w", **profile, crs="EPSG:32636", transform=rasterio.Affine(1, 0, 4e5, 0, -1, 5e6)
    ) as file:
        for row in range(0, SIDE, TILE):
            height = min(TILE, SIDE - row)
            rows = (np.arange(row, row + height) // 100)[:, None]
            strip = small[rows, (np.arange(SIDE) // 100)[None]]
            file.write(cv2.blur(strip, (5, 5)).transpose(2, 0, 1), window=RasterWindow(0, row, SIDE, height))
        file.build_overviews([4, 16], rasterio.enums.Resampling.average)
    return path


def processor_seconds(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def test_suggesting_beside_mapping(scene: Path, tmp_path: Path, table: list[str]) -> None:
    torch.set_num_threads(1)
    session = seglab.open(scene, classes=["field"], project=tmp_path / "p", device="cpu")
    session.prefetches = False
    for place in range(6):
        left = 2_000 + 700 * place
        session.paint(box(left, 3_000, left + 95, 3_095), crs="pixel")
        session.accept("field")
    first = processor_seconds(lambda: session.suggest(5))
    again = processor_seconds(lambda: session.suggest(5))
    session.retrain(steps=4).result()
    after = processor_seconds(lambda: session.suggest(5))
    costs = {name: processor_seconds(lambda name=name: session.suggest(5, name)) for name in STRATEGIES[1:]}
    session.set_area_of_interest(box(PLACE, PLACE, PLACE + PART, PLACE + PART), crs="pixel")
    mapped = processor_seconds(lambda: session.predict(tmp_path / "map.tif").result())
    lattice = Lattice((SIDE, SIDE), session.model_size, 1)
    starts = np.arange(lattice.counts[0]) * lattice.step
    across = np.count_nonzero((starts < PLACE + PART) & (starts + lattice.size > PLACE))
    session.close()
    whole = mapped / across**2 * np.prod(lattice.counts)
    table.append(
        f"{SIDE} x {SIDE} pixels: a map of {np.prod(lattice.counts)} windows takes {whole:.0f} s "
        f"({SIDE**2 / 1e6 / whole:.3f} Mpx/s, from {across**2} of them); suggest(5) {first:.1f} s at first "
        f"({first / whole:.1%}), {again:.2f} s again, {after:.1f} s after a round ({after / whole:.1%}; asked 10 %)"
    )
    more = ", ".join(f"{name} {seconds:.1f} s ({seconds / whole:.1%})" for name, seconds in costs.items())
    table.append(f"  then by another strategy: {more}")
