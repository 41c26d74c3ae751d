"""`seglab predict`: maps of one scene or of many, by a trained round."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglab.cli.work import BANDS_HELP, bands, count, positive, read_polygons, run_job, show

if TYPE_CHECKING:
    from seglab.app.maps.many_scenes import SceneMap
    from seglab.inference.sweep import Workers

FAILED = 1
"""Exit status where at least one scene was not mapped."""


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "map scenes by a trained round: classes and confidence as Cloud-Optimized GeoTIFFs"
    parser = commands.add_parser("predict", help=summary, description=summary)
    scenes = "a raster (path or URL), NetCDF or Zarr, a folder of rasters, a .txt with one per line, or STAC (.json)"
    parser.add_argument("scenes", metavar="SCENE", nargs="+", help=scenes)
    rounds = "a project's folder (its round in use), PROJECT/rounds/003, or a file from export_round"
    parser.add_argument("--round", required=True, metavar="ROUND", help=rounds)
    out = "the map of one scene (.tif), or a folder: NAME.tif for each"
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=out)
    parser.add_argument("--mosaic", type=Path, metavar="FILE", help="all maps as one, too; the surer one counts")
    parser.add_argument("--area", type=Path, metavar="FILE", help="polygons; only what lies in them is mapped")
    resolution = "ground metres per model pixel; that of the round's objects if left out"
    parser.add_argument("--resolution", type=positive, metavar="M", help=resolution)
    parser.add_argument("--flips", action="store_true", help="look at mirrored windows, too: 4 times the work")
    parser.add_argument("--bands", type=bands, metavar="B,B,B", help=BANDS_HELP)
    parser.add_argument("--device", metavar="NAME", help="cuda, mps or cpu; chosen if left out")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights of the base model")
    cluster = parser.add_mutually_exclusive_group()
    cluster.add_argument("--workers", type=count, metavar="N", help="so many processes of one thread each (needs Dask)")
    cluster.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster: tcp://..., or a scheduler file")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a summary")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.app.maps.many_scenes import ManySettings, map_scenes
    from seglab.app.rounds.round_model import load_round
    from seglab.core.handles import keep_few_blocks
    from seglab.core.scene_lists import find_scenes
    from seglab.inference.plan import MapSettings

    sources = find_scenes(options.scenes)
    targets = _targets(sources, options.out)
    keep_few_blocks()
    model = load_round(options.round, device=options.device, checkpoint=options.checkpoint)
    model = model if options.bands is None else model.seeing(options.bands)
    with ExitStack() as stack:
        how = ManySettings(
            settings=MapSettings(flips=options.flips),
            resolution=options.resolution,
            area=None if options.area is None else read_polygons(options.area),
            workers=_workers(options, stack),
        )
        maps = run_job(map_scenes, model, sources, targets, how, title="map", unit="Mpx")
    result: dict[str, Any] = {"maps": [one.to_json() for one in maps]}
    if options.mosaic is not None:
        result["mosaic"] = _mosaic(maps, options.mosaic)
    show(result, options.json, _format)
    return FAILED if any(one.error for one in maps) else 0


def _targets(sources: list[Any], out: Path) -> list[Path]:
    """Where each map goes: a file for one scene, else a folder."""
    from seglab.app.maps.many_scenes import target_paths

    if len(sources) == 1 and out.suffix.lower() in (".tif", ".tiff") and not out.is_dir():
        return [out]
    return target_paths(sources, out)


def _workers(options: argparse.Namespace, stack: ExitStack) -> Workers | None:
    """Who maps, as the options say; what is started for it ends with the stack."""
    if options.workers is None and options.scheduler is None:
        return None
    from seglab.inference.cluster import DaskWorkers, connect

    return DaskWorkers(stack.enter_context(connect(options.scheduler, options.workers or 0)))


def _mosaic(maps: list[SceneMap], path: Path) -> str | None:
    from seglab.export.mosaic import mosaic

    made = [one.prediction.path for one in maps if one.prediction is not None]
    return str(run_job(mosaic, made, path, title="mosaic", unit="Mpx")) if made else None


def _format(result: dict[str, Any]) -> str:
    made = [one["map"] for one in result["maps"] if one["map"]]
    failed = [one for one in result["maps"] if one["error"]]
    lines = [*made, *([result["mosaic"]] if result.get("mosaic") else [])]
    if failed:
        lines.append(f"{len(failed)} of {len(result['maps'])} scenes were not mapped:")
        lines += [f"  {one['scene']}: {one['error']}" for one in failed]
    return "\n".join(lines)
