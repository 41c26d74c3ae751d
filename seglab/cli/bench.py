"""`seglab bench`: measure the model on folders of labelled imagery."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from seglab.cli.work import count, run_job, show


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    parser = commands.add_parser("bench", help="measure models, and what training brings")
    benches = parser.add_subparsers(required=True, metavar="BENCH")
    _add_clicks(benches)
    _add_rounds(benches)
    _add_adapters(benches)
    _add_instances(benches)
    _add_distill(benches)
    _add_stego(benches)
    _add_naming(benches)
    _add_speed(benches)
    _add_cost(benches)


def _add(benches: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser = benches.add_parser(name, help=summary, description=summary)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--device", help="cuda, mps or cpu; chosen if left out")
    return parser


def _say(line: str) -> None:
    """Progress goes to standard error: standard output is the result's."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


# -- clicks


def _add_clicks(benches: Any) -> None:
    parser = _add(benches, "clicks", "IoU by number of clicks and for one box, and clicks to an IoU")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of labelled datasets, or one dataset")
    parser.add_argument("--model", default="tiny", metavar="NAME", help="a model, or floodfill or grabcut")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights to use instead of the model's own")
    parser.add_argument("--part", choices=("train", "val", "all"), default="val", help="of the committed split")
    parser.add_argument("--per-image", type=count, default=20, metavar="N", help="most objects per image")
    parser.set_defaults(run=_clicks)


def _clicks(options: argparse.Namespace) -> int:
    from seglab.bench.clicks import format_table, run_clicks

    result = run_job(
        run_clicks,
        options.folder,
        options.model,
        part=options.part,
        checkpoint=options.checkpoint,
        device=options.device,
        per_image=options.per_image,
        title=f"clicks {options.model}",
        unit="image",
    )
    show(result, options.json, format_table)
    return 0


# -- rounds and adapters: a simulated annotator


def _add_rounds(benches: Any) -> None:
    parser = _add(benches, "rounds", "what rounds of training on a simulated annotator's labels bring")
    _add_simulation(parser, objects=10, seeds=3)
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="rounds of training")
    parser.add_argument("--adapter", default="atl_a", metavar="NAME", help="adapter family")
    parser.add_argument(
        "--places", nargs="+", default=["late"], metavar="PLACE", help="where it begins; the first is compared with"
    )
    parser.set_defaults(run=_rounds)


def _add_adapters(benches: Any) -> None:
    parser = _add(benches, "adapters", "adapter families and their places side by side, on the same labels")
    _add_simulation(parser, objects=30, seeds=1)
    parser.add_argument("--adapters", nargs="+", metavar="NAME", help="families; all if left out")
    parser.add_argument("--places", nargs="+", metavar="PLACE", help="of those that a family has; all if left out")
    parser.set_defaults(run=_adapters)


def _add_simulation(parser: argparse.ArgumentParser, objects: int, seeds: int) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of labelled datasets, or one dataset")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="of the folder; all if left out")
    parser.add_argument("--model", default="tiny_unseen", metavar="NAME", help="best one that never saw the datasets")
    parser.add_argument("--checkpoint", metavar="FILE", help="weights to use instead of the model's own")
    parser.add_argument("--objects", type=count, default=objects, metavar="N", help="labelled before each round")
    parser.add_argument("--seeds", type=count, default=seeds, metavar="N", help="runs, each with its own chance")
    parser.add_argument("--held-out", type=count, default=60, metavar="N", help="objects that judge, at most")
    parser.add_argument("--steps", type=count, metavar="N", help="of each round; the recipe's if left out")
    parser.add_argument("--jobs", type=count, default=1, metavar="N", help="runs at the same time")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keeps finished runs, to go on from")


def _simulation(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments that both benches take."""
    from seglab.datasets.folder import open_datasets

    same = ("folder", "model", "checkpoint", "objects", "seeds", "held_out", "steps", "device", "jobs", "out")
    names = options.datasets or list(open_datasets(options.folder))
    return {name: getattr(options, name) for name in same} | {"datasets": names, "say": _say}


def _rounds(options: argparse.Namespace) -> int:
    from seglab.bench.rounds import format_table, run_rounds

    result = run_rounds(**_simulation(options), rounds=options.rounds, adapter=options.adapter, places=options.places)
    show(result, options.json, format_table)
    return 0


def _adapters(options: argparse.Namespace) -> int:
    from seglab.bench.adapters import format_table, run_adapters
    from seglab.models.adapters.registry import ADAPTERS

    families = options.adapters or tuple(ADAPTERS)
    result = run_adapters(**_simulation(options), adapters=families, places=options.places)
    show(result, options.json, format_table)
    return 0


# -- without labels


def _add_stego(benches: Any) -> None:
    parser = _add(benches, "stego", "clusters without labels against the classes, beside PCA and k-means")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of labelled datasets, or one dataset")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="of the folder; all if left out")
    parser.add_argument("--model", default="tiny_unseen", metavar="NAME", help="whose features")
    parser.add_argument("--dino", type=Path, metavar="FILE", help="weights of a DINO or DINOv2, whose features instead")
    parser.add_argument("--preset", default="auto", metavar="NAME", help="auto, potsdam or general")
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="runs, each with its own chance")
    parser.add_argument("--windows", type=count, default=120, metavar="N", help="of each dataset, at most")
    parser.add_argument("--steps", type=count, default=100, metavar="N", help="of the head")
    parser.add_argument("--jobs", type=count, default=1, metavar="N", help="runs at the same time")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keeps finished runs, to go on from")
    parser.set_defaults(run=_stego)


def _stego(options: argparse.Namespace) -> int:
    from seglab.bench.stego import format_table, run_stego
    from seglab.datasets.folder import open_datasets

    names = options.datasets or list(open_datasets(options.folder))
    same = ("model", "dino", "preset", "seeds", "windows", "steps", "jobs", "out")
    settings = {name: getattr(options, name) for name in same}
    show(run_stego(options.folder, names, **settings, say=_say), options.json, format_table)
    return 0


def _add_naming(benches: Any) -> None:
    parser = _add(benches, "naming", "a first round from named clusters, beside one from as many clicks")
    parser.add_argument("--steps", type=count, metavar="N", help="of the rounds; the recipe's if left out")
    parser.add_argument("--clusters", type=count, default=8, metavar="N", help="that are asked for, and named")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the clusters")
    parser.set_defaults(run=_naming)


def _naming(options: argparse.Namespace) -> int:
    from seglab.bench.naming import format_table, run_naming

    show(run_naming(_say, options.steps, options.clusters, options.seed, options.device), options.json, format_table)
    return 0


# -- objects one by one


def _add_instances(benches: Any) -> None:
    parser = _add(benches, "instances", "objects that a round finds beside the regions of its class map")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of labelled datasets, or one dataset")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="of the folder; all if left out")
    parser.add_argument("--model", default="tiny_unseen", metavar="NAME", help="best one that never saw the datasets")
    parser.add_argument("--checkpoint", metavar="FILE", help="weights to use instead of the model's own")
    parser.add_argument("--objects", type=count, default=15, metavar="N", help="labelled before the round")
    parser.add_argument("--images", type=count, metavar="N", help="held-out ones, at most; all if left out")
    parser.add_argument("--steps", type=count, metavar="N", help="of the round; the recipe's if left out")
    parser.set_defaults(run=_instances)


def _instances(options: argparse.Namespace) -> int:
    from seglab.bench.instances import format_table, run_instances
    from seglab.datasets.folder import open_datasets

    same = ("folder", "model", "checkpoint", "objects", "images", "steps", "device")
    names = options.datasets or list(open_datasets(options.folder))
    result = run_instances(**{name: getattr(options, name) for name in same}, datasets=names, say=_say)
    show(result, options.json, format_table)
    return 0


# -- students


def _add_distill(benches: Any) -> None:
    parser = _add(benches, "distill", "what students learn from an adapted SAM, and what each part of it brings")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of labelled datasets, or one dataset")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="of the folder; all if left out")
    parser.add_argument("--student", default="small", metavar="NAME", help="see `seglab distill`")
    parser.add_argument(
        "--variants", nargs="+", metavar="NAME", help="ablations, none for none of them; all if left out"
    )
    parser.add_argument("--labels", type=count, metavar="N", help="images that keep their labels; all if left out")
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="runs, each with its own chance")
    parser.add_argument("--epochs", type=count, metavar="N", help="of the students; the recipe's if left out")
    parser.add_argument("--model", default="tiny", metavar="NAME", help="the SAM that is adapted and teaches")
    parser.add_argument("--checkpoint", metavar="FILE", help="weights to use instead of the model's own")
    parser.add_argument("--jobs", type=count, default=1, metavar="N", help="runs at the same time")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keeps finished runs, to go on from")
    parser.set_defaults(run=_distill)


def _distill(options: argparse.Namespace) -> int:
    from seglab.bench.students import format_table, run_students
    from seglab.datasets.folder import open_datasets

    same = ("student", "labels", "seeds", "model", "checkpoint", "device", "jobs", "out")
    given = {"variants": options.variants, "epochs": options.epochs}
    result = run_students(
        options.folder,
        options.datasets or list(open_datasets(options.folder)),
        **{name: getattr(options, name) for name in same},
        **{name: value for name, value in given.items() if value is not None},
        say=_say,
    )
    show(result, options.json, format_table)
    return 0


# -- speed and cost


def _add_speed(benches: Any) -> None:
    parser = _add(benches, "speed", "how fast students and SAMs map, from pixels to probabilities")
    names, usual = "small, smallest, medium, ktda, tiny, vit_b, ...", ["small", "smallest", "medium", "tiny"]
    parser.add_argument("networks", nargs="*", default=usual, metavar="NAME", help=names)
    parser.add_argument("--against", default="vit_b", metavar="NAME", help="whose speed counts as 1")
    parser.add_argument("--windows", type=count, default=5, metavar="N", help="timed for each")
    parser.set_defaults(run=_speed)


def _speed(options: argparse.Namespace) -> int:
    from seglab.bench.speed import format_table, run_speed

    same = {name: getattr(options, name) for name in ("networks", "against", "windows", "device")}
    show(run_speed(**same, say=_say), options.json, format_table)
    return 0


def _add_cost(benches: Any) -> None:
    summary = "what a retraining step and a click cost, beside segment-anything's own"
    parser = benches.add_parser("cost", help=summary, description=summary)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--model", default="vit_b", metavar="NAME", help="its shape, with random weights")
    parser.add_argument("--chip", type=count, metavar="N", help="side of seglab's chips, pixels; chosen if left out")
    parser.add_argument("--repeats", type=count, default=3, metavar="N", help="rounds of measurements")
    parser.set_defaults(run=_cost)


def _cost(options: argparse.Namespace) -> int:
    from seglab.bench.cost import format_table, run_cost

    result = run_cost(options.model, chip=options.chip, repeats=options.repeats, say=_say)
    show(result, options.json, format_table)
    return 0
