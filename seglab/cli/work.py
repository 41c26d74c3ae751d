"""What the commands share: long work with a bar and a stop on Ctrl-C, its result, and kinds of arguments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from seglab.errors import LabelsFileError
from seglab.jobs import Job, follow, start

if TYPE_CHECKING:
    import geopandas as gpd

T = TypeVar("T")
BANDS_HELP = "the scene's bands by number or name, if its file does not tell them: red, green, blue[, further ones]"
SECONDS_TO_STOP = 5.0
"""How long Ctrl-C waits for the work to end its own processes."""


def run_job(function: Callable[..., T], *args: Any, title: str, unit: str = "", **kwargs: Any) -> T:
    """Run `function(reporter, *args, **kwargs)` with a progress bar on standard error, and return its result."""
    return follow_job(start(function, *args, title=title, unit=unit, **kwargs))


def follow_job(job: Job[T]) -> T:
    """Show a job's progress on standard error, and return its result; Ctrl-C cancels it."""
    try:
        follow(job)
    except KeyboardInterrupt:
        job.cancel()
        job.wait(SECONDS_TO_STOP)
        raise
    return job.result()


def show(result: dict[str, Any], as_json: bool, format_table: Callable[[dict[str, Any]], str]) -> None:
    """Write a result to standard output: as one line of JSON, or as a table."""
    sys.stdout.write((json.dumps(result) if as_json else format_table(result)) + "\n")


def read_polygons(path: Path) -> gpd.GeoDataFrame:
    """The polygons of a file.

    Raises:
        LabelsFileError: it cannot be read.
    """
    import geopandas as gpd

    try:
        return gpd.read_file(path)
    except Exception as error:  # whatever GDAL's drivers raise
        raise LabelsFileError(f"{str(path)!r} holds no polygons ({error}); give GeoJSON or GeoPackage") from error


def bands(text: str) -> tuple[int | str, ...]:
    """An argument that is a list of bands, by 1-based index or name, with commas in between."""
    return tuple(int(part) if part.isdecimal() else part for part in (one.strip() for one in text.split(",")))


def count(text: str) -> int:
    """An argument that is a number of things: 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive(text: str) -> float:
    """An argument that is a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
