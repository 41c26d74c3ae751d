"""What a scene can be opened from, brought to one thing: a raster that GDAL can open by its path."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window as RasterWindow

from seglab.core.adopt import Pixels, pixels_of_array, write_pixels
from seglab.core.adopt_xarray import pixels_of_xarray, time_axis
from seglab.core.cubes import CubeLayer, is_cube, open_cube
from seglab.core.handles import is_remote, open_dataset
from seglab.core.remote import note_version
from seglab.errors import UnsupportedSceneError

ASSET_KEYS = ("visual", "rgb", "true_color", "image", "ortho", "analytic", "data")
"""STAC assets that are a whole image, best first; after them any asset whose role says so."""

ASSET_ROLES = ("visual", "data")
_RASTER_TYPES = ("image/tiff", "image/jp2", "image/png", "image/jpeg", "image/vnd.stac.geotiff")


@dataclass(frozen=True)
class Located:
    """A raster and who it is."""

    path: str
    """A local file or a URL."""
    name: str
    """For a person."""
    fingerprint: str
    """Changes when the pixels may have changed."""
    folder: tempfile.TemporaryDirectory[str] | None = None
    """Holds the file if seglab wrote it and the caller named no folder."""


def locate(source: Any, workdir: str | Path | None = None) -> Located:
    """Find the raster behind a source; sources in memory are written once to a tiled GeoTIFF.

    Args:
        source: a path, URL, STAC item (pystac or its dict), xarray.DataArray or Dataset, NetCDF file or Zarr store of
            one date, or an image as an array.
        workdir: folder for what has to be written; None makes a temporary one.

    Raises:
        UnsupportedSceneError: none of these, or one that cannot be mapped.
    """
    if is_cube(source):
        return _write(_pixels_of_cube(source), workdir)
    if isinstance(source, CubeLayer):
        return _write(replace(pixels_of_xarray(source.open()), name=source.name), workdir)
    if isinstance(source, str | os.PathLike):
        return _locate_path(os.fspath(source))
    xarray = sys.modules.get("xarray")  # whoever passes one has imported it
    if xarray is not None and isinstance(source, xarray.DataArray | xarray.Dataset):
        return _write(pixels_of_xarray(source), workdir)
    if is_stac(source):
        href, name = pick_asset(source)
        located = _locate_path(href)
        return Located(located.path, name, located.fingerprint)
    if isinstance(source, np.ndarray) or hasattr(source, "__array_interface__"):
        return _write(pixels_of_array(source), workdir)
    raise UnsupportedSceneError(
        f"a scene cannot be opened from {type(source).__name__!r}; give a path, a URL, a STAC item, "
        "an xarray.DataArray or an image as a NumPy array"
    )


def _pixels_of_cube(path: str | os.PathLike[str]) -> Pixels:
    cube = open_cube(path)
    axis = time_axis(cube)
    if axis is not None:
        raise UnsupportedSceneError(
            f"{os.fspath(path)!r} has {cube.sizes[axis]} dates along {axis!r}: seglab.open takes them all, and date= "
            "says which one answers clicks"
        )
    return replace(pixels_of_xarray(cube), name=Path(os.fspath(path)).stem)


def megapixels(source: Any) -> float:
    """The size of a source, from what it says of itself; nothing is written for it.

    Raises:
        SegLabError: as `locate` raises, or open_dataset.
    """
    if is_cube(source) or isinstance(source, CubeLayer):
        pixels = _pixels_of_cube(source) if is_cube(source) else pixels_of_xarray(source.open())
        return pixels.width * pixels.height / 1e6
    with open_dataset(locate(source).path) as file:
        return file.width * file.height / 1e6


def _write(pixels: Pixels, workdir: str | Path | None) -> Located:
    folder = None
    if workdir is None:
        folder = tempfile.TemporaryDirectory(prefix="seglab-", ignore_cleanup_errors=True)
        workdir = folder.name
    path, digest = write_pixels(pixels, Path(workdir))
    return Located(str(path), pixels.name, digest, folder)


# -- paths and URLs


def _locate_path(path: str) -> Located:
    if path.startswith("file://"):
        path = urllib.request.url2pathname(urlsplit(path).path)
    if is_remote(path):
        return Located(path, _remote_name(path), _remote_fingerprint(path))
    local = Path(path).expanduser()
    if not local.exists():
        return Located(str(local), local.stem, "")  # opening it says what is wrong
    local = local.resolve()
    status = local.stat()
    return Located(str(local), local.stem, _digest(str(local), status.st_size, status.st_mtime_ns))


def _digest(*parts: object) -> str:
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def _remote_name(url: str) -> str:
    return Path(unquote(urlsplit(url).path)).stem or url


def _remote_fingerprint(url: str) -> str:
    """Of a URL: by what the server says of its version, else by the URL alone.

    A signed link changes with every signature, so that its query counts only when the server says nothing.
    """
    version = note_version(url)
    return _digest(url) if version is None else _digest(url.partition("?")[0], version)


# -- STAC


def is_stac(source: Any) -> bool:
    """Whether it is a STAC item: pystac's, or its dict."""
    if isinstance(source, Mapping):
        return "assets" in source
    return hasattr(source, "assets") and hasattr(source, "get_self_href")


def pick_asset(item: Any) -> tuple[str, str]:
    """The image of a STAC item: its true-colour asset, else a raster with the data role.

    Args:
        item: a pystac.Item or the item's dict.

    Returns:
        (address, name).

    Raises:
        UnsupportedSceneError: no asset is an image.
    """
    assets = _assets(item)
    name = str(item.get("id", "item") if isinstance(item, Mapping) else item.id)
    rasters = {key: asset for key, asset in assets.items() if _is_raster(asset)}
    chosen = next((key for key in ASSET_KEYS if key in rasters), None)
    for role in ASSET_ROLES:
        if chosen is None:
            chosen = next((key for key, asset in rasters.items() if role in (asset.get("roles") or ())), None)
    if chosen is None:
        raise UnsupportedSceneError(
            f"the STAC item {name!r} has no asset that is an image (assets: {', '.join(assets) or 'none'}); "
            "open the address of one of its files instead"
        )
    return str(rasters[chosen]["href"]), name


def _assets(item: Any) -> dict[str, dict[str, Any]]:
    """Key to href (absolute where the item knows its place), type and roles."""
    if isinstance(item, Mapping):
        base = next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), "")
        return {key: {**asset, "href": _absolute(base, asset["href"])} for key, asset in item["assets"].items()}
    return {
        key: {"href": asset.get_absolute_href() or asset.href, "type": asset.media_type, "roles": asset.roles}
        for key, asset in item.assets.items()
    }


def _absolute(base: str, href: str) -> str:
    if not base or is_remote(href) or Path(href).is_absolute():
        return href
    if is_remote(base):
        return urljoin(base, href)
    return str(Path(base).parent / href)


def _is_raster(asset: Mapping[str, Any]) -> bool:
    kind = (asset.get("type") or "").lower()
    suffix = Path(urlsplit(str(asset["href"])).path).suffix.lower()
    return kind.startswith(_RASTER_TYPES) or (not kind and suffix in (".tif", ".tiff", ".jp2", ".png", ".jpg"))


# -- palettes


def expand_palette(dataset: rasterio.DatasetReader, located: Located, workdir: str | Path | None) -> Located:
    """Write the colours of a paletted image to an RGBA GeoTIFF: its indexes are names, not brightness."""
    table = np.zeros((256, 4), dtype=np.uint8)
    for index, colour in dataset.colormap(1).items():
        if index < len(table):
            table[index] = colour
    if MaskFlags.nodata in dataset.mask_flag_enums[0] and 0 <= (dataset.nodata or 0) < len(table):
        table[int(dataset.nodata)] = 0

    def read(rows: slice, cols: slice) -> np.ndarray:
        window = RasterWindow.from_slices(rows, cols)
        return np.moveaxis(table[dataset.read(1, window=window)], -1, 0)

    pixels = Pixels(
        name=located.name,
        count=4,
        height=dataset.height,
        width=dataset.width,
        dtype="uint8",
        read=read,
        transform=dataset.transform,
        crs=dataset.crs.to_wkt() if dataset.crs else None,
        colours=(ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha),
    )
    written = _write(pixels, workdir)
    return Located(written.path, located.name, located.fingerprint, written.folder)
