"""`seglab onnx`: a student as an ONNX file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    summary = "write a student as ONNX, checked to compute the same"
    parser = commands.add_parser("onnx", help=summary, description=summary)
    parser.add_argument("student", type=Path, metavar="FILE", help="student.safetensors, as `seglab distill` writes it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .onnx")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from seglab.export.onnx import export_onnx
    from seglab.models.student.restore import restore_student
    from seglab.store.round_files import read_round_file

    tensors, card = read_round_file(options.student)
    difference = export_onnx(restore_student(tensors, card), tuple(card["classes"]), options.out)
    sys.stdout.write(f"{options.out}: at most {difference:.1g} from PyTorch's scores\n")
    return 0
