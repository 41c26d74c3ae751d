"""The command line: `seglab COMMAND`; one file per command."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from seglab import __version__
from seglab.cli import (
    agree,
    area,
    bench,
    chips,
    demo,
    distill,
    doctor,
    encode,
    instances,
    label,
    onnx,
    predict,
    pretrain,
    replay,
    report,
    simulate,
    train,
    vectorise,
)
from seglab.errors import SegLabError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: without the program's name; sys.argv's if None.

    Returns:
        The exit status: 0, 1 after an error that a user can mend (its message is on standard error), 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    format_before, warnings.formatwarning = warnings.formatwarning, _warning
    try:
        return options.run(options)
    except SegLabError as error:
        sys.stderr.write(f"seglab: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("seglab: stopped\n")
        return INTERRUPTED
    finally:
        warnings.formatwarning = format_before


def _warning(message: Warning | str, *where: object, **line: object) -> str:
    """A warning as a person reads it: where in the code it was raised says nothing to them."""
    return f"seglab: {message}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="seglab", description=__import__("seglab").__doc__)
    parser.add_argument("--version", action="version", version=f"seglab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    labelling, maps = (label, replay, agree, area, chips, report), (predict, instances, encode, vectorise, onnx)
    for command in (*labelling, *maps, doctor, demo, train, distill, bench, simulate, pretrain):
        command.add_command(commands)
    return parser
