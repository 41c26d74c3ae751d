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
from seglab.errors import BandError, UnsupportedSceneError

Colour = tuple[int, ...]
"""(red, green, blue) or (red, green, blue, alpha), 0 to 255."""

_CLEAR = (0, 0, 0, 0)
_SMALLEST = 128  # pixels along the longer side of the smallest virtual overview


@dataclass(frozen=True)
class TileStyle:
    """How a raster is drawn."""

    indexes: tuple[int, ...]
    """1-based bands: three are red, green and blue, one is grey or goes through the colour map, and of two, a and b,
    the normalised difference (a - b) / (a + b) is shown like one band."""
    vmin: tuple[float, ...] | None = None
    """Value shown as 0, per band that is shown; None: 0 (8-bit rasters only)."""
    vmax: tuple[float, ...] | None = None
    """Value shown as 255, per band that is shown; None: 255 (8-bit rasters only)."""
    nodata: float | None = None
    """Value drawn transparent; None: what the file says, else NaN."""
    colormap: Mapping[int, Colour] | str | None = None
    """Of what is shown as one band: colours by value, or a ramp that rio-tiler knows ("viridis") for its stretched
    values. None: the colour table in the file, if it has one."""


@dataclass(frozen=True)
class StyledRaster:
    """A raster and its style, ready to be served."""

    xml: str
    """A GDAL virtual raster (VRT) of one or three bytes per pixel."""
    colormap: dict[int, Colour] | str | None
    """Colours for all 256 values of its one band, or a name; None: the bands are shown as they are."""
    bounds: tuple[float, float, float, float] | None
    """(west, south, east, north) in degrees; east may pass 180. None: it has no place on a map."""
    path: str
    """Of the raster, for a person."""
    bands: int
    """How many it has: one or three."""


def style_raster(path: str, style: TileStyle) -> StyledRaster:
    """Apply a style to a raster, reading only its header.

    Args:
        path: file, URL or GDAL name.
        style: how to draw it.

    Raises:
        SceneNotFoundError, NotARasterError, DamagedSceneError: the raster cannot be opened.
        BandError: it has no such band, or not one to three are asked for.
        UnsupportedSceneError: it has more than 8 bits and the style does not say how to stretch them.
    """
    with open_dataset(path) as dataset:
        _check(dataset, style)
        colours = _colours(dataset, style)
        by_value = isinstance(colours, dict) and style.vmin is None
        if len(style.indexes) == 2:
            xml = _difference_raster(dataset, style)
        else:
            xml = _virtual_raster(dataset, gdal_name(dataset), style, by_value)
        return StyledRaster(xml, colours, bounds_of(dataset), path, _shown(style))


def _shown(style: TileStyle) -> int:
    """How many bands are shown."""
    return 1 if len(style.indexes) < 3 else 3


def _check(dataset: rasterio.DatasetReader, style: TileStyle) -> None:
    if len(style.indexes) not in (1, 2, 3):
        raise BandError(
            f"indexes={style.indexes!r}: give one band, two for their normalised difference, or three for red, green "
            "and blue"
        )
    for index in style.indexes:
        if index not in dataset.indexes:
            raise BandError(f"{dataset.name!r} has no band {index!r}; its bands are 1 to {dataset.count}")
    for name, values in (("vmin", style.vmin), ("vmax", style.vmax)):
        if values is not None and len(values) != _shown(style):
            raise BandError(f"{name}={values!r}: give one value for each of the bands {style.indexes!r}")
    if len(style.indexes) == 2 and (style.vmin is None or style.vmax is None):
        raise BandError("a normalised difference needs vmin and vmax, for example -1 and 1")
    deep = [dataset.dtypes[i - 1] for i in style.indexes if dataset.dtypes[i - 1] != "uint8"]
    if deep and (style.vmin is None or style.vmax is None):
        raise UnsupportedSceneError(
            f"{dataset.name!r} has {deep[0]} pixels; give vmin and vmax, the values shown as black and white"
        )


def _colours(dataset: rasterio.DatasetReader, style: TileStyle) -> dict[int, Colour] | str | None:
    """Colours of all 256 values; those nobody named, 0 of a table in the file, and nodata are transparent."""
    if _shown(style) == 3:
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
    return virtual_dataset(dataset, "".join(bands))


def _difference_raster(dataset: rasterio.DatasetReader, style: TileStyle) -> str:
    """One 8-bit band of a normalised difference: 1 to 255, or 0 where there is none (no data, or both bands are 0)."""
    assert style.vmin is not None and style.vmax is not None
    name, nodata = gdal_name(dataset), _nodata(dataset, style)
    option = "" if nodata is None else f"<NODATA>{nodata!r}</NODATA>"
    if nodata is None and _has_mask(dataset, style):
        option = "<UseMaskBand>true</UseMaskBand>"
    sources = "".join(complex_source(name, index, option) for index in style.indexes)
    inner = derived_dataset(dataset, "norm_diff", sources)
    low, high = float(style.vmin[0]), float(style.vmax[0])
    top = high if high > low else low + 1.0
    # GDAL makes infinity of 0 / 0, which is beyond the last value of the table
    table = f"<LUT>{low!r}:1,{top!r}:255,{top + 1e9!r}:255,{top + 2e9!r}:0</LUT><NODATA>nan</NODATA>"
    return virtual_dataset(
        dataset,
        '<VRTRasterBand dataType="Byte" band="1"><NoDataValue>0</NoDataValue>'
        f"{complex_source(inner, 1, table)}</VRTRasterBand>",
    )


def virtual_dataset(dataset: rasterio.DatasetReader, inside: str) -> str:
    """A virtual raster of a raster's size and place.

    Args:
        dataset: the raster.
        inside: the bands, as XML.
    """
    place = ""
    if dataset.crs is not None:
        transform = ", ".join(repr(value) for value in dataset.transform.to_gdal())
        place = f"<SRS>{escape(dataset.crs.to_wkt())}</SRS><GeoTransform>{transform}</GeoTransform>"
    size = f'rasterXSize="{dataset.width}" rasterYSize="{dataset.height}"'
    return f"<VRTDataset {size}>{place}{inside}</VRTDataset>"


def derived_dataset(dataset: rasterio.DatasetReader, function: str, sources: str) -> str:
    """A virtual raster of one float band computed from others, NaN where a source has no data.

    Args:
        dataset: a raster of the same size and place.
        function: one of GDAL's pixel functions.
        sources: as XML.
    """
    factors = [2**i for i in range(1, 16) if max(dataset.shape) >> i >= _SMALLEST]
    overviews = f'<OverviewList resampling="nearest">{" ".join(map(str, factors))}</OverviewList>' if factors else ""
    return virtual_dataset(
        dataset,
        '<VRTRasterBand dataType="Float32" band="1" subClass="VRTDerivedRasterBand"><NoDataValue>nan</NoDataValue>'
        f"<PixelFunctionType>{function}</PixelFunctionType><SourceTransferType>Float32</SourceTransferType>"
        f"{sources}</VRTRasterBand>{overviews}",
    )


def complex_source(name: str, band: int, options: str) -> str:
    """A band of another raster as a source.

    Args:
        name: for GDAL: a path, or the XML of a virtual raster.
        band: 1-based.
        options: elements of GDAL's ComplexSource, as XML.
    """
    return (
        f'<ComplexSource><SourceFilename relativeToVRT="0" shared="0">{escape(name)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>{options}</ComplexSource>"
    )


def bounds_of(dataset: rasterio.DatasetReader) -> tuple[float, float, float, float] | None:
    """(west, south, east, north) in degrees; None without a CRS."""
    if dataset.crs is None:
        return None
    return Grid(dataset.width, dataset.height, dataset.transform, parse_crs(dataset.crs)).bounds("EPSG:4326")


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


def gdal_name(dataset: rasterio.DatasetReader) -> str:
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
