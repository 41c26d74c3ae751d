"""`seglab instances`: the objects of a scene as polygons, by a trained round."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seglab.cli.work import BANDS_HELP, bands, count, positive, read_polygons, run_job, show


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "find the objects of a scene by a trained round: roofs, fields, crowns, one polygon each"
    parser = commands.add_parser("instances", help=summary, description=summary)
    parser.add_argument("scene", metavar="SCENE", help="a raster: a path or a URL")
    rounds = "a project's folder (its round in use), PROJECT/rounds/003, or a file from export_round"
    parser.add_argument("--round", required=True, metavar="ROUND", help=rounds)
    out = "the polygons: .gpkg, .parquet, .fgb or .geojson"
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=out)
    classes = "whose objects are wanted, with commas in between; all if left out"
    parser.add_argument("--classes", metavar="NAMES", help=classes)
    parser.add_argument("--area", type=Path, metavar="FILE", help="polygons; objects elsewhere are left out")
    least = "smallest object, pixels; a fifth of the median object that the round was trained on if left out"
    parser.add_argument("--least", type=count, metavar="PX", help=least)
    least_score = "least predicted IoU, 0 to 1 (default 0.5); the packaged model is rarely surer than 0.6"
    parser.add_argument("--least-score", type=_share, metavar="SHARE", help=least_score)
    resolution = "ground metres per model pixel; that of the round's objects if left out"
    parser.add_argument("--resolution", type=positive, metavar="M", help=resolution)
    parser.add_argument("--bands", type=bands, metavar="B,B,B", help=BANDS_HELP)
    parser.add_argument("--device", metavar="NAME", help="cuda, mps or cpu; chosen if left out")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights of the base model")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a summary")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.maps.many_scenes import area_in
    from seglab.app.rounds.round_model import load_round
    from seglab.core.handles import keep_few_blocks
    from seglab.inference.instances import InstanceSettings
    from seglab.inference.window_masks import Keeping

    keep_few_blocks()
    model = load_round(options.round, device=options.device, checkpoint=options.checkpoint)
    model = model if options.bands is None else model.seeing(options.bands)
    keeping = Keeping() if options.least_score is None else Keeping(least_iou=options.least_score)
    classes = None if options.classes is None else [name.strip() for name in options.classes.split(",")]
    with model.open(options.scene) as scene:
        scale = model.scale(scene, options.resolution)
        settings = InstanceSettings(
            scale=scale,
            least_area=options.least or model.least_area(classes, scale),
            keeping=keeping,
            area=None if options.area is None else area_in(scene.grid, read_polygons(options.area)),
        )

        def find(reporter: Any) -> Path:
            return model.find_objects(scene, options.out, settings, classes, reporter=reporter)

        made = run_job(find, title="find objects", unit="Mpx")
    show({"objects": str(made)}, options.json, lambda result: result["objects"])
    return 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie between 0 and 1")
    return value
