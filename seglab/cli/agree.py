"""`seglab agree`: how far two annotators of one scene agree, or the authors of one project."""

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
    summary = "compare the labels of annotators of one scene: IoU, kappa, objects, and where they differ"
    parser = commands.add_parser("agree", help=summary, description=summary)
    parser.add_argument("first", type=Path, metavar="PROJECT", help="a project's folder; only read")
    other = "another project, or a file of labels; only read. Left out: the project's authors, each with each"
    parser.add_argument("second", type=Path, metavar="OTHER", nargs="?", help=other)
    parser.add_argument("--scene", metavar="NAME", help="which of the project's scenes; its first one if left out")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a summary")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.annotators.annotators import compare_authors, compare_projects

    if options.second is not None:
        show(compare_projects(options.first, options.second, options.scene).to_json(), options.json, _format)
        return 0
    pairs = compare_authors(options.first, options.scene)
    found = [{"first": first, "second": second, **one.to_json()} for (first, second), one in pairs.items()]
    show({"pairs": found}, options.json, _format_pairs)
    return 0


def _format_pairs(result: dict[str, Any]) -> str:
    return "\n\n".join(f"{pair['first']} and {pair['second']}\n{_format(pair)}" for pair in result["pairs"])


def _format(result: dict[str, Any]) -> str:
    first, second = result["objects"]
    both = _kappa(result["kappa_of_labelled"])
    lines = [
        f"objects: {first} and {second}, {result['agreed']} in both (F1 {_figure(result['f1'])})",
        f"kappa: {_kappa(result['kappa'])} over all pixels, {both} where both labelled",
        *(_class_line(name, value) for name, value in result["classes"].items()),
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


def _class_line(name: str, value: dict[str, Any]) -> str:
    objects = value["objects"]
    counts = f"{objects['both']} in both, {objects['first']} and {objects['second']} in one only"
    return f"{name}: IoU {_figure(value['iou'])}, kappa {_kappa(value['kappa'])}, objects {counts}"


def _kappa(value: float | None) -> str:
    from seglab.core.agreement import strength

    return "-" if value is None else f"{value:.3f} ({strength(value)})"


def _overlap(iou: float) -> str:
    return f" (IoU {iou:.2f})" if iou else ""


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
