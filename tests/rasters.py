"""The one factory of synthetic rasters for the tests."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning

UTM = Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 5_000_000.0)
"""10 m pixels somewhere in northern Italy, for EPSG:32632."""


def pattern(count: int, height: int, width: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Bands with blobs, ramps and a little noise, different in each band.

    Args:
        count, height, width: of the array.
        dtype: integers fill about the lower half of 12 bits (8 bits for uint8), floats 0..1.
        seed: of the noise and the blobs.

    Returns:
        (count, height, width).
    """
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:height, :width]
    top = {"u": 200.0, "i": 2000.0, "f": 1.0}[np.dtype(dtype).kind]
    if dtype not in ("uint8", "int8") and np.dtype(dtype).kind == "u":
        top = 2000.0
    bands = []
    for band in range(count):
        base = 0.3 + 0.2 * np.sin(row / (7 + band)) * np.cos(col / (11 - band % 5)) + 0.2 * col / width
        for _ in range(3):
            r, c, radius = rng.integers(height), rng.integers(width), rng.integers(4, max(5, height // 4))
            base = base + 0.2 * (np.hypot(row - r, col - c) < radius) * (1 if band % 2 else -1)
        base = base + rng.normal(0, 0.01, base.shape)
        bands.append(np.clip(base, 0.02, 1) * top)
    return np.stack(bands).astype(dtype)


def make_raster(
    path: str | Path,
    width: int = 128,
    height: int = 96,
    count: int = 3,
    dtype: str = "uint8",
    crs: Any = "EPSG:32632",
    transform: Affine | None = UTM,
    nodata: float | None = None,
    *,
    data: np.ndarray | None = None,
    seed: int = 0,
    holes: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    alpha: np.ndarray | None = None,
    names: Sequence[str] = (),
    colours: Sequence[ColorInterp] = (),
    overviews: Sequence[int] = (),
    driver: str = "GTiff",
    **profile: Any,
) -> Path:
    """Write a raster.

    Args:
        path: to write to.
        width, height, count, dtype: of the raster; taken from `data` where it is given.
        crs: anything rasterio takes; None for a plain image.
        transform: geotransform; None for none.
        nodata: the file's nodata value.
        data: (count, height, width) pixels; None makes `pattern`.
        seed: of the pattern.
        holes: (height, width) bool, pixels that are set to `nodata` in every band.
        mask: (height, width) bool, True where valid: written as an internal mask.
        alpha: (height, width) bool, True where valid: written as one more band, tagged alpha.
        names: band descriptions.
        colours: colour tags of the bands.
        overviews: factors of the overviews to build, by average.
        driver: of GDAL.
        profile: further options of rasterio.open.

    Returns:
        The path.
    """
    data = pattern(count, height, width, dtype, seed) if data is None else np.array(data)
    count, height, width = data.shape
    if holes is not None:
        data[:, holes] = nodata
    tags = list(colours)
    if alpha is not None:
        opaque = np.iinfo(data.dtype).max if data.dtype.kind in "iu" else 255
        data = np.concatenate([data, (alpha * opaque).astype(data.dtype)[None]])
        if data.shape[0] == 4 and not tags:
            tags = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        tags = [*(tags or [ColorInterp.gray, *[ColorInterp.undefined] * (count - 1)]), ColorInterp.alpha]
    if driver == "GTiff" and (alpha is not None or not tags):  # GDAL calls any fourth 8-bit band alpha
        profile.setdefault("photometric", "rgb" if count == 3 else "minisblack")
        profile.setdefault("alpha", "no" if alpha is None else "yes")
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver=driver,
            width=width,
            height=height,
            count=data.shape[0],
            dtype=data.dtype.name,
            crs=crs,
            transform=transform,
            nodata=nodata,
            **profile,
        ) as file:
            file.write(data)
            if tags:
                file.colorinterp = tags
            for index, name in enumerate(names, start=1):
                file.set_band_description(index, name)
            if mask is not None:
                file.write_mask(mask)
        if overviews:
            with rasterio.open(path, "r+") as file:
                file.build_overviews(list(overviews), Resampling.average)
    return Path(path)


def damage_tile(path: Path, row: int, col: int) -> None:
    """Overwrite a tile of a compressed, tiled GeoTIFF with zeros; size and times of the file stay as they are."""
    times, data = path.stat(), bytearray(path.read_bytes())
    with rasterio.open(path) as file:
        offset, size = (
            int(file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1)) for what in ("OFFSET", "SIZE")
        )
    data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
