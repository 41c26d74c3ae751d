"""`seglab vectorise`: a class map as polygons."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from seglab.cli.work import run_job

_AREA = re.compile(r"(\d+(?:\.\d+)?)(px|m2|ha)")
_SQUARE_METRES = {"px": 1, "m2": 1, "ha": 10_000}


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "write the regions of a class map as polygons: GeoPackage, GeoParquet, FlatGeobuf or GeoJSON"
    parser = commands.add_parser("vectorise", help=summary, description=summary)
    parser.add_argument("map", type=Path, metavar="MAP", help="a class map; NAME_confidence beside it is used")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".gpkg, .parquet, .fgb or .geojson")
    parser.add_argument("--least", type=_area, default=(0.0, "px"), metavar="AREA", help="such as 20px, 500m2, 0.5ha")
    parser.add_argument(
        "--small",
        choices=("merge", "drop"),
        default="merge",
        help="what becomes of smaller regions: merge into the neighbour with the longest shared border, or drop",
    )
    parser.add_argument(
        "--simplify", type=float, default=0.0, metavar="PX", help="simpler outlines; shared borders stay shared"
    )
    parser.add_argument(
        "--right-angles",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="A,B",
        help="classes, of buildings, that get right angles",
    )
    parser.add_argument("--background", action="store_true", help="value 0 is a class, too")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.export.vectorise import Vectorising, vectorise

    least, unit = options.least
    how = Vectorising(least, unit, options.small, options.simplify, options.background, options.right_angles)
    path = run_job(vectorise, options.map, options.out, how, title="vectorise", unit="Mpx")
    sys.stdout.write(f"{path}\n")
    return 0


def _area(text: str) -> tuple[float, str]:
    """An area and its unit, "px" or "m2"."""
    found = _AREA.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no area such as 20px, 500m2 or 0.5ha")
    number, unit = found.groups()
    return float(number) * _SQUARE_METRES[unit], "px" if unit == "px" else "m2"
