"""`seglab train`: train on a folder of image and mask pairs, as TransLandSeg's experiment did."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from seglab.cli.work import count, run_job, show


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "adapt a model to a folder of image and mask pairs, or train a network to compare it with"
    parser = commands.add_parser("train", help=summary, description=summary)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="images, masks and dataset.json; or Landslide4Sense; or Bijie"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, metrics and the round")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--device", help="cuda, mps or cpu; chosen if left out")
    _add_data(parser.add_argument_group("data"))
    _add_network(parser.add_argument_group("network"))
    _add_recipe(parser.add_argument_group("recipe"))
    parser.set_defaults(run=_run)


def _add_data(group: Any) -> None:
    group.add_argument("--classes", nargs="+", default=[], metavar="NAME", help="to learn; all that are no background")
    group.add_argument("--extra-bands", action="store_true", help="use the bands beyond red, green and blue")
    group.add_argument("--non-landslide", action="store_true", help="of Bijie: images without a landslide too")


def _add_network(group: Any) -> None:
    group.add_argument("--model", default="tiny", metavar="NAME", help="tiny, vit_b, vit_l or vit_h")
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights to use instead of the model's own")
    group.add_argument("--adapter", default="atl_a", metavar="NAME", help="adapter family")
    group.add_argument("--adapt-from", default="all", metavar="PLACE", help="where it begins: all, late, last, neck")
    group.add_argument("--mode", choices=("auto", "prompt-free", "classes"), default="auto", help="of the decoder")
    group.add_argument("--baseline", metavar="NAME", help="instead of a SAM: unet, deeplabv3plus or segformer")
    group.add_argument("--encoder", metavar="NAME", help="the baseline's, by segmentation-models-pytorch's name")
    group.add_argument("--encoder-weights", default="imagenet", metavar="NAME", help="the baseline's start, or none")


def _add_recipe(group: Any) -> None:
    group.add_argument("--preset", choices=("published", "mixed"), default="published", help="mixed: with clicks too")
    group.add_argument("--epochs", type=count, metavar="N", help="50 as published")
    group.add_argument("--batch", type=count, metavar="N", help="pairs per step")
    group.add_argument("--learning-rate", type=float, metavar="RATE", help="in the first epoch")
    group.add_argument(
        "--seed", type=int, metavar="N", help="of training, and of the 70/30 split where the data have none"
    )


def _run(options: argparse.Namespace) -> int:
    from seglab.bench.train import TrainOptions, format_table, run_train
    from seglab.training.supervised.recipe import PRESETS

    recipe = {name: getattr(options, name) for name in ("epochs", "batch", "learning_rate", "seed")}
    same = ("folder", "out", "resume", "device", "extra_bands", "non_landslide", "model", "checkpoint")
    same += ("adapter", "mode", "baseline", "encoder")
    settings = TrainOptions(
        **{name: getattr(options, name) for name in same},
        config=replace(PRESETS[options.preset], **{k: v for k, v in recipe.items() if v is not None}),
        adapt_from=int(options.adapt_from) if options.adapt_from.isdecimal() else options.adapt_from,
        classes=tuple(options.classes),
        encoder_weights=None if options.encoder_weights == "none" else options.encoder_weights,
    )
    title = f"train {options.baseline or options.model}"
    show(run_job(run_train, settings, title=title, unit="pair"), options.json, format_table)
    return 0
