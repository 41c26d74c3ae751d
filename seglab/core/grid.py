"""The one place where pixel coordinates and map coordinates are converted into each other."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyproj
import shapely
from affine import Affine
from pyproj.enums import TransformDirection
from shapely.geometry.base import BaseGeometry

from seglab.errors import MissingCRSError

PIXEL = "pixel"
"""The name of the scene's own pixel coordinates where a CRS is asked for."""

LONLAT = "EPSG:4326"
"""The default CRS of a georeferenced scene; x is the longitude and y the latitude."""

WEB_MERCATOR_WORLD = 2 * math.pi * 6378137.0
"""Metres once around the world in EPSG:3857."""

_EDGE_POINTS = 32
"""Points per side of a scene's outline when its bounds are transformed."""

_AREA_SEGMENT = 64.0
"""Longest straight edge when areas are measured, pixels: a row of pixels is a curve on the ground."""

_local = threading.local()  # pyproj's transformers are not to be shared between threads


def transformer(source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    """This thread's transformer between two CRSs, x before y on both sides."""
    cache: dict[tuple[str, str], pyproj.Transformer] = _local.__dict__.setdefault("transformers", {})
    key = (source.srs, target.srs)
    if key not in cache:
        cache[key] = pyproj.Transformer.from_crs(source, target, always_xy=True)
    return cache[key]


def parse_crs(crs: Any) -> pyproj.CRS:
    """A CRS from whatever pyproj takes (an authority code, WKT, a CRS of rasterio or odc-geo, ...).

    Raises:
        MissingCRSError: nothing that pyproj knows.
    """
    if isinstance(crs, pyproj.CRS):
        return crs
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise MissingCRSError(
            f"{crs!r} is not a coordinate reference system that PROJ knows; give one such as 'EPSG:4326'"
        ) from error


def _period(crs: pyproj.CRS) -> float | None:
    """Length of x once around the world, where x jumps at the antimeridian; None elsewhere."""
    cache: dict[str, float | None] = _local.__dict__.setdefault("periods", {})
    if crs.srs not in cache:
        if crs.is_geographic:  # degrees nearly always, grads in a few national systems
            cache[crs.srs] = round(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 9)
        else:
            cache[crs.srs] = WEB_MERCATOR_WORLD if crs.to_epsg() == 3857 else None
    return cache[crs.srs]


def _unwrap(x: np.ndarray, near: float, period: float | None) -> np.ndarray:
    """x moved by whole worlds to within half a world of `near`."""
    if period is None or not math.isfinite(near):
        return x
    return x - period * np.round((x - near) / period)


def _affine(matrix: Affine, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d, e, f = matrix[:6]
    return a * x + b * y + c, d * x + e * y + f


def _like(scalar: bool, x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    return (float(x), float(y)) if scalar else (x, y)


@dataclass(frozen=True)
class Grid:
    """A scene's pixels and where they lie on the Earth.

    Pixel coordinates are continuous (col, row): pixel i covers [i, i + 1), the origin is the top left corner
    of the scene. Map coordinates are (x, y), so longitude comes before latitude. Across the antimeridian x is
    continuous: it stays within half a world of the scene's centre and may pass 180 or -180 degrees; what
    comes in may be wrapped or not.
    """

    width: int
    """Columns."""
    height: int
    """Rows."""
    transform: Affine = field(default_factory=Affine.identity)
    """From (col, row) to (x, y) in `crs`."""
    crs: pyproj.CRS | None = None
    """None for an image that lies nowhere: its coordinates are pixels."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.height, self.width

    @property
    def is_georeferenced(self) -> bool:
        """Whether the scene has a place on the Earth."""
        return self.crs is not None

    @property
    def default_crs(self) -> str:
        """The CRS that is meant when none is named: "EPSG:4326", or "pixel" without georeference."""
        return LONLAT if self.is_georeferenced else PIXEL

    @cached_property
    def _inverse(self) -> Affine:
        return ~self.transform

    def to_pixel(self, x: Any, y: Any, crs: Any = None) -> tuple[Any, Any]:
        """Map coordinates to pixel coordinates.

        Args:
            x, y: numbers or arrays of one shape; longitude is x.
            crs: of x and y: "pixel", anything pyproj takes, or None for `default_crs`.

        Returns:
            (col, row) as floats, or float64 arrays; not finite where the CRS does not reach.

        Raises:
            MissingCRSError: a CRS is named and the scene has none, or it is unknown.
        """
        x, y, scalar = _as_arrays(x, y)
        source = self._resolve(crs)
        if source is None:
            return _like(scalar, x, y)
        assert self.crs is not None
        if source != self.crs:
            x, y = transformer(self.crs, source).transform(x, y, direction=TransformDirection.INVERSE)
        x = _unwrap(np.asarray(x), self._middle_xy[0], _period(self.crs))
        with np.errstate(invalid="ignore"):  # a point beyond the projection is infinite
            col, row = _affine(self._inverse, x, np.asarray(y))
        return _like(scalar, col, row)

    def from_pixel(self, col: Any, row: Any, crs: Any = None) -> tuple[Any, Any]:
        """Pixel coordinates to map coordinates: the inverse of `to_pixel`.

        Args:
            col, row: numbers or arrays of one shape.
            crs: the CRS wanted: "pixel", anything pyproj takes, or None for `default_crs`.

        Returns:
            (x, y) as floats or float64 arrays; longitude is x, in degrees where the CRS is geographic.

        Raises:
            MissingCRSError: a CRS is named and the scene has none, or it is unknown.
        """
        col, row, scalar = _as_arrays(col, row)
        target = self._resolve(crs)
        if target is None:
            return _like(scalar, col, row)
        assert self.crs is not None
        x, y = _affine(self.transform, col, row)
        if target != self.crs:
            convert = transformer(self.crs, target).transform
            x, y = convert(x, y)
            if not self._poles:  # all longitudes meet at a pole: nothing to keep together
                x = _unwrap(np.asarray(x), float(convert(*self._middle_xy)[0]), _period(target))
        return _like(scalar, np.asarray(x), np.asarray(y))

    def geometry_to_pixel(self, geometry: BaseGeometry, crs: Any = None) -> BaseGeometry:
        """A shapely geometry in pixel coordinates; `crs` as in `to_pixel`."""
        return shapely.transform(geometry, lambda xy: np.column_stack(self.to_pixel(xy[:, 0], xy[:, 1], crs)))

    def area_m2(self, geometry: BaseGeometry) -> float | None:
        """The true area of a geometry of pixel coordinates on the WGS 84 ellipsoid, square metres.

        None without a CRS. Web Mercator and other projections that stretch do not matter: it is not measured in them.
        """
        return None if self.crs is None else self.areas_m2([geometry])[0]

    def areas_m2(self, geometries: Sequence[BaseGeometry]) -> list[float]:
        """The true area of each geometry, see `area_m2`; for a scene with a CRS.

        Many at once take a fraction of the time that they take one by one.
        """
        parts, owners = shapely.get_parts(np.array(geometries, dtype=object), return_index=True)
        polygons = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
        parts, owners = parts[polygons], owners[polygons]
        ground = self.geometry_from_pixel(parts, LONLAT, max_segment=_AREA_SEGMENT)
        rings, places = shapely.get_rings(ground, return_index=True)
        corners = np.split(shapely.get_coordinates(rings), np.cumsum(shapely.get_num_coordinates(rings))[:-1])
        is_hole = np.diff(places, prepend=-1) == 0  # the first ring of a polygon is its outside
        geod, found = pyproj.Geod(ellps="WGS84"), [0.0] * len(geometries)
        for place, hole, ring in zip(places, is_hole, corners, strict=False):
            # The sign tells the direction, which is not to be trusted across the antimeridian.
            area = abs(geod.polygon_area_perimeter(*ring.T)[0])
            found[owners[place]] += -area if hole else area
        return found

    def geometry_from_pixel(
        self, geometry: BaseGeometry, crs: Any = None, max_segment: float | None = None
    ) -> BaseGeometry:
        """A shapely geometry of pixel coordinates in map coordinates.

        Args:
            geometry: in scene pixels.
            crs: the CRS wanted, as in `from_pixel`.
            max_segment: pixels; longer edges get vertices in between, since a straight row of pixels is a
                curve in another CRS. None keeps the vertices as they are.
        """
        if max_segment is not None:
            geometry = shapely.segmentize(geometry, max_segment)
        return shapely.transform(geometry, lambda xy: np.column_stack(self.from_pixel(xy[:, 0], xy[:, 1], crs)))

    def contains(self, col: float, row: float) -> bool:
        """Whether a pixel coordinate lies in the scene; False when it is not finite."""
        return bool(0 <= col < self.width and 0 <= row < self.height)

    def bounds(self, crs: Any = None) -> tuple[float, float, float, float]:
        """(west, south, east, north) of the scene in a CRS; they may pass 180 or -180 degrees.

        Args:
            crs: as in `from_pixel`. In pixel space the result is (0, 0, width, height).
        """
        target = self._resolve(crs)
        along = np.linspace(0.0, 1.0, _EDGE_POINTS)
        zero, one = np.zeros(_EDGE_POINTS), np.ones(_EDGE_POINTS)
        cols = np.concatenate([along, one, along, zero]) * self.width
        rows = np.concatenate([zero, along, one, along]) * self.height
        x, y = self.from_pixel(cols, rows, PIXEL if target is None else target)
        seen = np.isfinite(x) & np.isfinite(y)
        if not seen.any():
            raise MissingCRSError(f"the scene lies outside the area of {crs!r}; choose another CRS")
        west, south, east, north = x[seen].min(), y[seen].min(), x[seen].max(), y[seen].max()
        if target is not None and target.is_geographic:
            for pole in self._poles:  # no edge of a scene around a pole comes near it
                west, east, south, north = -180.0, 180.0, min(south, pole), max(north, pole)
        return float(west), float(south), float(east), float(north)

    @cached_property
    def pixel_size_m(self) -> float | None:
        """Root of a pixel's area at the scene's centre, ground metres; None in pixel space."""
        if self.crs is None:
            return None
        col, row = self._middle
        lon, lat = self.from_pixel(
            np.array([col - 0.5, col + 0.5, col, col]), np.array([row, row, row - 0.5, row + 0.5]), LONLAT
        )
        _, _, metres = pyproj.Geod(ellps="WGS84").inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
        return math.sqrt(metres[0] * metres[1])

    @property
    def _middle(self) -> tuple[float, float]:
        return self.width / 2, self.height / 2

    @cached_property
    def _middle_xy(self) -> tuple[float, float]:
        """The scene's centre in its own CRS."""
        x, y = _affine(self.transform, *_as_arrays(*self._middle)[:2])
        return float(x), float(y)

    @cached_property
    def _poles(self) -> tuple[float, ...]:
        """Latitudes of the poles inside the scene; a geographic scene has them on its edges, not inside."""
        if self.crs is None or self.crs.is_geographic:
            return ()
        return tuple(lat for lat in (-90.0, 90.0) if self.contains(*self.to_pixel(0.0, lat, LONLAT)))

    def _resolve(self, crs: Any) -> pyproj.CRS | None:
        """The CRS that a caller means; None for pixels."""
        if crs is None:
            crs = self.default_crs
        if isinstance(crs, str) and crs == PIXEL:
            return None
        if self.crs is None:
            raise MissingCRSError(
                f"the scene has no coordinate reference system, so {crs!r} means nothing in it; "
                "use crs='pixel', or open a georeferenced scene"
            )
        return _cached_crs(crs)


def _cached_crs(crs: Any) -> pyproj.CRS:
    """`parse_crs`, remembered for strings and numbers: parsing costs more than transforming a click."""
    if not isinstance(crs, str | int):
        return parse_crs(crs)
    cache: dict[str | int, pyproj.CRS] = _local.__dict__.setdefault("crs", {})
    if crs not in cache:
        cache[crs] = parse_crs(crs)
    return cache[crs]


def _as_arrays(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray, bool]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return first, second, first.ndim == 0 and second.ndim == 0
