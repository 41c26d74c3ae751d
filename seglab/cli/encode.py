"""`seglab encode`: what of a scene's maps no round changes, computed beforehand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from seglab.cli.work import follow_job


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "encode a project's scene beforehand, so that clicks and later maps are quicker"
    parser = commands.add_parser("encode", help=summary, description=summary)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder")
    parser.add_argument("--scene", metavar="NAME", help="which of its scenes; the one opened last if left out")
    parser.add_argument("--device", metavar="NAME", help="cuda, mps or cpu; chosen if left out")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.opening import open_scene_of

    with open_scene_of(options.project, options.scene, options.device) as session:
        count = follow_job(session.encode())
        sys.stdout.write(f"{count} windows of {session.scene_name} are encoded\n")
    return 0
