"""`seglab label`: open the labeller from a shell."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seglab.cli.work import count


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "label scenes: opens JupyterLab on a notebook with the labeller"
    parser = commands.add_parser("label", help=summary, description=summary)
    scenes = "path or URL of a raster, several of one project; or a project's folder"
    parser.add_argument("scenes", metavar="SCENE", nargs="+", help=scenes)
    dates = "the scenes are one place at several dates, which their names tell (a_20200601.tif)"
    parser.add_argument("--dates", action="store_true", help=dates)
    parser.add_argument("--classes", type=_names, metavar="A,B", help="class names, with commas between them")
    parser.add_argument("--project", type=Path, metavar="P", help="the project's folder; NAME.seglab here if left out")
    parser.add_argument("--model", metavar="NAME", help="tiny, vit_b, vit_l or vit_h; the project's, else tiny")
    parser.add_argument("--port", type=count, metavar="N", help="of the server; chosen if left out")
    parser.add_argument("--no-browser", action="store_true", help="open no browser; the address is printed")
    parser.add_argument("--voila", action="store_true", help="a dashboard without code (needs voila)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.launch import lab_command, prepare, require_voila, voila_command

    if options.voila:
        require_voila()
    given = {"classes": options.classes, "model": options.model}
    launch = prepare(options.scenes, given, options.project, options.dates)
    build = voila_command if options.voila else lab_command
    command = build(launch.notebook, options.port, not options.no_browser)
    sys.stdout.write(f"notebook: {launch.notebook}\nproject:  {launch.project}\n")
    sys.stdout.flush()
    return run_server(command)


def run_server(command: Sequence[str], start: Callable[[Sequence[str]], Any] = subprocess.Popen) -> int:
    """Run a server until it ends; Ctrl-C is for the server, which asks whether to stop.

    Args:
        command: of the server.
        start: makes the process.

    Returns:
        Its exit status.
    """
    process = start(command)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # who ends this command ends the server
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, before)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name or one twice; write them as field,water")
    return names
