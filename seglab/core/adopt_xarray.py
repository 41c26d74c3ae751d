"""Images in xarray, described so that they can be written block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from seglab.core.adopt import MAX_BANDS, Pixels, raster_dtype
from seglab.errors import UnsupportedSceneError

if TYPE_CHECKING:
    import xarray

_AXES = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("northing", "easting"), ("row", "col"))
_LONGITUDES = ("lon", "longitude")
_TIMES = ("time", "t", "date", "datetime")
_UNEVEN = 0.05  # pixels; coordinates kept as 32-bit numbers stray a little


def pixels_of_xarray(source: xarray.DataArray | xarray.Dataset) -> Pixels:
    """A DataArray of (y, x) and at most one more axis, or a Dataset of variables on one grid (they become
    bands).

    The CRS is that of its spatial_ref coordinate, its .rio accessor or its attributes; longitudes and
    latitudes without one are EPSG:4326. Blocks of Dask are computed one after the other, never the whole
    array.

    Raises:
        UnsupportedSceneError: other axes, another data type, or coordinates that are not evenly spaced.
    """
    layers, names = _layers(source)
    first = layers[0]
    y_dim, x_dim = _spatial_dims(first)
    transform, crs = _georeference(first, y_dim, x_dim)
    dtype = raster_dtype(np.result_type(*(layer.dtype for layer in layers)))
    nodata = _nodata(first)

    def read(rows: slice, cols: slice) -> np.ndarray:
        parts = [layer.isel({y_dim: rows, x_dim: cols}).transpose(y_dim, x_dim).values for layer in layers]
        block = np.stack(parts).astype(dtype, copy=False)
        if dtype.startswith("float") and nodata is not None and not np.isnan(nodata):
            block = np.where(block == np.dtype(dtype).type(nodata), np.nan, block)
        return block

    chunks = first.chunksizes
    return Pixels(
        name=str(source.name) if getattr(source, "name", None) else "array",
        count=len(layers),
        height=first.sizes[y_dim],
        width=first.sizes[x_dim],
        dtype=dtype,
        read=read,
        transform=transform,
        crs=crs,
        nodata=np.nan if dtype.startswith("float") else nodata,
        names=names,
        row_chunks=tuple(chunks.get(y_dim, ())),
        col_chunks=tuple(chunks.get(x_dim, ())),
    )


def time_axis(source: xarray.DataArray | xarray.Dataset) -> str | None:
    """Name of the axis along which a source has more than one date: one with a usual name, or with dates along it."""
    for axis, size in source.sizes.items():
        if size > 1 and (str(axis).lower() in _TIMES or (axis in source.coords and _are_dates(source.coords[axis]))):
            return str(axis)
    return None


def _are_dates(labels: xarray.DataArray) -> bool:
    """Whether they are datetime64, or objects as cftime and datetime have them."""
    return labels.dtype.kind == "M" or (labels.dtype.kind == "O" and hasattr(labels.values.flat[0], "isoformat"))


def _layers(source: xarray.DataArray | xarray.Dataset) -> tuple[list[xarray.DataArray], tuple[str, ...]]:
    """One 2-D DataArray per band, and the bands' names."""
    if hasattr(source, "data_vars"):
        variables = [v for v in source.data_vars.values() if v.ndim >= 2]
        if not variables:
            raise UnsupportedSceneError("the Dataset has no variable with two axes; give it bands on (y, x)")
        layers = [v.squeeze([d for d in v.dims if v.sizes[d] == 1 and v.ndim > 2]) for v in variables]
        if any(layer.ndim != 2 or layer.shape != layers[0].shape for layer in layers):
            sizes = {str(v.name): dict(v.sizes) for v in variables}
            raise UnsupportedSceneError(
                f"the variables do not lie on one grid of (y, x): {sizes!r}; select a date or a variable first"
            )
        _check_count(len(layers))
        return layers, tuple(str(v.name) for v in variables)
    array = source
    spatial = _spatial_dims(array)
    array = array.squeeze([d for d in array.dims if d not in spatial and array.sizes[d] == 1])
    others = [d for d in array.dims if d not in spatial]
    if len(others) > 1:
        raise UnsupportedSceneError(
            f"a scene has one axis besides {spatial!r}, this array has {others!r}; select one of each with .isel"
        )
    if not others:
        return [array], (str(array.name or ""),)
    axis = others[0]
    if axis == time_axis(array):
        raise UnsupportedSceneError(
            f"the array has {array.sizes[axis]} dates along {axis!r}: seglab.open takes them all; for one, select it "
            f"with .isel({axis}=-1)"
        )
    _check_count(array.sizes[axis])
    labels = array.coords[axis].values if axis in array.coords else np.arange(array.sizes[axis])
    names = tuple(map(str, labels)) if labels.dtype.kind in "UO" else _long_names(array)
    return [array.isel({axis: i}) for i in range(array.sizes[axis])], names


def _check_count(count: int) -> None:
    if count > MAX_BANDS:
        raise UnsupportedSceneError(f"an array of {count} bands; a scene has at most {MAX_BANDS}, select some first")


def _long_names(array: xarray.DataArray) -> tuple[str, ...]:
    """Band names as rioxarray keeps them."""
    names = array.attrs.get("long_name", ())
    return tuple(map(str, names)) if isinstance(names, tuple | list) else ()


def _spatial_dims(array: xarray.DataArray) -> tuple[str, str]:
    """Names of the axes of rows and columns: known names, else the last two."""
    by_name = {str(d).lower(): str(d) for d in array.dims}
    for row, col in _AXES:
        if row in by_name and col in by_name:
            return by_name[row], by_name[col]
    if array.ndim < 2:
        raise UnsupportedSceneError(f"the array has the axes {array.dims!r}; name two of them 'y' and 'x'")
    return str(array.dims[-2]), str(array.dims[-1])


def _georeference(array: xarray.DataArray, y_dim: str, x_dim: str) -> tuple[Affine, str | None]:
    """(transform, CRS as WKT); the identity and None in pixel space."""
    import rioxarray  # noqa: F401 - registers the .rio accessor, which knows where CRSs are kept

    crs = array.rio.crs
    if crs is not None:
        return _transform(array, y_dim, x_dim), crs.to_wkt()
    if x_dim.lower() in _LONGITUDES and x_dim in array.coords:
        return _transform(array, y_dim, x_dim), "EPSG:4326"
    return Affine.identity(), None


def _transform(array: xarray.DataArray, y_dim: str, x_dim: str) -> Affine:
    """From the coordinates, which slicing keeps true; a rotated grid has none and is told by GeoTransform."""
    if y_dim in array.coords and x_dim in array.coords:
        left, step_x = _steps(array.coords[x_dim].values, x_dim)
        top, step_y = _steps(array.coords[y_dim].values, y_dim)
        step_x, step_y = step_x or abs(step_y or 1.0), step_y or -abs(step_x or 1.0)
        return Affine(step_x, 0.0, left - step_x / 2, 0.0, step_y, top - step_y / 2)
    numbers = str(array.coords[array.rio.grid_mapping].attrs.get("GeoTransform", "")).split()
    if len(numbers) != 6:
        raise UnsupportedSceneError(
            f"the array has a CRS, but no coordinates {x_dim!r} and {y_dim!r}; assign those of the pixel centres"
        )
    return Affine.from_gdal(*map(float, numbers))


def _steps(centres: np.ndarray, axis: str) -> tuple[float, float | None]:
    """(first centre, step) of evenly spaced pixel centres; the step of a single one is unknown."""
    centres = centres.astype(float)
    if centres.size == 1:
        return float(centres[0]), None
    step = float(centres[-1] - centres[0]) / (centres.size - 1)
    even = centres[0] + step * np.arange(centres.size)
    if step == 0 or np.abs(centres - even).max() > _UNEVEN * abs(step):
        raise UnsupportedSceneError(
            f"the coordinates {axis!r} are not evenly spaced; resample the array to a regular grid first, for "
            "example with .rio.reproject"
        )
    return float(centres[0]), step


def _nodata(array: xarray.DataArray) -> float | None:
    """The nodata value as xarray, rioxarray or odc-geo keep it, if the data type can hold it."""
    for place in (array.attrs, array.encoding):
        for key in ("_FillValue", "nodata", "missing_value"):
            value = place.get(key)
            if np.ndim(value) == 0 and value is not None:
                if array.dtype.kind == "f":
                    return float(value)
                info = np.iinfo(np.uint8 if array.dtype.kind == "b" else array.dtype)
                if info.min <= value <= info.max:
                    return float(value)
    return None
