"""Labels as a raster of class numbers on the scene's grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio.features
import shapely
from affine import Affine

from seglab.core.grid import Grid
from seglab.core.windows import blocks
from seglab.store.geopackage import CLASS_COLUMN
from seglab.store.rasters import RasterWriter

UNLABELLED = 0
_BLOCK = 2048
"""Side of the blocks that are burnt at once, in pixels: whole tiles of the file, 4 MiB of class numbers."""


def write_geotiff(
    labels: gpd.GeoDataFrame,
    path: Path,
    *,
    grid: Grid,
    colours: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Write class numbers as a Cloud-Optimized GeoTIFF, block by block.

    A pixel belongs to a polygon that its centre lies in, so polygons on pixel edges give back their masks
    exactly. Where polygons overlap the later row wins.

    Args:
        labels: Polygons in the CRS of `grid` (pixel coordinates when it has none) with a `class` column,
            every class of which is in `colours`.
        path: Its name.
        grid: The scene's grid: `width`, `height`, `transform`, `crs`.
        colours: '#rrggbb' per class; the first class is number 1, and 0 is unlabelled (nodata).
        tags: Tags of the file.

    Raises:
        WriteError: It could not be written; what stood there still does.
    """
    numbers = {name: number for number, name in enumerate(colours, start=1)}
    burnt = labels[CLASS_COLUMN].map(numbers).to_numpy()
    shapes = _pixel_geometries(labels, grid)
    dtype = "uint8" if len(numbers) <= np.iinfo("uint8").max else "uint16"
    writer = RasterWriter(
        path,
        grid.width,
        grid.height,
        grid.transform,
        grid.crs,
        dtype,
        UNLABELLED,
        colours={numbers[name]: colour for name, colour in colours.items()},
        names={UNLABELLED: "unlabelled"} | {number: name for name, number in numbers.items()},
        tags=tags,
    )
    tree = shapely.STRtree(shapes)
    with writer:
        for block in blocks(grid.shape, _BLOCK):
            # in row order: the last one burnt wins
            hits = np.sort(tree.query(block.polygon))
            if hits.size:
                values = rasterio.features.rasterize(
                    [(shapes[hit], int(burnt[hit])) for hit in hits],
                    out_shape=block.shape,
                    fill=UNLABELLED,
                    transform=Affine.translation(block.col, block.row),
                    dtype=dtype,
                )
                writer.write(values, block.row, block.col)
    return path


def _pixel_geometries(labels: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """The polygons in pixel coordinates (col, row)."""
    shapes = labels.geometry.to_numpy()
    if grid.crs is None:
        return shapes
    a, b, c, d, e, f = (~grid.transform)[:6]
    to_pixel = np.array([[a, b], [d, e]])

    def apply(points: np.ndarray) -> np.ndarray:
        return points @ to_pixel.T + (c, f)

    return shapely.transform(shapes, apply)
