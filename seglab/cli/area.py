"""`seglab area`: accuracy of a checked map and areas of its classes; or the areas of any map, as counted."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from seglab.cli.work import run_job


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "hectares by class: of a project whose map was checked, with accuracy and intervals; of a map, as counted"
    parser = commands.add_parser("area", help=summary, description=summary)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="a project's folder, or a class map; only read")
    parser.add_argument("--scene", metavar="NAME", help="which of its scenes; its first one if left out")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.maps.map_checking import areas_of_map, estimate_of

    if options.project.is_file():
        table = run_job(areas_of_map, options.project, title="measure the map")
        without_nan = table.astype(object).where(table.notna(), None)  # without a CRS
        rows = without_nan.to_dict("index")
        said = json.dumps(rows) if options.json else table.to_string(float_format="{:,.2f}".format)
    else:
        found = estimate_of(options.project, options.scene)
        said = json.dumps(found.to_dict()) if options.json else repr(found)
    sys.stdout.write(said + "\n")
    return 0
