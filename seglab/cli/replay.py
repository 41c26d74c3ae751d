"""`seglab replay`: run a project's log again and compare the labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seglab.cli.work import run_job, show


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "run a project's log again, headless, and check that the same labels come out"
    parser = commands.add_parser("replay", help=summary, description=summary)
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the project's folder; only read")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the new project here; it must be free")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a summary")
    group = parser.add_argument_group("masks")
    group.add_argument("--masks", action="store_true", help="draw each object again by its round's model, too")
    group.add_argument("--scene", metavar="PATH", help="where the scene is now, if it has moved")
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights that the project was opened with")
    group.add_argument("--device", help="cuda, mps or cpu; chosen if left out")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.history.replay import Drawing, replay

    drawing = Drawing(options.scene, options.checkpoint, options.device) if options.masks else None
    result = run_job(replay, options.project, options.out, drawing, title="replay", unit="object")
    kept = result.to_json() | {"folder": None if options.out is None else str(result.folder)}
    show(kept, options.json, _format)
    return 0 if result.equal else 1


def _format(result: dict[str, Any]) -> str:
    counted = (f"{name} {result[name]}" for name in ("events", "objects", "classes", "rounds"))
    lines = [", ".join(counted)]
    if result["masks"] is not None:
        lines += _format_masks(result["masks"])
    if result["folder"] is not None:
        lines.append(f"new project: {result['folder']}")
    if result["equal"]:
        lines.append("equal: labels.gpkg is what the log leads to")
    else:
        lines += [f"differs: {difference}" for difference in result["differences"]]
        lines.append(
            "The log counts: the next action in seglab writes labels.gpkg anew; copy the file if its edits are yours."
        )
    return "\n".join(lines)


def _format_masks(masks: list[dict[str, Any]]) -> list[str]:
    known = [m["iou"] for m in masks if m["iou"] is not None]
    exact = sum(value == 1 for value in known)
    lines = [
        f"masks drawn again: {exact} of {len(masks)} pixel for pixel" + (", the others:" if exact < len(masks) else "")
    ]
    for mask in masks:
        if mask["iou"] != 1:
            found = mask["problem"] or ("no prompts" if mask["iou"] is None else f"IoU {mask['iou']:.3f}")
            lines.append(f"  object {mask['id']}, round {mask['round']}: {found}")
    return lines
