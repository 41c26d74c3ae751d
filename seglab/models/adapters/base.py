"""What an adapter is: a small network beside the encoder's blocks, from block k on."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from seglab.errors import RoundMismatchError

PLACES = ("all", "late", "last", "neck")
"""Presets for `adapt_from`: every block, the last quarter, the last block, after all blocks."""


class Adapter(nn.Module, ABC):
    """Base of the adapter family.

    Attributes:
        adapt_from: the first encoder block that the adapter touches; the blocks before it stay frozen and cacheable.
    """

    adapt_from: int

    @abstractmethod
    def branch(self, patches: Tensor, image: Tensor) -> Tensor:
        """The part that is computed once per image.

        Args:
            patches: (B, h, w, d) patch embeddings before the position is added.
            image: (B, 3, H, W) normalised input.
        """

    @abstractmethod
    def before_block(self, index: int, tokens: Tensor, branch: Tensor) -> Tensor:
        """Tokens (B, h, w, d) as block `index` shall see them."""


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
