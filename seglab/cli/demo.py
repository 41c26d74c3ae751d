"""`seglab demo`: the main path with scripted clicks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    parser = commands.add_parser("demo", help="run the main path on a Landsat scene with scripted clicks")
    parser.add_argument("--out", type=Path, default=Path("demo.seglab"), help="the project's folder (made anew)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.bench.demo import run_demo

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    result = run_demo(options.out, say)
    say(json.dumps(result))
    return 0
