"""A round in one file: the tensors as safetensors, the card in its metadata. For taking it to another project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from seglab.errors import RoundFileError
from seglab.store import atomic

SUFFIX = ".safetensors"
_CARD = "seglab_round"
"""The metadata key of the card."""


def write_round_file(path: Path, tensors: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> None:
    """Write a round to a file of its own, whole or not at all.

    Args:
        path: ends in .safetensors.
        tensors: weights by name.
        card: JSON-serialisable.

    Raises:
        RoundFileError: the name has another suffix.
        WriteError: the system refused.
    """
    if path.suffix != SUFFIX:
        raise RoundFileError(f"a round is exported as {SUFFIX!r}, not {path.suffix!r}; choose a name that ends so")
    arrays = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    atomic.write_bytes(path, safetensors.numpy.save(arrays, {_CARD: json.dumps(dict(card), ensure_ascii=False)}))


def read_round_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the card of an exported round; no code in the file can run.

    Raises:
        RoundFileError: the file is missing, damaged, or no exported round.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            card = json.loads((file.metadata() or {})[_CARD])
            _check(card)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise RoundFileError(
            f"{str(path)!r} is not a round exported by seglab ({error!r}); export it again with export_round"
        ) from error
    return tensors, card


def _check(card: Any) -> None:
    """Refuse a card that does not say which classes the round knows."""
    classes = card["classes"] if isinstance(card, dict) else None
    if not isinstance(classes, list) or any(not isinstance(n, str) or not n or n != n.strip() for n in classes):
        raise ValueError("its card names no classes")
