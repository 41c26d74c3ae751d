"""From a scene's pixels to what a web map shows: overlays, outlines and the coordinates of clicks.

A georeferenced scene is shown in Web Mercator. A scene with no place on the Earth, or at a pole, is shown on a plain
map, whose longitude is the column and whose latitude is minus the row.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from PIL import Image
from shapely.geometry.base import BaseGeometry

from seglab.core.grid import LONLAT, PIXEL, Grid
from seglab.core.windows import Window

MERCATOR_LIMIT = 85.0511287798066
"""Degrees of latitude at which Web Mercator ends."""

EARTH_RADIUS = 6378137.0
"""Metres, of Web Mercator's sphere."""

MAX_PIXELS = 900_000
"""Pixels of an overlay's image, at most: about 15 ms to warp and pack."""

MAX_OVERSAMPLING = 8
"""Overlay pixels per scene pixel along an axis, at most: its edges are then within a sixteenth of a pixel, which is
half a screen pixel where a scene pixel fills eight."""

_LATTICE = 33
"""Points along an axis at which a warp is computed exactly; between them it is linear."""

_SIMPLIFY = 0.75
"""Scene pixels that an outline may move when it is shown: takes the stairs out of diagonal edges."""

LatLonBounds = tuple[tuple[float, float], tuple[float, float]]
"""((south, west), (north, east)) in the coordinates of the map, as Leaflet wants them."""


@dataclass(frozen=True)
class MapFrame:
    """How a scene lies on the map that shows it."""

    grid: Grid
    is_plain: bool
    """Whether the map is plain (pixels) and not Web Mercator."""

    @classmethod
    def of(cls, grid: Grid) -> MapFrame:
        """The frame that can show a scene: Web Mercator unless the scene has no place in it."""
        if not grid.is_georeferenced:
            return cls(grid, True)
        west, south, east, north = grid.bounds(LONLAT)
        inside = south > -MERCATOR_LIMIT and north < MERCATOR_LIMIT and east - west < 300
        return cls(grid, not inside)

    @property
    def crs(self) -> str:
        """The CRS in which clicks on the map are given to a session."""
        return PIXEL if self.is_plain else LONLAT

    @cached_property
    def bounds(self) -> LatLonBounds:
        """The scene's corners on the map."""
        west, south, east, north = self.grid.bounds(self.crs)
        if self.is_plain:  # the pixel bounds are (0, 0, width, height), rows downwards
            return (-north, west), (-south, east)
        return (south, west), (north, east)

    def to_crs(self, lat: float, lon: float) -> tuple[float, float]:
        """A place on the map as (x, y) in `crs`."""
        return (lon, -lat) if self.is_plain else (lon, lat)

    def rectangle(self, corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float, float, float]:
        """(least x, least y, largest x, largest y) in `crs` of a rectangle on the map by two opposite corners, each
        (latitude, longitude)."""
        (x0, y0), (x1, y1) = self.to_crs(*corner), self.to_crs(*other)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def to_map(self, col: float, row: float) -> tuple[float, float]:
        """A scene pixel coordinate as (latitude, longitude) on the map."""
        if self.is_plain:
            return -row, col
        lon, lat = self.grid.from_pixel(col, row, LONLAT)
        return lat, lon

    def view_pixels(self, bounds: LatLonBounds) -> float:
        """How much of the scene a view shows.

        Args:
            bounds: of the view.

        Returns:
            The shorter side of the view in scene pixels, at most that of the scene; NaN where the view is beyond
            the scene's CRS.
        """
        (south, west), (north, east) = bounds
        middle_lat, middle_lon = (south + north) / 2, (west + east) / 2
        lats = np.array([middle_lat, middle_lat, south, north])
        lons = np.array([west, east, middle_lon, middle_lon])
        x, y = self.to_crs(lats, lons)
        col, row = self.grid.to_pixel(x, y, self.crs)
        across = math.hypot(col[1] - col[0], row[1] - row[0])
        along = math.hypot(col[3] - col[2], row[3] - row[2])
        return min(across, along, float(min(self.grid.shape)))

    def geojson(self, geometry: BaseGeometry, simplify: bool = True) -> dict[str, Any]:
        """A geometry of scene pixels as GeoJSON in the coordinates of the map.

        Args:
            geometry: in scene pixels.
            simplify: smooth the stairs of pixel edges, by less than a pixel.
        """
        if simplify:
            geometry = geometry.simplify(_SIMPLIFY)
        if self.is_plain:
            shown = shapely.transform(geometry, lambda xy: xy * (1, -1))
        else:
            shown = self.grid.geometry_from_pixel(geometry, LONLAT)
        return shapely.geometry.mapping(shown)


@dataclass(frozen=True)
class Overlay:
    """An image that lies on the map."""

    png: bytes = field(repr=False)
    bounds: LatLonBounds

    @property
    def url(self) -> str:
        """The image as a data: URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def overlay_png(
    mask: np.ndarray, window: Window, grid: Grid, colour: str, alpha: float = 0.45, plain: bool = False
) -> Overlay | None:
    """A mask as an image that sits exactly on the tiles: warped to Web Mercator and cropped to its content.

    Args:
        mask: (window.height, window.width) bool.
        window: where the mask lies.
        grid: of the scene.
        colour: '#rrggbb' of the mask; its edge is drawn opaque.
        alpha: opacity of its inside, 0 to 1.
        plain: for a plain map, whose coordinates are pixels.

    Returns:
        The overlay, or None for an empty mask.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(cols[0])
    inside = mask[top : rows[-1] + 1, left : cols[-1] + 1]
    col, row = window.col + left, window.row + top
    if plain:
        height, width = inside.shape
        bounds = ((-(row + height), col), (-row, col + width))
        return Overlay(_pack(_enlarge(inside), colour, alpha), bounds)
    warped, bounds = _warp(inside, col, row, grid)
    return Overlay(_pack(warped, colour, alpha), bounds)


def image_png(image: np.ndarray) -> bytes:
    """PNG bytes of an image.

    Args:
        image: (h, w, 3) or (h, w, 4) uint8.
    """
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()


def _enlarge(mask: np.ndarray) -> np.ndarray:
    """The mask with several image pixels per scene pixel, so that its drawn edge is thinner than one."""
    factor = _oversampling(*mask.shape)
    return np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)


def _oversampling(height: float, width: float) -> int:
    return max(1, min(MAX_OVERSAMPLING, int(math.sqrt(MAX_PIXELS / (height * width)))))


def _mercator(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Web Mercator metres of degrees; longitudes are not wrapped."""
    lat = np.clip(lat, -MERCATOR_LIMIT, MERCATOR_LIMIT)
    return EARTH_RADIUS * np.radians(lon), EARTH_RADIUS * np.arcsinh(np.tan(np.radians(lat)))


def _degrees(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `_mercator`: (longitude, latitude)."""
    return np.degrees(x / EARTH_RADIUS), np.degrees(np.arctan(np.sinh(y / EARTH_RADIUS)))


def _warp(mask: np.ndarray, col: int, row: int, grid: Grid) -> tuple[np.ndarray, LatLonBounds]:
    """A mask in Web Mercator by nearest neighbour, and where its image lies."""
    height, width = mask.shape
    along = np.linspace(0.0, 1.0, _LATTICE)
    edge_cols = col + width * np.concatenate([along, along, 0 * along, 0 * along + 1])
    edge_rows = row + height * np.concatenate([0 * along, 0 * along + 1, along, along])
    x, y = _mercator(*grid.from_pixel(edge_cols, edge_rows, LONLAT))
    west, east, south, north = x.min(), x.max(), y.min(), y.max()
    # As fine as the scene along each axis; a rotated scene fills a larger rectangle with the same detail.
    pixel = math.sqrt((east - west) * (north - south) / (height * width))
    out_w, out_h = (east - west) / pixel, (north - south) / pixel
    factor = math.sqrt(MAX_PIXELS / (out_w * out_h))
    factor = min(float(MAX_OVERSAMPLING), factor if factor < 1 else float(int(factor)))
    out_w, out_h = max(1, round(out_w * factor)), max(1, round(out_h * factor))

    lon, lat = _degrees(*np.meshgrid(np.linspace(west, east, _LATTICE), np.linspace(north, south, _LATTICE)))
    cols, rows = grid.to_pixel(lon, lat, LONLAT)
    across, down = _interpolation(out_w), _interpolation(out_h)
    at_col = np.floor(down @ (cols - col).astype(np.float32) @ across.T).astype(np.int32)
    at_row = np.floor(down @ (rows - row).astype(np.float32) @ across.T).astype(np.int32)
    padded = np.pad(mask, 1)  # what lies outside the mask's rectangle falls on its empty border
    np.clip(at_col, -1, width, out=at_col)
    np.clip(at_row, -1, height, out=at_row)
    warped = padded.ravel()[(at_row + 1) * (width + 2) + at_col + 1]
    bounds_lon, bounds_lat = _degrees(np.array([west, east]), np.array([south, north]))
    return warped, (
        (float(bounds_lat[0]), float(bounds_lon[0])),
        (float(bounds_lat[1]), float(bounds_lon[1])),
    )


def _interpolation(count: int) -> np.ndarray:
    """(count, _LATTICE) weights that interpolate a lattice linearly at the centres of `count` pixels."""
    place = (np.arange(count) + 0.5) / count * (_LATTICE - 1)
    lower = np.minimum(place.astype(int), _LATTICE - 2)
    weights = np.zeros((count, _LATTICE), dtype=np.float32)
    weights[np.arange(count), lower] = 1 - (place - lower)
    weights[np.arange(count), lower + 1] = place - lower
    return weights


def _pack(mask: np.ndarray, colour: str, alpha: float) -> bytes:
    """A PNG with a palette: nothing, the mask's inside, its edge."""
    padded = np.pad(mask, 1)
    core = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    image = Image.fromarray(np.where(mask, np.where(core, np.uint8(1), np.uint8(2)), np.uint8(0)), mode="P")
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    image.putpalette([0, 0, 0, *rgb, *rgb])
    stream = io.BytesIO()
    image.save(stream, format="PNG", bits=2, transparency=bytes([0, round(255 * alpha), 255]), compress_level=1)
    return stream.getvalue()
