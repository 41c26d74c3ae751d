"""NetCDF files and Zarr stores: opened by xarray, which knows their axes, their dates and their CRS."""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab.core.handles import is_remote
from seglab.errors import DamagedSceneError, MissingPackageError, NotARasterError, SceneNotFoundError

if TYPE_CHECKING:
    import xarray

NETCDF, ZARR = (".nc", ".nc4", ".cdf"), ".zarr"
"""Suffixes."""
_HDF5 = b"\x89HDF"
"""First bytes of NetCDF 4."""


@dataclass(frozen=True)
class CubeLayer:
    """What a NetCDF file or a Zarr store holds of one date."""

    path: str
    axis: str
    """Of the dates."""
    place: int
    """Along it."""
    date: str
    """ISO 8601."""

    @property
    def name(self) -> str:
        """For a person, and for files."""
        return f"{Path(self.path).stem}_{self.date.replace(':', '')}"

    def open(self) -> xarray.DataArray | xarray.Dataset:
        """See `open_cube`."""
        return open_cube(self.path).isel({self.axis: self.place})


def is_cube(source: Any) -> bool:
    """Whether it is the path of a NetCDF file or a Zarr store, or the URL of a Zarr store."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = os.fspath(source).rstrip("/").lower()
    return path.endswith(ZARR) or (path.endswith(NETCDF) and not is_remote(path))


def open_cube(path: str | os.PathLike[str]) -> xarray.DataArray | xarray.Dataset:
    """Open a NetCDF file or a Zarr store; pixels are read when they are asked for.

    Returns:
        Its variable on (y, x), or all of them if it has several: in the file's order, of a Zarr store by name.

    Raises:
        SceneNotFoundError: it is not there.
        MissingPackageError: what xarray needs to read it is not installed.
        NotARasterError, DamagedSceneError: it cannot be read.
    """
    import xarray

    path = os.fspath(path).rstrip("/")
    if not is_remote(path):
        path = str(Path(path).expanduser())
        if not Path(path).exists():
            raise SceneNotFoundError(f"there is no file {path!r}; check the path (now in {os.getcwd()!r})")
    _check_packages(path)
    engine = "zarr" if path.lower().endswith(ZARR) else None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated metadata", RuntimeWarning)
            cube = xarray.open_dataset(path, engine=engine, chunks=None, cache=False, decode_coords="all")
    except OSError as error:
        raise DamagedSceneError(f"{path!r} cannot be read; copy it again ({error})") from error
    except (ValueError, KeyError, TypeError) as error:  # whatever xarray and its engines raise
        raise NotARasterError(f"{path!r} is no NetCDF file or Zarr store that xarray reads ({error})") from error
    rasters = [name for name, variable in cube.data_vars.items() if variable.ndim >= 2]
    if engine == "zarr":  # a store has no order, and what xarray finds first differs from time to time
        rasters.sort(key=_in_order)
    return cube[rasters[0]] if len(rasters) == 1 else cube[rasters]


def _in_order(name: Any) -> list[tuple[int, str]]:
    """B2 before B10."""
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", str(name))]


def _check_packages(path: str) -> None:
    if path.lower().endswith(ZARR):
        needed = ("zarr",)
    else:
        with open(path, "rb") as file:
            needed = ("h5netcdf", "netCDF4") if file.read(4) == _HDF5 else ()
    if needed and not any(importlib.util.find_spec(name) for name in needed):
        raise MissingPackageError(f"{path!r} needs {needed[0]}: pip install 'seglab[cubes]'")
