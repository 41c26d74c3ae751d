"""`seglab report`: a project as one page of HTML."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "write a project's labels, what they cost, and its rounds into one page of HTML"
    parser = commands.add_parser("report", help=summary, description=summary)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="a project's folder; only read")
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="report.html if left out")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.economics.report import report_of
    from seglab.app.history.chronicle import Chronicle
    from seglab.store import atomic
    from seglab.store.project import Project

    project = Project.open(options.project)
    chronicle = Chronicle(project)
    chronicle.follow()
    atomic.write_bytes(options.out, report_of(project, chronicle).encode())
    print(f"the report is in {options.out}")
    return 0
