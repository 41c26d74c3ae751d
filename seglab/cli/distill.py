"""`seglab distill`: a small, fast student for a folder of image and mask pairs, taught by a transformer."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from seglab.cli.work import count, run_job, show


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "train a fast student on a folder of image and mask pairs, taught by a round or a model"
    parser = commands.add_parser("distill", help=summary, description=summary)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a dataset, in any layout that `seglab train` takes")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, metrics and the student")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--device", help="cuda, mps or cpu; chosen if left out")
    data = parser.add_argument_group("data")
    data.add_argument("--classes", nargs="+", default=[], metavar="NAME", help="to learn; all that are no background")
    data.add_argument("--labels", type=count, metavar="N", help="training images whose labels are used; all without")
    _add_networks(parser.add_argument_group("networks"))
    _add_recipe(parser.add_argument_group("recipe"))
    parser.set_defaults(run=_run)


def _add_networks(group: Any) -> None:
    group.add_argument(
        "--teacher", default="tiny", metavar="NAME", help="a round's .safetensors file, a SAM by name, or dinov2"
    )
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="the teacher's weights; dinov2 needs them")
    group.add_argument(
        "--student", default="small", metavar="NAME", help="smallest, small, medium, or as published: ktda, ktda_mlp"
    )
    group.add_argument("--encoder-weights", type=Path, metavar="FILE", help="the student's ConvNeXt; random without")


def _add_recipe(group: Any) -> None:
    group.add_argument("--epochs", type=count, metavar="N")
    group.add_argument("--batch", type=count, metavar="N", help="pairs per step, 2 or more")
    group.add_argument("--learning-rate", type=float, metavar="RATE", help="after the warm-up")
    group.add_argument("--seed", type=int, metavar="N", help="of the 70/30 split and of training")
    group.add_argument("--transfer-weight", type=float, metavar="W", help="of the transfer loss; 0 for none")
    group.add_argument("--alpha", type=float, metavar="A", help="share of KL in it; the rest is the squared error's")
    group.add_argument("--temperature", type=float, metavar="T", help="of its softmax")
    group.add_argument("--softmax", choices=("width", "channels"), help="its axis: the authors' is width")
    group.add_argument(
        "--sure", type=float, metavar="P", help="the teacher's class is a label from P on where there is none; 0.9"
    )
    group.add_argument("--no-guesses", action="store_true", help="images without labels serve the transfer alone")
    group.add_argument(
        "--ablation", default="none", metavar="NAME", help="no_transfer, kl_only, l2_only, no_fmm or last_level"
    )


def _run(options: argparse.Namespace) -> int:
    from seglab.bench.distill import DistillOptions, format_table, run_distill

    def given(**names: str) -> dict[str, Any]:
        found = {field: getattr(options, name) for field, name in names.items()}
        return {field: value for field, value in found.items() if value is not None}

    same = ("folder", "out", "resume", "device", "labels", "teacher", "checkpoint", "student", "encoder_weights")
    settings = DistillOptions(**{name: getattr(options, name) for name in (*same, "ablation")})
    settings = replace(
        settings,
        classes=tuple(options.classes),
        config=replace(
            settings.config, **given(epochs="epochs", batch="batch", learning_rate="learning_rate", seed="seed")
        ),
        transfer=replace(
            settings.transfer,
            **given(weight="transfer_weight", alpha="alpha", temperature="temperature", softmax="softmax"),
        ),
    )
    if options.no_guesses:
        settings = replace(settings, sure=None)
    elif options.sure is not None:
        settings = replace(settings, sure=options.sure)
    title = f"distill {options.student} from {Path(options.teacher).name}"
    show(run_job(run_distill, settings, title=title, unit="pair"), options.json, format_table)
    return 0
