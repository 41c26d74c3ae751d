"""The networks that make maps: written down so that another process loads the same, and loaded there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.students import StudentEncoder
from seglab.errors import RoundMismatchError
from seglab.models.device import choose_device
from seglab.models.hashing import tensor_hash
from seglab.models.registry import load_model
from seglab.models.restore import restore_model
from seglab.models.sam import AdaptedSam
from seglab.models.student.network import Student
from seglab.models.student.restore import KIND, restore_student, student_identity, student_tensors
from seglab.store.cache import ArrayCache

MapNetwork = AdaptedSam | Student
MapEncoder = WindowEncoder | StudentEncoder
_PROMPTS = "map.prompts"


def map_encoder(scene: Scene, model: MapNetwork, extra_bands: Sequence[int] = ()) -> MapEncoder:
    """What looks at a scene's windows by a network, once each.

    Args:
        scene: the scene.
        model: the network.
        extra_bands: 1-based bands that it takes beside the scene's three.
    """
    if isinstance(model, Student):
        return StudentEncoder(scene, model)
    return WindowEncoder(scene, model, ArrayCache(0), extra_bands=extra_bands)


def describe(model: MapNetwork, prompts: torch.Tensor) -> dict[str, Any]:
    """All that tells a network from another and how it is loaded again, JSON-serialisable.

    Args:
        model: the network.
        prompts: (C, D), one per class.
    """
    network = network_identity(model, prompts)
    if isinstance(model, Student):
        return student_identity(model) | {"name": model.spec.name, "network": network, "outputs": len(model.class_rows)}
    origin = model.origin
    return {
        "name": None if origin is None else origin.name,
        "checkpoint": None if origin is None or origin.checkpoint is None else str(origin.checkpoint),
        "adapter": None if model.adapter is None else model.adapter.name,
        "adapt_from": model.adapt_from,
        "network": network,
    }


def network_identity(model: MapNetwork, prompts: torch.Tensor) -> str:
    """Identifies what turns a window's pixels into scores: encoder, decoder and class prompts."""
    if isinstance(model, Student):
        parts = model.state_dict(keep_vars=True)
        return f"student-{tensor_hash({**parts, _PROMPTS: prompts.detach()}, repr(model.spec))}"
    parts = {f"decoder.{name}": p for name, p in model.sam.mask_decoder.state_dict(keep_vars=True).items()}
    parts |= {f"prompt.{name}": p for name, p in model.sam.prompt_encoder.state_dict(keep_vars=True).items()}
    return f"{model.encoder_hash()}-{tensor_hash({**parts, _PROMPTS: prompts.detach()})}"


def sent_tensors(model: MapNetwork) -> dict[str, np.ndarray]:
    """What `open_network` needs beside the description: a round's tensors, or all of a student."""
    if isinstance(model, Student):
        return student_tensors(model)
    trained = {} if model.adapter is None else model.trained_parameters()
    return {name: p.detach().cpu().numpy() for name, p in trained.items()}


def open_network(kept: dict[str, Any], tensors: dict[str, np.ndarray], extra: int, device: str | None) -> MapNetwork:
    """The network of a description.

    Args:
        kept: from `describe`.
        tensors: from `sent_tensors`.
        extra: bands that it takes beside red, green and blue.
        device: see `choose_device`.

    Raises:
        RoundMismatchError: it was not loaded by name where it was described.
        CheckpointError, DownloadError: its base weights are not here.
    """
    if kept.get("kind") == KIND:
        return restore_student(tensors, kept | {"classes": [""] * kept["outputs"]}, choose_device(device))
    if kept["name"] is None:
        raise RoundMismatchError(
            "a model that was not loaded by name or from a file cannot be sent to other processes; load it with "
            "load_model, or map without a cluster"
        )
    checkpoint = kept["checkpoint"]
    base = load_model(
        kept["name"],
        checkpoint=None if checkpoint is None else Path(checkpoint),
        device=device,
        adapt_from=kept["adapt_from"],
        extra_bands=extra,
    )
    return base if kept["adapter"] is None else restore_model(base, kept["adapter"], tensors, "the map's round")
