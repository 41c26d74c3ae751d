"""`seglab area`: accuracy of a checked map, and areas of its classes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "accuracy of a map that was checked by a sample, and the area of each class, with confidence intervals"
    parser = commands.add_parser("area", help=summary, description=summary)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="a project's folder; only read")
    parser.add_argument("--scene", metavar="NAME", help="which of its scenes; its first one if left out")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.map_checking import estimate_of

    found = estimate_of(options.project, options.scene)
    sys.stdout.write((json.dumps(found.to_dict()) if options.json else repr(found)) + "\n")
    return 0
