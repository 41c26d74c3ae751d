"""From chips to embeddings, through the cache of frozen prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from seglab.encoding.prefixes import stored_prefix
from seglab.models.sam import AdaptedSam, Prefix
from seglab.store.cache import ArrayCache
from seglab.training.job import TrainingChip


def embed(model: AdaptedSam, prefixes: ArrayCache, chips: Sequence[TrainingChip]) -> Tensor:
    """The embeddings of chips, with gradients for what the model trains.

    Args:
        model: runs its suffix, and its prefix for chips that are not in the cache.
        prefixes: the cache.
        chips: I of them.

    Returns:
        (I, D, h, w) on the model's device.
    """
    found = [stored_prefix(model, prefixes, chip.key, chip.rgb, chip.extra) for chip in chips]
    return model.encode_suffix(_joined(found).to(model.device, torch.float32))


def _joined(prefixes: Sequence[Prefix]) -> Prefix:
    """Prefixes of single images as one of a batch."""
    if len(prefixes) == 1:
        return prefixes[0]
    parts = [[getattr(prefix, field.name) for prefix in prefixes] for field in fields(Prefix)]
    return Prefix(*(None if part[0] is None else torch.cat(part) for part in parts))
