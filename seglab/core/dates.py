"""Sources with a time axis, brought to one thing: a source of one date by its date."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from seglab.core.adopt_xarray import time_axis
from seglab.core.cubes import CubeLayer, is_cube, open_cube
from seglab.core.handles import is_remote, open_dataset
from seglab.core.sources import is_stac, pick_asset
from seglab.errors import DateError, UnsupportedSceneError

if TYPE_CHECKING:
    import xarray

_IN_NAMES = (
    # the first date in a name is the acquisition's, in those of Sentinel-2 and Landsat as well
    re.compile(
        r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<s>[-_.]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])"
        r"(?:T(?P<H>[01]\d|2[0-3])[-:]?(?P<M>[0-5]\d)[-:]?(?P<S>[0-5]\d)Z?)?(?!\d)"
    ),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?:[-_.](?P<m>0[1-9]|1[0-2]))?(?!\d)"),
)
"""Dates in the names of files: of a day, maybe with its time; else of a month or a year."""

_WRITTEN = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?)?)?")


@dataclass(frozen=True)
class DatedSources:
    """The rasters of one place, by date."""

    name: str
    """For a person: what they have in common."""
    sources: dict[str, Any]
    """What `sources.locate` takes, by ISO 8601 date, the oldest first."""


def dated_sources(source: Any) -> DatedSources | None:
    """The sources of a source's dates; None for one that has no time axis.

    Args:
        source: an xarray.DataArray or Dataset with an axis of times, a NetCDF file or a Zarr store that has one, or a
            mapping of sources by their date.

    Raises:
        DateError: a date is missing, not understood, or there twice.
    """
    xarray = sys.modules.get("xarray")  # whoever passes one has imported it
    if xarray is not None and isinstance(source, xarray.DataArray | xarray.Dataset):
        axis = time_axis(source)
        return None if axis is None else _of_xarray(source, axis)
    if is_cube(source):
        layers = cube_layers(source)
        return DatedSources(Path(os.fspath(source)).stem, layers) if layers else None
    if not isinstance(source, Mapping) or is_stac(source):
        return None
    if not source:
        raise DateError("no date is given; name at least one file, for example {'2020-06-01': 'a.tif'}")
    found = _ordered([(iso_date(date), one) for date, one in source.items()])
    name = _name_of(next(iter(found.values())))
    return DatedSources(name, {date: _raster_of(one, date) for date, one in found.items()})


def cube_layers(path: str | os.PathLike[str]) -> dict[str, CubeLayer]:
    """What a NetCDF file or a Zarr store holds, by date; {} if it has no axis of times.

    Raises:
        DateError: a date is not understood, or there twice.
        SegLabError: as `open_cube` raises.
    """
    cube, place = open_cube(path), _absolute(path)
    axis = time_axis(cube)
    if axis is None:
        return {}
    dated = [(date, CubeLayer(place, axis, n, date)) for n, date in enumerate(_dates_along(cube, axis))]
    return {date: replace(layer, date=date) for date, layer in _ordered(dated).items()}


def by_date(sources: Iterable[Any]) -> dict[str, Any]:
    """Files or STAC items of one place by the date that each tells, for `seglab.open`.

    Args:
        sources: paths, URLs or STAC items. A file tells its date by its name ("s2_20200601.tif"), else by its
            TIFFTAG_DATETIME; a STAC item by its datetime.

    Raises:
        DateError: one tells no date, or two the same.
        UnsupportedSceneError: one is neither a file nor an item.
    """
    return _ordered([(_date_of(one), one) for one in sources])


def told_date(source: Any) -> str | None:
    """The date that a file or a STAC item tells, as `by_date` reads it, ISO 8601; None if it tells none."""
    try:
        return _date_of(source)
    except (DateError, UnsupportedSceneError):
        return None


def iso_date(value: Any) -> str:
    """A date as ISO 8601 text, as short as it can be: "2020-06-01" at midnight, else "2020-06-01T10:20:31".

    Args:
        value: text (also of a year, "2020", or a month, "2020-06"), a date, a datetime (in UTC where it has no time
            zone), a datetime64 or a date of cftime.

    Raises:
        DateError: it is not a date.
    """
    if isinstance(value, np.datetime64):
        text = str(value.astype("datetime64[s]"))
    elif isinstance(value, datetime) and value.tzinfo is not None:
        text = (value - value.utcoffset()).replace(tzinfo=None).isoformat()
    else:
        text = value.isoformat() if hasattr(value, "isoformat") else str(value).strip()
        text = _checked(text) if isinstance(value, str) else text
    if not _WRITTEN.fullmatch(text):
        raise DateError(f"{value!r} is not a date; write it as 2020-06-01, or 2020-06-01T10:20 where days repeat")
    return re.sub(r"(T00:00(:00)?)$", "", text.partition(".")[0].replace(" ", "T"))


def _checked(text: str) -> str:
    """Text of a date that is in the calendar, without a time zone."""
    if re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2]))?", text):
        return text
    try:
        return iso_date(datetime.fromisoformat(text))
    except ValueError:
        return ""


def _ordered(dated: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Sources by date, the oldest first; the time of the day is named only where a day comes more than once.

    Raises:
        DateError: two are of the same time.
    """
    days = Counter(date[:10] for date, _ in dated)
    named = [(date if days[date[:10]] > 1 else date[:10], one) for date, one in dated]
    twice = [date for date, count in Counter(date for date, _ in named).items() if count > 1]
    if twice:
        raise DateError(
            f"two rasters are of {twice[0]}; leave one out, or give each its time, as in '2020-06-01T10:20': "
            "seglab.open({date: source, ...})"
        )
    return dict(sorted(named, key=lambda pair: pair[0]))


# -- xarray


def _of_xarray(source: xarray.DataArray | xarray.Dataset, axis: str) -> DatedSources:
    dated = [(date, source.isel({axis: n})) for n, date in enumerate(_dates_along(source, axis))]
    name = getattr(source, "name", None)
    return DatedSources(str(name) if name else "array", _ordered(dated))


def _dates_along(source: xarray.DataArray | xarray.Dataset, axis: str) -> list[str]:
    if axis not in source.coords:
        raise DateError(
            f"the axis {axis!r} has no dates along it; assign them with .assign_coords({axis}=[...]), or rename the "
            "axis to 'band' if it is none of times"
        )
    return [iso_date(value) for value in source.coords[axis].values]


# -- files and STAC items


def _date_of(source: Any) -> str:
    """The date that a file or an item tells.

    Raises:
        DateError: it tells none.
        UnsupportedSceneError: it is neither.
    """
    if isinstance(source, Mapping) and is_stac(source):
        properties = source.get("properties", {})
        value, who = properties.get("datetime") or properties.get("start_datetime"), f"the item {source.get('id')!r}"
    elif is_stac(source):
        value, who = source.datetime or source.common_metadata.start_datetime, f"the item {source.id!r}"
    elif isinstance(source, CubeLayer):
        return source.date
    elif isinstance(source, str | os.PathLike):
        value, who = _date_in(_stem(source)) or _tagged_date(os.fspath(source)), f"the file {os.fspath(source)!r}"
    else:
        raise UnsupportedSceneError(
            f"a {type(source).__name__!r} does not tell its date, as paths, URLs and STAC items do; give it by its "
            "date: seglab.open({'2020-06-01': source, ...})"
        )
    if value is None:
        raise DateError(f"{who} does not tell its date; say it yourself: seglab.open({{'2020-06-01': ..., ...}})")
    return iso_date(value)


def _raster_of(source: Any, date: str) -> Any:
    """The same; of a file or a STAC item, the absolute path or the URL; of one with several dates, its part of a date.

    Raises:
        DateError: it has several dates, and not this one.
    """
    if is_stac(source):
        source = pick_asset(source)[0]
    if not isinstance(source, str | os.PathLike):
        return source
    if not is_cube(source) or not (layers := cube_layers(source)):
        return _absolute(source)
    found = [layer for known, layer in layers.items() if known.startswith(date)]
    if len(found) != 1:
        raise DateError(f"{os.fspath(source)!r} has the dates {', '.join(layers)}, and {date} is not one of them")
    return replace(found[0], date=date)


def _absolute(source: str | os.PathLike[str]) -> str:
    path = os.fspath(source)
    return path if is_remote(path) else str(Path(path).expanduser().absolute())


def _stem(path: str | os.PathLike[str]) -> str:
    return Path(unquote(urlsplit(os.fspath(path)).path)).stem


def _date_in(name: str) -> str | None:
    """The first date in a name, the most exact kind first."""
    for pattern in _IN_NAMES:
        match = pattern.search(name)
        if match:
            parts = match.groupdict()
            day = "-".join(parts[key] for key in "ymd" if parts.get(key))
            clock = ":".join(parts[key] for key in "HMS" if parts.get(key))
            return f"{day}T{clock}" if clock else day
    return None


def _tagged_date(path: str) -> str | None:
    """The date in a TIFF's own tag, "2020:06:01 10:20:31"."""
    with open_dataset(path) as dataset:
        text = dataset.tags().get("TIFFTAG_DATETIME", "")
    match = re.fullmatch(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)\s*", text)
    return None if match is None else "{}-{}-{}T{}".format(*match.groups())


def _name_of(source: Any) -> str:
    """A name without its date: "field_2020-06-01" is "field"."""
    if isinstance(source, str | os.PathLike):
        name = _stem(source)
    elif isinstance(source, Mapping):
        name = str(source.get("id", "item"))
    else:
        name = str(getattr(source, "id", None) or getattr(source, "name", None) or "array")
    rest = name
    for pattern in _IN_NAMES:
        if pattern.search(name):
            rest = pattern.sub("", name, count=1)
            break
    return re.sub(r"([-_. ])[-_. ]+", r"\1", rest).strip("-_. ") or name
