"""A raster as it is to be looked at: 8-bit and stretched, a virtual raster that localtileserver only renders.

localtileserver can stretch by itself, but then computes the statistics of the whole raster for every tile
(0.3 s each, measured), and believes colour tags. The virtual raster spares it both, and keeps overviews.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import abspath
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags

from seglab.core.grid import Grid, parse_crs
from seglab.core.handles import is_remote, open_dataset
from seglab.errors import BandError, MissingCRSError, UnsupportedSceneError

Colour = tuple[int, ...]
"""(red, green, blue) or (red, green, blue, alpha), 0 to 255."""

_CLEAR = (0, 0, 0, 0)


@dataclass(frozen=True)
class TileStyle:
    """How a raster is drawn."""

    indexes: tuple[int, ...]
    """1-based bands: three are red, green and blue, one is grey or goes through the colour map."""
    vmin: tuple[float, ...] | None = None
    """Value shown as 0, per band; None: 0 (8-bit rasters only)."""
    vmax: tuple[float, ...] | None = None
    """Value shown as 255, per band; None: 255 (8-bit rasters only)."""
    nodata: float | None = None
    """Value drawn transparent; None: what the file says, else NaN."""
    colormap: Mapping[int, Colour] | str | None = None
    """Of one band: colours by value, or a ramp that rio-tiler knows ("viridis") for its stretched values.
    None: the colour table in the file, if it has one."""


@dataclass(frozen=True)
class StyledRaster:
    """A raster and its style, ready to be served."""

    xml: str
    """A GDAL virtual raster (VRT) of one or three bytes per pixel."""
    colormap: dict[int, Colour] | str | None
    """Colours for all 256 values of its one band, or a name; None: the bands are shown as they are."""
    bounds: tuple[float, float, float, float]
    """(west, south, east, north) in degrees; east may pass 180."""


def style_raster(path: str, style: TileStyle) -> StyledRaster:
    """Apply a style to a raster, reading only its header.

    Args:
        path: file, URL or GDAL name.
        style: how to draw it.

    Raises:
        SceneNotFoundError, NotARasterError, DamagedSceneError: the raster cannot be opened.
        MissingCRSError: it has no place on a map.
        BandError: it has no such band, or not one or three are asked for.
        UnsupportedSceneError: it has more than 8 bits and the style does not say how to stretch them.
    """
    with open_dataset(path) as dataset:
        if dataset.crs is None:
            raise MissingCRSError(f"{path!r} has no CRS, so no tiles; show it as an image in pixel space")
        _check(dataset, style)
        colours = _colours(dataset, style)
        by_value = isinstance(colours, dict) and style.vmin is None
        grid = Grid(dataset.width, dataset.height, dataset.transform, parse_crs(dataset.crs))
        return StyledRaster(
            xml=_virtual_raster(dataset, _gdal_name(dataset), style, by_value),
            colormap=colours,
            bounds=grid.bounds("EPSG:4326"),
        )


def _check(dataset: rasterio.DatasetReader, style: TileStyle) -> None:
    if len(style.indexes) not in (1, 3):
        raise BandError(f"indexes={style.indexes!r}: give one band, or three for red, green and blue")
    for index in style.indexes:
        if index not in dataset.indexes:
            raise BandError(f"{dataset.name!r} has no band {index!r}; its bands are 1 to {dataset.count}")
    for name, values in (("vmin", style.vmin), ("vmax", style.vmax)):
        if values is not None and len(values) != len(style.indexes):
            raise BandError(f"{name}={values!r}: give one value for each of the bands {style.indexes!r}")
    deep = [dataset.dtypes[i - 1] for i in style.indexes if dataset.dtypes[i - 1] != "uint8"]
    if deep and (style.vmin is None or style.vmax is None):
        raise UnsupportedSceneError(
            f"{dataset.name!r} has {deep[0]} pixels; give vmin and vmax, the values shown as black and white"
        )


def _colours(dataset: rasterio.DatasetReader, style: TileStyle) -> dict[int, Colour] | str | None:
    """Colours of all 256 values; those nobody named, 0 of a table in the file, and nodata are transparent."""
    if len(style.indexes) != 1:
        return None
    index = style.indexes[0]
    given = style.colormap
    if given is None and style.vmin is None and dataset.colorinterp[index - 1] == ColorInterp.palette:
        given = {**dataset.colormap(index), 0: _CLEAR}
    if given is None or isinstance(given, str):
        return given
    table = dict.fromkeys(range(256), _CLEAR)
    table |= {int(value): (*colour, 255)[:4] for value, colour in given.items()}
    nodata = _nodata(dataset, style)
    if style.vmin is None and nodata in table:
        table[int(nodata)] = _CLEAR
    return table


def _nodata(dataset: rasterio.DatasetReader, style: TileStyle) -> float | None:
    if style.nodata is not None:
        return float(style.nodata)
    found = dataset.nodatavals[style.indexes[0] - 1]
    if found is None and np.issubdtype(np.dtype(dataset.dtypes[style.indexes[0] - 1]), np.floating):
        return float("nan")
    return found


def _virtual_raster(dataset: rasterio.DatasetReader, name: str, style: TileStyle, by_value: bool) -> str:
    nodata = None if by_value else _nodata(dataset, style)
    count = len(style.indexes)
    lows = style.vmin or (0.0,) * count
    highs = style.vmax or (255.0,) * count
    bands = [
        _band(name, position, index, None if by_value else (float(low), float(high)), nodata)
        for position, (index, low, high) in enumerate(zip(style.indexes, lows, highs, strict=True), 1)
    ]
    if nodata is None and _has_mask(dataset, style):
        bands.append(f"<MaskBand>{_source_band(name, 'mask,1')}</MaskBand>")
    transform = ", ".join(repr(value) for value in dataset.transform.to_gdal())
    return (
        f'<VRTDataset rasterXSize="{dataset.width}" rasterYSize="{dataset.height}">'
        f"<SRS>{escape(dataset.crs.to_wkt())}</SRS><GeoTransform>{transform}</GeoTransform>"
        f"{''.join(bands)}</VRTDataset>"
    )


def _has_mask(dataset: rasterio.DatasetReader, style: TileStyle) -> bool:
    """Whether an alpha or mask band says what is valid; a band that is drawn is none, whatever its tag."""
    drawn_as_alpha = any(dataset.colorinterp[i - 1] == ColorInterp.alpha for i in style.indexes)
    return MaskFlags.per_dataset in dataset.mask_flag_enums[style.indexes[0] - 1] and not drawn_as_alpha


def _band(name: str, position: int, index: int, stretch: tuple[float, float] | None, nodata: float | None) -> str:
    """One 8-bit band; with nodata 0 stands for it, and what is valid is shown as 1 to 255."""
    if stretch is None:
        return _source_band(name, str(index), position)
    low, high = stretch
    black = 0 if nodata is None else 1
    top = high if high > low else low + 1.0
    scaled = f"<LUT>{low!r}:{black},{top!r}:255</LUT>"  # linear between the two and clipped beyond
    if nodata is None:
        return _source_band(name, str(index), position, scaled)
    return _source_band(name, str(index), position, f"{scaled}<NODATA>{nodata!r}</NODATA>", "0")


def _source_band(name: str, band: str, position: int = 1, scaled: str = "", nodata: str = "") -> str:
    kind = "ComplexSource" if scaled else "SimpleSource"
    declared = f"<NoDataValue>{nodata}</NoDataValue>" if nodata else ""
    return (
        f'<VRTRasterBand dataType="Byte" band="{position}">{declared}<{kind}>'
        f'<SourceFilename relativeToVRT="0" shared="0">{escape(name)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>{scaled}</{kind}></VRTRasterBand>"
    )


def _gdal_name(dataset: rasterio.DatasetReader) -> str:
    """The name under which GDAL itself, which reads the virtual raster, opens what rasterio opened."""
    path = dataset.name
    if not is_remote(path):
        return abspath(path)
    if path.startswith(("http://", "https://")):
        from localtileserver.tiler import make_vsi

        return make_vsi(path)  # tells GDAL not to ask the server for a listing
    return dataset.files[0] if dataset.files else path


def normalise(values: Sequence[float] | float | None, count: int) -> tuple[float, ...] | None:
    """One value per band from one value for all or a sequence."""
    if values is None:
        return None
    if isinstance(values, Sequence):
        return tuple(float(value) for value in values)
    return (float(values),) * count
