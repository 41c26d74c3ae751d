"""Where two class maps differ, as a virtual raster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seglab.core.handles import open_dataset
from seglab.serve.styled import (
    Colour,
    StyledRaster,
    bounds_of,
    complex_source,
    derived_dataset,
    gdal_name,
    virtual_dataset,
)


@dataclass(frozen=True)
class ClassMap:
    """A class map, and what its values mean."""

    path: str
    meaning: Mapping[int, int]
    """A number for the meaning of each value; equal ones mean the same class in every map."""
    nodata: int
    """Value of pixels that were not mapped."""


def style_changes(before: ClassMap, after: ClassMap, colour: Colour) -> StyledRaster:
    """The pixels whose class differs between two maps of one grid, in one colour; the others are transparent.

    Pixels that one of the maps leaves out do not count as changed.

    Args:
        before, after: the maps.
        colour: of what has changed.

    Raises:
        SceneNotFoundError, NotARasterError, DamagedSceneError: a map cannot be opened.
    """
    with open_dataset(before.path) as former, open_dataset(after.path) as latter:
        sources = [_source(gdal_name(d), m) for d, m in ((former, before), (latter, after))]
        inner = derived_dataset(latter, "diff", "".join(sources))
        band = (
            '<VRTRasterBand dataType="Byte" band="1">'
            f"{complex_source(inner, 1, '<LUT>-1:1,0:0,1:1</LUT><NODATA>nan</NODATA>')}</VRTRasterBand>"
        )
        colours: dict[int, Colour] = dict.fromkeys(range(256), (0, 0, 0, 0))
        colours[1] = (*colour, 255)[:4]
        return StyledRaster(virtual_dataset(latter, band), colours, bounds_of(latter), after.path, 1)


def _source(name: str, classes: ClassMap) -> str:
    table = ",".join(f"{value}:{meaning}" for value, meaning in sorted(classes.meaning.items()))
    return complex_source(name, 1, f"<LUT>{table}</LUT><NODATA>{classes.nodata}</NODATA>")
