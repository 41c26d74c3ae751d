"""Which three bands a scene is looked at with, when nobody has said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seglab.core.spectrum import sensor_colours
from seglab.errors import BandError

MAX_VIEW_BANDS = 3
"""The view and the model's input have three channels."""

_COLOURS = ("red", "green", "blue")


def choose_bands(names: Sequence[str], tags: Sequence[str], dtype: str) -> tuple[int, int, int]:
    """The positions of red, green and blue, by the best evidence that the file gives.

    In this order: band names that are colours; band names of Landsat or Sentinel-2; colour tags, if there is
    exactly one of each (writers tag the first three bands of anything as red, green and blue, so names come
    before tags); the number of bands (13 and 12: Sentinel-2, 11: Landsat 8); the first three. One band is
    shown grey (0, 0, 0), two as (0, 1, 1).

    Args:
        names: of the data bands, "" where a band has none.
        tags: colour interpretation of the data bands, lower case.
        dtype: NumPy name of the data type.

    Returns:
        0-based positions among the data bands.
    """
    count = len(names)
    if count == 1:
        return 0, 0, 0
    if count == 2:
        return 0, 1, 1
    lower = [name.strip().lower() for name in names]
    return (
        _by_colour(lower)
        or _by_sensor(lower, dtype)
        or _by_colour(list(tags))
        or ((3, 2, 1) if count in (11, 12, 13) else (0, 1, 2))
    )


def _by_colour(names: list[str]) -> tuple[int, int, int] | None:
    """Bands named red, green and blue, one each; "red edge" is not red."""
    found = []
    for colour in _COLOURS:
        hits = [
            i
            for i, name in enumerate(names)
            if colour in re.split(r"[^a-z]+", name) and "edge" not in name and "nir" not in name
        ]
        if len(hits) != 1:
            return None
        found.append(hits[0])
    return found[0], found[1], found[2]


def _by_sensor(names: list[str], dtype: str) -> tuple[int, int, int] | None:
    """True colour of the sensors that number their bands."""
    found = sensor_colours(names, dtype)
    if not all(colour in found for colour in _COLOURS):
        return None
    return found["red"], found["green"], found["blue"]


def resolve_bands(asked: Sequence[int | str], indexes: Sequence[int], names: Sequence[str]) -> tuple[int, int, int]:
    """What a caller asked to see, as three 1-based band indexes.

    Args:
        asked: one to three 1-based indexes or band names; the last one is repeated to make three.
        indexes: 1-based indexes of the data bands (an alpha band is not data).
        names: of the data bands.

    Raises:
        BandError: a band that the scene does not have, or not one to three of them.
    """
    if not 1 <= len(asked) <= MAX_VIEW_BANDS:
        raise BandError(f"bands={tuple(asked)!r}: name one to three bands, for example bands=(3, 2, 1)")
    found = [check_band(band, indexes, names) for band in asked]
    found += [found[-1]] * (MAX_VIEW_BANDS - len(found))
    return found[0], found[1], found[2]


def check_band(band: int | str, indexes: Sequence[int], names: Sequence[str]) -> int:
    """The 1-based index of a band given by index or by name.

    Raises:
        BandError: the scene has no such band.
    """
    if isinstance(band, str):
        if band in names:
            return indexes[list(names).index(band)]
    elif band in indexes:
        return int(band)
    known = ", ".join(f"{i} ({name})" if name else str(i) for i, name in zip(indexes, names, strict=True))
    raise BandError(f"there is no band {band!r} in this scene; its bands are {known}")
