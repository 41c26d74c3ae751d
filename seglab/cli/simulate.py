"""`seglab simulate`: play an annotator by one strategy or another on labelled folders, and draw what each reaches."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from seglab.cli.work import count, show

RUNS, CURVES, PICTURE = "runs.jsonl", "curves.json", "curves.png"
"""What --out holds: each run as it ends, all put together, and their curves."""
STRATEGIES = ("entropy", "entropy_diverse", "badge", "coreset", "uniform")
"""Played where none is named."""


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "strategies of active learning on labelled folders: learning curves by clicks, against random"
    parser = commands.add_parser("simulate", help=summary, description=summary)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="a folder of labelled datasets, one dataset, or a scene"
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="of a scene: all its objects")
    parser.add_argument("--class-name", metavar="NAME", help="of those objects, where the file tells none")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="of the folder; all if left out")
    parser.add_argument(
        "--strategy",
        action="append",
        dest="strategies",
        metavar="NAME",
        help=f"once for each; {', '.join(STRATEGIES)} if left out; random is always played",
    )
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="runs of each, with their own chance")
    parser.add_argument(
        "--out", type=Path, default=Path("simulation"), metavar="FOLDER", help=f"takes {RUNS}, {CURVES}, {PICTURE}"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    _add_person(parser.add_argument_group("annotator"))
    _add_learning(parser.add_argument_group("learning"))
    parser.set_defaults(run=_run)


def _add_person(group: Any) -> None:
    group.add_argument(
        "--share", type=_share, default=0.3, metavar="SHARE", help="of the clicks that all windows take: the budget"
    )
    group.add_argument("--pool", type=count, default=40, metavar="N", help="windows to choose from, at most")
    group.add_argument("--held-out", type=count, default=18, metavar="N", help="windows that judge, at most")


def _add_learning(group: Any) -> None:
    group.add_argument("--rounds", type=count, default=3, metavar="N", help="of training, evenly along the budget")
    group.add_argument("--steps", type=count, default=30, metavar="N", help="of each round")
    group.add_argument("--adapter", default="neck", metavar="NAME", help="adapter family")
    group.add_argument("--place", default="neck", metavar="PLACE", help="where it begins: all, late, last, neck")
    group.add_argument("--model", default="tiny_unseen", metavar="NAME", help="best one that never saw the folders")
    group.add_argument("--checkpoint", metavar="FILE", help="weights to use instead of the model's own")
    group.add_argument("--device", help="cuda, mps or cpu; chosen if left out")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and at most 1")
    return value


def _say(line: str) -> None:
    """Progress goes to standard error: standard output is the result's."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _run(options: argparse.Namespace) -> int:
    from seglab.bench.curves import draw, format_table
    from seglab.bench.simulate import run_simulate
    from seglab.datasets.folder import open_datasets
    from seglab.store import atomic

    names = [] if options.labels else options.datasets or list(open_datasets(options.folder))
    same = ("labels", "class_name", "seeds", "rounds", "share", "pool", "held_out")
    same += ("steps", "adapter", "place", "model", "checkpoint", "device")
    result = run_simulate(
        options.folder,
        names,
        options.strategies or STRATEGIES,
        **{name: getattr(options, name) for name in same},
        out=options.out / RUNS,
        say=_say,
    )
    atomic.write_bytes(options.out / CURVES, (json.dumps(result, indent=1) + "\n").encode())
    show(result, options.json, format_table)
    draw(result, options.out / PICTURE)
    return 0
