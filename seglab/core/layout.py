"""What a raster file says about its pixels, and whether seglab can work with it."""

from __future__ import annotations

from dataclasses import dataclass

import pyproj
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags

from seglab.core.grid import Grid
from seglab.core.spectrum import wavelength_of
from seglab.errors import UnsupportedSceneError

_PHOTO_DRIVERS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


@dataclass(frozen=True)
class Layout:
    """What a file says about its pixels."""

    grid: Grid
    """Size and place."""
    indexes: tuple[int, ...]
    """1-based, of the data bands."""
    names: tuple[str, ...]
    """Of the data bands, "" where the file gives none."""
    tags: tuple[str, ...]
    """Colour interpretation of the data bands, lower case."""
    dtype: str
    """NumPy name of the first data band's type."""
    nodata: tuple[float | None, ...]
    """Per data band."""
    has_mask: bool
    """An alpha band or a mask says which pixels are valid."""
    has_overviews: bool
    """Smaller copies are in the file."""
    is_photo: bool
    """The format is one for photos."""
    wavelengths: tuple[float | None, ...]
    """Of the data bands' centres, micrometres; None where the file gives none."""


def check_supported(dataset: rasterio.DatasetReader, path: str) -> None:
    """Refuse what cannot be mapped.

    Raises:
        UnsupportedSceneError: no bands, complex pixels, control points instead of a geotransform.
    """
    if dataset.count == 0:
        inside = ", ".join(dataset.subdatasets[:5])
        raise UnsupportedSceneError(f"{path!r} holds no bands; open one of its parts ({inside or 'it has none'})")
    complex_type = next((t for t in dataset.dtypes if "complex" in t), None)
    if complex_type:
        raise UnsupportedSceneError(
            f"{path!r} has complex pixels ({complex_type}); write their magnitude to a file and open that"
        )
    if dataset.transform.is_identity and (dataset.gcps[0] or dataset.rpcs is not None):
        raise UnsupportedSceneError(
            f"{path!r} is georeferenced by control points or RPCs only; warp it to a grid first, for example "
            "with gdalwarp or rasterio.vrt.WarpedVRT"
        )
    if dataset.transform.is_degenerate:
        raise UnsupportedSceneError(f"{path!r} has a degenerate geotransform {dataset.transform[:6]!r}; repair it")


def layout_of(dataset: rasterio.DatasetReader, path: str) -> Layout:
    """Read the layout of an open file.

    Raises:
        UnsupportedSceneError: it has nothing but an alpha band.
    """
    data = [i for i, c in enumerate(dataset.colorinterp) if c != ColorInterp.alpha]
    if not data:
        raise UnsupportedSceneError(f"{path!r} has only an alpha band; open the file that holds the image")
    flags = dataset.mask_flag_enums[data[0]]
    return Layout(
        grid=Grid(dataset.width, dataset.height, *_place(dataset)),
        indexes=tuple(i + 1 for i in data),
        names=tuple(dataset.descriptions[i] or "" for i in data),
        tags=tuple(dataset.colorinterp[i].name for i in data),
        dtype=dataset.dtypes[data[0]],
        nodata=tuple(dataset.nodatavals[i] for i in data),
        has_mask=MaskFlags.per_dataset in flags or MaskFlags.alpha in flags,
        has_overviews=bool(dataset.overviews(data[0] + 1)),
        is_photo=dataset.driver in _PHOTO_DRIVERS,
        wavelengths=tuple(wavelength_of(dataset.tags(i + 1) | dataset.tags(i + 1, ns="IMAGERY")) for i in data),
    )


def _place(dataset: rasterio.DatasetReader) -> tuple[Affine, pyproj.CRS | None]:
    """Geotransform and CRS; None where they place nothing on the Earth (no geotransform, a local CRS)."""
    if dataset.crs is None or dataset.transform.is_identity:
        return dataset.transform, None
    crs = pyproj.CRS.from_user_input(dataset.crs.to_wkt()).to_2d()
    return dataset.transform, None if crs.is_engineering else crs
