"""`seglab pretrain`: make the embedded model."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    parser = commands.add_parser("pretrain", help="train the embedded model")
    parser.add_argument("--config", type=Path, help="a JSON recipe; the packaged CPU recipe if left out")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and weights")
    parser.add_argument("--ground", type=Path, help="folder of prepared labelled images; OUT/ground if left out")
    parser.add_argument(
        "--begin", type=Path, help="another run's stable.pt or checkpoint.pt, or weights, to start from"
    )
    parser.add_argument("--minutes", type=float, help="wall-clock budget; the recipe's if left out")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--device", help="cuda, mps or cpu; chosen if left out")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab import pretrain

    # The run logs its losses and figures; here a person wants to see them as they come.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    pretrain.run(
        options.config,
        options.out,
        ground=options.ground,
        resume=options.resume,
        begin=options.begin,
        minutes=options.minutes,
        device=options.device,
    )
    return 0
