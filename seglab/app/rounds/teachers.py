"""The teacher of a student, as a person names it: a round's file, a model's name, or DINOv2's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from seglab.app.rounds.rounds import identity_of, restore
from seglab.errors import CheckpointError
from seglab.jobs import Reporter
from seglab.models.registry import load_model
from seglab.models.student.teachers import SamTeacher, Teacher, load_dino
from seglab.store.round_files import SUFFIX, read_round_file

DINO = "dinov2"
"""KTDA's teacher, whose weights file the user has to have."""


def load_teacher(
    name: str | Path, device: torch.device, *, checkpoint: str | Path | None = None, reporter: Reporter | None = None
) -> Teacher:
    """A frozen teacher.

    Args:
        name: a round's file (.safetensors), from `seglab train` or `session.export_round`; a SAM by name, as it is
            before any round; or "dinov2".
        device: where it shall be.
        checkpoint: a weights file of the SAM below; DINO and DINOv2 need their own here.
        reporter: told about a download.

    Raises:
        RoundFileError, RoundMismatchError: the file is no round, or of another base model.
        ModelNotFoundError, CheckpointError, DownloadError: the model below cannot be loaded.
        TrainingError: it cannot teach: see SamTeacher.
    """
    if str(name) == DINO:
        if checkpoint is None:
            raise CheckpointError("DINOv2's weights are not part of seglab; name their file (--checkpoint)")
        return load_dino(checkpoint, device)
    if Path(name).suffix != SUFFIX:
        return SamTeacher(load_model(str(name), checkpoint=checkpoint, device=str(device), reporter=reporter))
    tensors, card = read_round_file(Path(name))
    extra = tuple(card.get("extra_bands", ()))
    base = load_model(
        card.get("model", "tiny"),
        checkpoint=checkpoint,
        device=str(device),
        adapt_from=card.get("adapt_from", "late"),
        extra_bands=len(extra),
        reporter=reporter,
    )
    identity = identity_of(base, str(card.get("adapter")), card.get("bands", (1, 2, 3)), extra)
    return SamTeacher(restore(base, tensors, card, identity), classes=_mapped(card))


def _mapped(card: Mapping[str, Any]) -> list[str]:
    """What a round maps. A prompt-free round of `seglab train` has no class prompt; its figures name its class."""
    if card.get("mode") != "prompt-free":
        return list(card.get("classes", ()))
    return [name for name in (card.get("metrics") or {}).get("classes", ()) if name != "background"]
