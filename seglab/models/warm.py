"""What the decoder knows of the image that is being clicked, kept from one click to the next."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from seglab.models.decoder import PreparedImage
from seglab.models.hashing import tensor_states
from seglab.models.sam import AdaptedSam


@dataclass(frozen=True)
class _Held:
    """A prepared image and all that it was made of."""

    model: weakref.ref[AdaptedSam]
    weights: tuple[Tensor, ...]
    """The tensors themselves, so that no other can get the address of one of them."""
    states: tuple[tuple[int, int] | None, ...]
    prepared: PreparedImage


class WarmImage:
    """One prepared image: that of the last click. Not thread-safe.

    It is used again only for an embedding of the same values and for the same weights, so it is never stale. As in
    the encoder's caches, a write through `.data` is the one change of weights that goes unnoticed.
    """

    def __init__(self) -> None:
        self._held: _Held | None = None

    def prepared(self, model: AdaptedSam, embedding: Tensor) -> PreparedImage:
        """The image as the model's decoder takes it: see `AdaptedSam.prepare`.

        Args:
            model: whose decoder will be used.
            embedding: (1, D, h, w).
        """
        held, weights = self._held, _weights(model)
        if held is None or not _is_of(held, model, weights, embedding):
            states = tensor_states(weights)  # before use: a write meanwhile is found the next time
            # A copy: the caller may write to its own.
            held = self._held = _Held(weakref.ref(model), weights, states, model.prepare(embedding.clone()))
        return held.prepared


def _weights(model: AdaptedSam) -> tuple[Tensor, ...]:
    parts = (model.sam.mask_decoder, model.sam.prompt_encoder)
    return tuple(chain.from_iterable(chain(part.parameters(), part.buffers()) for part in parts))


def _is_of(held: _Held, model: AdaptedSam, weights: tuple[Tensor, ...], embedding: Tensor) -> bool:
    known = held.prepared.embedding
    return (
        held.model() is model
        and len(weights) == len(held.weights)
        and all(a is b for a, b in zip(weights, held.weights, strict=True))
        and None not in held.states
        and held.states == tensor_states(weights)
        and (known.device, known.dtype, known.shape) == (embedding.device, embedding.dtype, embedding.shape)
        and torch.equal(known, embedding)
    )
