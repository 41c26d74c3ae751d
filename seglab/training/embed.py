"""From chips to embeddings, through the cache of frozen prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor

from seglab.encoding.prefixes import stored_prefix
from seglab.models.device import compute_suffix
from seglab.models.sam import AdaptedSam, Prefix
from seglab.store.cache import ArrayCache
from seglab.training.job import TrainingChip


def embed(model: AdaptedSam, prefixes: ArrayCache, chips: Sequence[TrainingChip]) -> Tensor:
    """The embeddings of chips, as a session computes them.

    Args:
        model: runs its suffix, and its prefix for chips that are not in the cache.
        prefixes: the cache.
        chips: I of them.

    Returns:
        (I, D, h, w) on the model's device.
    """
    return model.encode_suffix(_prefix(model, prefixes, chips).to(model.device, torch.float32))


def embed_to_train(model: AdaptedSam, prefixes: ArrayCache, chips: Sequence[TrainingChip]) -> Tensor:
    """The same with gradients for what the model trains: see `suffix_to_train`."""
    return suffix_to_train(model, _prefix(model, prefixes, chips))


def suffix_to_train(model: AdaptedSam, prefix: Prefix) -> Tensor:
    """The embeddings of prefixes in the precision of training, which may be less than a session's.

    Args:
        model: runs its suffix.
        prefix: of I images, as stored.

    Returns:
        (I, D, h, w) float32 on the model's device.
    """
    with compute_suffix(model.device, model.spec.width):
        return model.encode_suffix(prefix.to(model.device, torch.float32)).float()


def _prefix(model: AdaptedSam, prefixes: ArrayCache, chips: Sequence[TrainingChip]) -> Prefix:
    return _joined([stored_prefix(model, prefixes, chip.key, chip.rgb, chip.extra) for chip in chips])


def _joined(prefixes: Sequence[Prefix]) -> Prefix:
    """Prefixes of single images as one of a batch."""
    if len(prefixes) == 1:
        return prefixes[0]
    parts = [[getattr(prefix, field.name) for prefix in prefixes] for field in fields(Prefix)]
    return Prefix(*(None if part[0] is None else torch.cat(part) for part in parts))
