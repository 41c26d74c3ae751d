"""Peak memory of mapping large scenes beside a small one: `make bench` prints it.

The scenes are sparse: each block of the map has a patch of data, and one block is full, so that windows are encoded
all over the scene in bearable time. All pixels are read, blended where there is data, and written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.transform import from_origin
from rasterio.windows import Window

STEP, PATCH = 1536, 160
"""Pixels from one patch to the next, a block of the map; and the side of a patch."""
ALLOWED = 1.05
"""Peak of the large scene over that of the small one."""
ABOVE_MODEL_MB = 1500


def sparse_scene(path: Path, side: int) -> Path:
    """A COG of side x side pixels and three bands, of which most holds nothing and takes no space."""
    rng, rough = np.random.default_rng(0), path.with_suffix(".rough.tif")
    full = np.kron(rng.integers(20, 235, (3, 48, 48)), np.ones((32, 32))) + rng.normal(0, 8, (3, STEP, STEP))
    full = np.clip(full, 1, 255).astype(np.uint8)
    with rasterio.open(
        rough, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", crs="EPSG:32633", nodata=0,
        transform=from_origin(400_000, 5_100_000, 10, 10), photometric="RGB", tiled=True, blockxsize=512,
        blockysize=512, interleave="pixel", compress="deflate", sparse_ok=True,
    ) as target:  # fmt: skip
        for top in range(0, side - PATCH, STEP):
            for left in range(0, side - PATCH, STEP):
                row, col = rng.integers(0, STEP - PATCH, 2)
                target.write(full[:, row : row + PATCH, col : col + PATCH], window=Window(left, top, PATCH, PATCH))
        target.write(full, window=Window(STEP, STEP, STEP, STEP))
    rasterio.shutil.copy(rough, path, driver="COG", compress="deflate", sparse_ok="TRUE", overview_resampling="nearest")
    rough.unlink()
    return path


def mapped(folder: Path, side: int, kind: str) -> dict[str, float]:
    """What a process of its own says of mapping a scene."""
    scene = sparse_scene(folder / f"{side}.tif", side)
    worker = [sys.executable, "-m", "tests.bench.map_memory_worker", str(scene), str(folder / f"map_{side}.tif"), kind]
    said = subprocess.run(worker, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    with rasterio.open(folder / f"map_{side}.tif") as made:
        assert made.shape == (side, side)
    return json.loads(said.stdout)


@pytest.mark.parametrize(("kind", "large"), [("tiny", 20_000), ("stub", 40_000)])
def test_memory_does_not_grow_with_the_scene(tmp_path: Path, table: list[str], kind: str, large: int) -> None:
    found = {side: mapped(tmp_path, side, kind) for side in (5_000, large)}
    for side, one in found.items():
        table.append(
            f"{kind}, {side:,} x {side:,}: peak {one['peak']:.0f} MB, {one['peak'] - one['model']:.0f} MB above the "
            f"model; {one['windows']} windows encoded in {one['seconds']:.0f} s"
        )
    ratio = found[large]["peak"] / found[5_000]["peak"]
    table.append(f"{kind}: the large one over the small one {ratio:.3f} (asked {ALLOWED})")
    assert found[large]["peak"] <= found[large]["model"] + ABOVE_MODEL_MB
