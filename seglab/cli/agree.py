"""`seglab agree`: how far two annotators of one scene agree."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seglab.cli.work import show

LISTED = 20
"""Disagreements that the summary names, at most."""
WORDS = {
    "class": "another class",
    "outline": "another outline",
    "denied": "reviewed by the other one, who sees nothing there",
    "alone": "the other one has not labelled there",
}


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "compare the labels of two annotators of one scene: IoU, kappa, objects, and where they differ"
    parser = commands.add_parser("agree", help=summary, description=summary)
    parser.add_argument("first", type=Path, metavar="PROJECT", help="a project's folder; only read")
    parser.add_argument("second", type=Path, metavar="OTHER", help="another project, or a file of labels; only read")
    parser.add_argument("--scene", metavar="NAME", help="which of the project's scenes; its first one if left out")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a summary")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.annotators import compare_projects

    show(compare_projects(options.first, options.second, options.scene).to_json(), options.json, _format)
    return 0


def _format(result: dict[str, Any]) -> str:
    first, second = result["objects"]
    both = _figure(result["kappa_of_labelled"])
    lines = [
        f"objects: {first} and {second}, {result['agreed']} in both (F1 {_figure(result['f1'])})",
        f"kappa: {_figure(result['kappa'])} over all pixels, {both} where both labelled",
        *(f"IoU of {name}: {_figure(value['iou'])}" for name, value in result["classes"].items()),
        f"mean IoU: {_figure(result['mean_iou'])}",
    ]
    differing = result["disagreements"]
    if differing:
        lines.append(f"they differ about {len(differing)}:")
    for one in differing[:LISTED]:
        numbers = (f"{name} {one[key]}" for name, key in (("first's", "first"), ("second's", "second")) if one[key])
        lines.append(f"  {', '.join(numbers)}: {WORDS[one['kind']]}{_overlap(one['iou'])}")
    if len(differing) > LISTED:
        lines.append(f"  and {len(differing) - LISTED} more; --json has all of them")
    return "\n".join(lines)


def _overlap(iou: float) -> str:
    return f" (IoU {iou:.2f})" if iou else ""


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
