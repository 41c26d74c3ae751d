"""The command line: `seglab demo`, `seglab pretrain`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from seglab import __version__
from seglab.errors import SegLabError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: without the program's name; sys.argv's if None.

    Returns:
        The exit status: 0, or 1 after an error that a user can mend (its message is on standard error).
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except SegLabError as error:
        sys.stderr.write(f"seglab: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="seglab", description=__import__("seglab").__doc__)
    parser.add_argument("--version", action="version", version=f"seglab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="run the main path on a Landsat scene with scripted clicks")
    demo.add_argument("--out", type=Path, default=Path("demo.seglab"), help="the project's folder (made anew)")
    demo.set_defaults(run=_demo)

    pretrain = commands.add_parser("pretrain", help="train the embedded model")
    pretrain.add_argument("--config", type=Path, help="a JSON recipe; the packaged CPU recipe if left out")
    pretrain.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and weights")
    pretrain.add_argument("--minutes", type=float, help="wall-clock budget; the recipe's if left out")
    pretrain.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    pretrain.add_argument("--device", help="cuda, mps or cpu; chosen if left out")
    pretrain.set_defaults(run=_pretrain)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from seglab.bench.demo import run_demo

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    result = run_demo(options.out, say)
    say(json.dumps(result))
    return 0


def _pretrain(options: argparse.Namespace) -> int:
    from seglab import pretrain

    # The run logs its losses and figures; here a person wants to see them as they come.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    pretrain.run(options.config, options.out, options.resume, options.minutes, options.device)
    return 0
