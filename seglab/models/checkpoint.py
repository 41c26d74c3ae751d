"""Weights files: read without running code from them, and refused with a reason where they do not fit."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.errors import CheckpointError
from seglab.models.download import CHECKPOINTS, Checkpoint, cache_folder, download

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "CHECKPOINTS",
    "Checkpoint",
    "cache_folder",
    "download",
    "load_state_dict",
    "load_weights",
    "looks_like",
]

_WRAPPERS = ("model", "state_dict", "model_state", "model_state_dict")
"""Keys under which training scripts put the weights beside their own state."""

_SHOWN = 3
"""Differences quoted in a message."""

_OFFICIAL_SHAPES = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
"""(encoder width, encoder blocks) of segment-anything's models."""

_DAMAGED = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    AssertionError,
    AttributeError,
    TypeError,
    struct.error,
    zipfile.BadZipFile,
    OSError,
)
"""What PyTorch's reader raises on a file that is cut off, overwritten or not a weights file at all."""


def load_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a weights file onto the CPU.

    Only tensors are read: a file that wants to run code is refused. A .pth file stays memory-mapped, so that
    a large checkpoint is not held twice. Training state around the weights is dropped.

    Args:
        path: a .safetensors file, or one written by torch.save.

    Returns:
        Tensors by name.

    Raises:
        CheckpointError: no such file, a damaged file, or one without weights.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f"there is no weights file {str(path)!r}; check the path, or leave checkpoint out to download it"
        )
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    return _only_tensors(content, path)


def load_weights(model: nn.Module, path: str | Path, name: str) -> None:
    """Put the weights of a file into a model, all of them or none.

    Args:
        model: changed in place; its own dtype and device are kept.
        path: the weights file.
        name: what the model is called, for the message.

    Raises:
        CheckpointError: the file is missing, damaged or of another model.
    """
    state = load_state_dict(path)
    expected = model.state_dict()
    missing = [key for key in expected if key not in state]
    unknown = [key for key in state if key not in expected]
    reshaped = [key for key in expected if key in state and state[key].shape != expected[key].shape]
    if missing or unknown or reshaped:
        differences = [
            f"{key} is {tuple(state[key].shape)} and should be {tuple(expected[key].shape)}"
            for key in reshaped[:_SHOWN]
        ]
        differences += _quote(missing, "missing") + _quote(unknown, "not known to the model")
        raise CheckpointError(
            f"{str(path)!r} does not fit the model {name!r}: {'; '.join(differences)}. {_advice(state, name)}"
        )
    model.load_state_dict(state)


def looks_like(state: Mapping[str, Tensor]) -> str | None:
    """The official model that a state dict belongs to by the shape of its image encoder.

    Args:
        state: tensors by name.

    Returns:
        "vit_b", "vit_l", "vit_h", or None where it is none of them.
    """
    shape = _encoder_shape(state)
    return _OFFICIAL_SHAPES.get(shape) if shape else None


def _read_torch(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except _DAMAGED as error:
        raise CheckpointError(
            f"{str(path)!r} is not a readable weights file ({_first_line(error)}). It may be cut off, "
            "not be a checkpoint, or hold more than tensors; fetch it again, or save its state_dict() as "
            ".safetensors"
        ) from error


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{str(path)!r} is not a readable safetensors file ({_first_line(error)}); fetch it again"
        ) from error


def _only_tensors(content: object, path: Path) -> dict[str, Tensor]:
    import torch

    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items())
    ):
        raise CheckpointError(
            f"{str(path)!r} holds no model weights (tensors by name); save the model's state_dict() and pass that file"
        )
    return dict(content)


def _encoder_shape(state: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(width, blocks) of a SAM image encoder; None where there is none."""
    patches = state.get("image_encoder.patch_embed.proj.weight")
    if patches is None or patches.ndim != 4:
        return None
    blocks = {key.split(".")[2] for key in state if key.startswith("image_encoder.blocks.")}
    return patches.shape[0], len(blocks)


def _advice(state: Mapping[str, Tensor], name: str) -> str:
    official, shape = looks_like(state), _encoder_shape(state)
    if official and official != name:
        return f"It looks like {official!r}: ask for model={official!r}, or pass another checkpoint."
    if official:
        return "Its encoder has the right shape, so it may be a changed copy of the model: pass the original."
    if shape:
        looks = f"It looks like a SAM of width {shape[0]} with {shape[1]} encoder blocks"
        return f"{looks}: pass a checkpoint of {name!r}."
    if any(key.startswith("image_encoder.trunk.") for key in state):
        return f"It looks like a SAM 2 checkpoint, which seglab cannot use: pass a checkpoint of {name!r}."
    return f"It does not look like a SAM checkpoint: pass a checkpoint of {name!r}."


def _quote(keys: list[str], what: str) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return [f"{', '.join(keys[:_SHOWN])}{more} {'is' if len(keys) == 1 else 'are'} {what}"]


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
