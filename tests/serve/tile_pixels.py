"""Which tile, what is in it, and what should be."""

from __future__ import annotations

import io

import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

WORLD = 20037508.342789244
"""Half the width of the Web Mercator world, metres."""
TIMEOUT = 60
"""Seconds, of one request on a machine under load."""


def tile_path(layer, tile=None):
    z, x, y = tile or layer.probe_tile
    return layer.path_template.format(z=z, x=x, y=y)


def decode(png):
    """(bands, rows, cols) uint8 of a PNG."""
    image = np.asarray(Image.open(io.BytesIO(png)))
    return np.moveaxis(image, -1, 0)


def warped(path, tile, indexes, nodata=None):
    """What a tile covers, warped by rasterio: (float bands, 256, 256) and where it is valid."""
    z, x, y = tile
    side = 2 * WORLD / 2**z
    west, north = x * side - WORLD, WORLD - y * side
    transform = from_bounds(west, north - side, west + side, north, 256, 256)
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source,
            crs="EPSG:3857",
            transform=transform,
            width=256,
            height=256,
            nodata=nodata,
            resampling=Resampling.nearest,
            add_alpha=nodata is None and source.nodata is None,
        ) as view,
    ):
        values = view.read(indexes).astype(float)
        if nodata is not None or source.nodata is not None:
            return values, view.read_masks(indexes[0]) > 0
        return values, view.read(view.count) > 0  # the added alpha band


def stretched(values, low, high):
    low, high = np.array(low, float)[:, None, None], np.array(high, float)[:, None, None]
    return np.clip((values - low) / (high - low) * 255, 0, 255)


def deeper(layer, levels):
    """(z, x, y) of the tile over the middle of the scene, `levels` zooms further in than the probe tile."""
    z = layer.probe_tile[0] + levels
    west, south, east, north = transform_bounds("EPSG:4326", "EPSG:3857", *layer.bounds)
    side = 2 * WORLD / 2**z
    return z, int(((west + east) / 2 + WORLD) / side), int((WORLD - (south + north) / 2) / side)
