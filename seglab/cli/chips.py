"""`seglab chips`: labels and imagery of a project as chips for training elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from seglab.cli.work import count, follow_job


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "write a project's labels with their imagery as chips: masks, instances and COCO JSON, split by area"
    parser = commands.add_parser("chips", help=summary, description=summary)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="a project's folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="must not be there yet")
    parser.add_argument("--scene", metavar="NAME", help="which of its scenes; the one opened last if left out")
    parser.add_argument("--size", type=count, default=512, metavar="PX", help="side of a chip (512)")
    overlap = "share of a chip that the next one shows too, 0 to 0.9 (default 0); never across two parts"
    parser.add_argument("--overlap", type=float, default=0, metavar="SHARE", help=overlap)
    parser.add_argument(
        "--least-known", type=float, default=0, metavar="SHARE", help="leave out chips of which less is known (0 to 1)"
    )
    parser.add_argument("--bands", action="store_true", help="all bands as GeoTIFF; else PNG as the model sees it")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.opening import open_scene_of

    how = {"size": options.size, "overlap": options.overlap, "least_known": options.least_known, "bands": options.bands}
    with open_scene_of(options.project, options.scene) as session:
        folder = follow_job(session.export_chips(options.out, **how))
    sys.stdout.write(f"{folder}\n")
    return 0
