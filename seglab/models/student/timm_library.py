"""timm, imported when a network of it is built: it takes seconds, and most of seglab never needs it."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from seglab.errors import CheckpointError
from seglab.models.torchvision_ops import ensure_torchvision_operators


def timm_library() -> ModuleType:
    """The package, importable also where torchvision's compiled operators are missing."""
    ensure_torchvision_operators()
    import timm

    return timm


def read_weights(path: str | Path) -> dict[str, Any]:
    """What a weights file holds: tensors by name, perhaps below a key such as "model". No code in it is run.

    Args:
        path: .safetensors, or anything that torch saved.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    file = Path(path).expanduser()
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise CheckpointError(f"cannot read weights from {str(file)!r} ({error}); fetch the file again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{str(file)!r} holds no weights by name; give a state dict")
    return found
