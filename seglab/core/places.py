"""Places as people write them: coordinates in words, without a gazetteer and without a network.

Understood are, with commas or without:

    48.137, 11.576                  latitude, longitude
    11.576 E 48.137 N               in any order with letters, before or after the numbers
    48° 8' 13.2" N, 11° 34' 33" E   degrees, minutes, seconds; also as 48 8 13.2 N 11 34 33 E or N48:8:13.2 E11:34:33
    EPSG:25832 691600 5334760       x and y (easting, northing; longitude, latitude) in a CRS
    120, 340                        column, row, where the map is plain; "pixel 120 340" anywhere
"""

from __future__ import annotations

import math
import re

from seglab.core.grid import LONLAT, PIXEL, Grid
from seglab.errors import MissingCRSError, OutsideSceneError, PlaceError

EXAMPLES = "48.137, 11.576 or 48°8'13\" N 11°34'33\" E or EPSG:25832 691600 5334760"
PLAIN_EXAMPLES = "120, 340 (column, row)"

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_ANGLE = re.compile(rf"\s*({_NUMBER})(?:[°d:\s]\s*(\d+\.?\d*))?(?:['m:\s]\s*(\d+\.?\d*))?\s*[°d'm\"]?\s*", re.I)
"""Degrees, minutes, seconds and their signs; no "s" for seconds, which is the south."""
_LETTERS_FIRST = re.compile(r"\s*([NSEW])([^NSEW]+)([NSEW])([^NSEW]+)", re.IGNORECASE)
_LETTERS_LAST = re.compile(r"([^NSEW]+)([NSEW])([^NSEW]+)([NSEW])\s*", re.IGNORECASE)
_IN_CRS = re.compile(rf"\s*(EPSG:\d+|pixels?|px)[\s,;:]+({_NUMBER})[\s,;]+({_NUMBER})\s*", re.IGNORECASE)
_TWO_NUMBERS = re.compile(rf"\s*({_NUMBER})(?:\s*[,;]\s*|\s+)({_NUMBER})\s*")
_COLUMN_ROW = re.compile(rf"\s*col(?:umn)?\s*({_NUMBER})[\s,;]+row\s*({_NUMBER})\s*", re.IGNORECASE)
_DECIMAL_COMMAS = re.compile(r"\s*([+-]?\d+),(\d+)(?:\s+|\s*;\s*)([+-]?\d+),(\d+)\s*")
_SIGNS = str.maketrans({"−": "-", "′": "'", "’": "'", "″": '"', "”": '"', "º": "°", "\u00a0": " "})


def find_place(text: str, grid: Grid, plain: bool | None = None) -> tuple[float, float]:
    """The scene pixel that a person means.

    Args:
        text: see the module.
        grid: of the scene.
        plain: whether two bare numbers are column and row; where the scene has no CRS if None.

    Returns:
        (col, row), in the scene.

    Raises:
        PlaceError: the text is no place, or there is no such place on the Earth.
        OutsideSceneError: the place lies outside the scene.
    """
    plain = not grid.is_georeferenced if plain is None else plain
    x, y, crs = _parse(text, plain)
    try:
        col, row = grid.to_pixel(x, y, crs)
    except MissingCRSError as error:
        raise PlaceError(f"{text.strip()!r} cannot be found here: {error}") from error
    if not grid.contains(col, row):
        raise OutsideSceneError(_outside(text, grid, crs))
    return float(col), float(row)


def _parse(text: str, plain: bool) -> tuple[float, float, str]:
    """(x, y, CRS) of what is written."""
    text = text.translate(_SIGNS).strip()
    if match := _IN_CRS.fullmatch(text):
        named = match[1].upper()
        return float(match[2]), float(match[3]), named if named.startswith("EPSG") else PIXEL
    if match := _COLUMN_ROW.fullmatch(text):
        return float(match[1]), float(match[2]), PIXEL
    if match := _DECIMAL_COMMAS.fullmatch(text):
        text = f"{match[1]}.{match[2]} {match[3]}.{match[4]}"
    if plain and (match := _TWO_NUMBERS.fullmatch(text)):
        return float(match[1]), float(match[2]), PIXEL
    found = _with_letters(text) or _without_letters(text)
    if found is None:
        examples = PLAIN_EXAMPLES if plain else EXAMPLES
        raise PlaceError(f"{text!r} is not understood as a place; write it like {examples}")
    return (*found, LONLAT)


def _with_letters(text: str) -> tuple[float, float] | None:
    """(longitude, latitude) where N or S, and E or W, say which is which."""
    if match := _LETTERS_FIRST.fullmatch(text):
        parts = {match[1].upper(): match[2], match[3].upper(): match[4]}
    elif match := _LETTERS_LAST.fullmatch(text):
        parts = {match[2].upper(): match[1], match[4].upper(): match[3]}
    else:
        return None
    angles = {letter: _angle(part.strip(" ,;")) for letter, part in parts.items()}
    north = next((angle for letter, angle in angles.items() if letter in "NS"), None)
    east = next((angle for letter, angle in angles.items() if letter in "EW"), None)
    if north is None or east is None:
        return None
    if north < 0 or east < 0:
        raise PlaceError(f"{text!r} has a letter and a sign for the same direction; leave out one of them")
    return _checked(-east if "W" in angles else east, -north if "S" in angles else north)


def _without_letters(text: str) -> tuple[float, float] | None:
    """(longitude, latitude) of latitude and longitude, in this order."""
    halves = re.split(r"[,;]", text)
    if len(halves) == 1:
        words = text.split()
        if len(words) % 2:
            return None
        halves = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    if len(halves) != 2:
        return None
    lat, lon = _angle(halves[0]), _angle(halves[1])
    return None if lat is None or lon is None else _checked(lon, lat)


def _angle(text: str) -> float | None:
    """Degrees of "48", "48 8.5" or "48° 8' 13.2\\""; None if it is none."""
    match = _ANGLE.fullmatch(text)
    if match is None:
        return None
    whole, *parts = match.groups()
    small = [float(part) for part in parts if part is not None]
    if any(value >= 60 for value in small) or (small and not float(whole).is_integer()):
        raise PlaceError(
            f"{text.strip()!r} is no angle: minutes and seconds are below 60, degrees before them are whole"
        )
    size = abs(float(whole)) + sum(value / 60**place for place, value in enumerate(small, start=1))
    return math.copysign(size, -1 if whole.startswith("-") else 1)


def _checked(lon: float, lat: float) -> tuple[float, float]:
    if abs(lat) > 90 or abs(lon) > 360:
        raise PlaceError(
            f"there is no latitude {lat:g} with longitude {lon:g}: latitude comes first and is at most 90; or write "
            "letters, such as 11.576 E 48.137 N"
        )
    return lon, lat


def _outside(text: str, grid: Grid, crs: str) -> str:
    west, south, east, north = grid.bounds(crs)
    says = f"{text.strip()!r} lies outside the scene, which "
    if crs == PIXEL:
        return f"{says}has {grid.width} columns and {grid.height} rows; write column, row"
    if crs == LONLAT:
        return (
            f"{says}covers latitude {south:.6g} to {north:.6g} and longitude {west:.6g} to {east:.6g}; latitude comes "
            "first, or write letters"
        )
    return f"{says}covers x {west:.8g} to {east:.8g} and y {south:.8g} to {north:.8g} in {crs}; x comes first"
