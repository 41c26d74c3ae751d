"""Which band of a scene is blue, green, red or infrared, as far as the file says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

BAND_CODE = re.compile(r"^(?:[a-z]+_)?b(?:and)?[ _-]?0*(\d+a?)(_.*)?$")
"""The number in a sensor's band name, lower case: B3, B8A, band_04, SR_B3, B6_VCID_2."""

_MICROMETRES = {
    "blue": (0.45, 0.53),
    "green": (0.51, 0.60),
    "red": (0.60, 0.70),
    "nir": (0.75, 1.0),
    "swir": (1.55, 1.75),
}
"""Of STAC's common band names (EO extension; nir08 and nir as one, swir16 as swir)."""

_LANDSAT_4_TO_7 = {"blue": "1", "green": "2", "red": "3", "nir": "4", "swir": "5"}
_LANDSAT_8 = {"blue": "2", "green": "3", "red": "4", "nir": "5", "swir": "6"}
_SENTINEL_2 = {"blue": "2", "green": "3", "red": "4", "nir": "8", "swir": "11"}
_UNNAMED = {
    13: {"blue": 1, "green": 2, "red": 3, "nir": 7, "swir": 11},  # Sentinel-2 with every band
    12: {"blue": 1, "green": 2, "red": 3, "nir": 7, "swir": 10},  # Sentinel-2 without cirrus
    11: {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir": 5},  # Landsat 8
}
"""Positions by the number of bands, where none has a name."""


def find_colours(
    names: Sequence[str], tags: Sequence[str], dtype: str, wavelengths: Sequence[float | None]
) -> dict[str, int]:
    """The bands that the file tells apart, by the best evidence for each.

    In this order: names that are colours; names of Landsat or Sentinel-2; wavelengths; colour tags, where exactly one
    band has that one; the number of bands, where none has a name.

    Args:
        names: of the data bands, "" where a band has none.
        tags: colour interpretation of the data bands, lower case.
        dtype: NumPy name of the data type.
        wavelengths: of the bands' centres, micrometres; None where it is not known.

    Returns:
        0-based position by "blue", "green", "red", "nir" and "swir"; those that are not known are missing.
    """
    lower = [name.strip().lower() for name in names]
    by_sensor = sensor_colours(lower, dtype)
    unnamed = {} if any(lower) else _UNNAMED.get(len(lower), {})
    found = {}
    for colour in _MICROMETRES:
        evidence = (
            _named(lower, colour),
            by_sensor.get(colour),
            _nearest(wavelengths, colour),
            tags.index(colour) if list(tags).count(colour) == 1 else None,
            unnamed.get(colour),
        )
        position = next((p for p in evidence if p is not None), None)
        if position is not None:
            found[colour] = position
    return found


def sensor_colours(names: Sequence[str], dtype: str) -> dict[str, int]:
    """The bands of sensors that number them.

    Landsat 7 is known by its two thermal bands (B6_VCID_1 and _2), or by starting at B1, ending by B8 and being 8-bit
    or without the thermal B6 (a reflectance product), as Landsat 4 to 7 are; Sentinel-2 by B8A or B12, or by B8 without
    B9, which Landsat 8 and 9 have both or neither.

    Args:
        names: lower case.
        dtype: NumPy name of the data type.

    Returns:
        0-based position by colour, for the bands that are there.
    """
    codes: dict[str, int] = {}
    thermal_pair = False
    for position, name in enumerate(names):
        match = BAND_CODE.match(name)
        if match:
            codes.setdefault(match[1], position)
            thermal_pair = thermal_pair or "vcid" in name
    early = {"1", "2", "3"} <= codes.keys() <= set("12345678") and (dtype == "uint8" or "6" not in codes)
    if thermal_pair or early:
        sensor = _LANDSAT_4_TO_7
    elif "8a" in codes or "12" in codes or ("8" in codes and "9" not in codes):
        sensor = _SENTINEL_2
    else:
        sensor = _LANDSAT_8
    return {colour: codes[code] for colour, code in sensor.items() if code in codes}


def wavelength_of(tags: Mapping[str, str]) -> float | None:
    """The wavelength that a band's metadata give, micrometres; None if they give none.

    Args:
        tags: of the band, those of GDAL's IMAGERY domain among them; ENVI's and Sentinel-2's names are known too.
    """
    lower = {key.lower(): value for key, value in tags.items()}
    try:
        if "central_wavelength_um" in lower:
            return float(lower["central_wavelength_um"])
        value = float(lower["wavelength"])
    except (KeyError, ValueError):
        return None
    unit = (lower.get("wavelength_units") or lower.get("wavelength_unit") or "").lower()
    in_nanometres = unit.startswith("n") if unit else value > 100
    return value / 1000 if in_nanometres else value


def _named(names: Sequence[str], colour: str) -> int | None:
    """The one band whose name says that colour; "red edge" is not red."""
    hits = [i for i, name in enumerate(names) if _says(re.split(r"[^a-z]+", name), name, colour)]
    return hits[0] if len(hits) == 1 else None


def _says(words: Sequence[str], name: str, colour: str) -> bool:
    if colour == "nir":
        return "nir" in words or ("near" in words and ("infrared" in words or "ir" in words))
    if colour == "swir":
        return "swir" in words and "2" not in name and "22" not in name
    return colour in words and "edge" not in name and "nir" not in name


def _nearest(wavelengths: Sequence[float | None], colour: str) -> int | None:
    """The band nearest to the middle of a colour's range, of those in it."""
    low, high = _MICROMETRES[colour]
    inside = [(abs(w - (low + high) / 2), i) for i, w in enumerate(wavelengths) if w is not None and low <= w <= high]
    return min(inside)[1] if inside else None
