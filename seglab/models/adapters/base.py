"""What an adapter is: a small network beside the encoder's blocks, from block k on."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seglab.errors import RoundMismatchError
from seglab.models.spec import SamSpec

PLACES = ("all", "late", "last", "neck")
"""Presets for `adapt_from`: every block, the last quarter, the last block, after all blocks."""

IN_BLOCKS = ("all", "late", "last")
"""The presets that leave at least one block to adapt."""


class Adapter(nn.Module):
    """Base of the adapter family: hooks along the encoder, each of which changes nothing unless it is overridden.

    A family overrides the hooks it needs. They are called for blocks from `adapt_from` on, and for the neck.

    Attributes:
        name: the family's key in the registry.
        places: the presets where the family makes sense.
        trains_suffix: whether the blocks from `adapt_from` on and the neck are trained themselves.
        adapt_from: the first encoder block that the adapter touches; the blocks before it stay frozen and cacheable.
    """

    name: str
    places: tuple[str, ...] = IN_BLOCKS
    trains_suffix: bool = False
    adapt_from: int

    def __init__(self, adapt_from: int = 0) -> None:
        super().__init__()
        self.adapt_from = adapt_from

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> Adapter:
        """A fresh adapter of this family for a model of that shape."""
        raise NotImplementedError(f"{cls.__name__} is no family of its own; build it from adapters that are")

    def branch(self, patches: Tensor, high_pass: Tensor) -> Any:
        """The part that is computed once per image and handed to `before_block`; None by default.

        Args:
            patches: (B, h, w, d) patch embeddings before the position is added.
            high_pass: (B, 3, H, W) high-pass image of the normalised input: see `seglab.models.prefix.high_pass`.
        """
        return None

    def before_block(self, index: int, tokens: Tensor, branch: Any) -> Tensor:
        """Tokens (B, h, w, d) as block `index` shall see them."""
        return tokens

    def qkv(self, index: int, x: Tensor) -> Tensor | None:
        """What is added to the output of block `index`'s query, key and value projection.

        Args:
            x: (B', h', w', d) that the projection sees: normalised, cut into attention windows.

        Returns:
            (B', h', w', 3 d), queries first, then keys, then values; or None for nothing.
        """
        return None

    def after_attention(self, index: int, x: Tensor) -> Tensor:
        """The attention's projected output (B', h', w', d), while it is still in windows."""
        return x

    def after_mlp(self, index: int, x: Tensor) -> Tensor:
        """The MLP's output (B, h, w, d), before it is added to the tokens."""
        return x

    def after_neck(self, embedding: Tensor) -> Tensor:
        """The image embedding (B, D, h, w) as the decoder shall see it."""
        return embedding


def first_block(place: str | int, depth: int) -> int:
    """The block number k that a place means in an encoder of `depth` blocks.

    Args:
        place: one of PLACES, or a block number from 0 to depth.

    Raises:
        RoundMismatchError: no such place in this encoder.
    """
    presets = {"all": 0, "late": depth - max(1, round(depth / 4)), "last": depth - 1, "neck": depth}
    found = presets.get(place) if isinstance(place, str) else place
    if found is None or not 0 <= found <= depth:
        raise RoundMismatchError(
            f"adapt_from={place!r} is no place in an encoder of {depth} blocks; "
            f"use one of {', '.join(PLACES)} or a number from 0 to {depth}"
        )
    return found
