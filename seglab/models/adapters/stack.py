"""Two adapters at once: a new one on top of one that is already trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seglab.models.adapters.base import PLACES, Adapter


class Stack(Adapter):
    """Both adapters' hooks, the first's before the second's.

    Each is called only for blocks from its own `adapt_from` on; the stack's is the smaller of the two.

    Args:
        first: stays as it is when it is frozen; `parameters()` covers both.
        second: sees what the first has made.
    """

    places = PLACES

    def __init__(self, first: Adapter, second: Adapter) -> None:
        super().__init__(min(first.adapt_from, second.adapt_from))
        self.first = first
        self.second = second
        self.name = f"{first.name}+{second.name}"
        self.trains_suffix = first.trains_suffix or second.trains_suffix

    def _at(self, index: int) -> list[Adapter]:
        return [adapter for adapter in (self.first, self.second) if index >= adapter.adapt_from]

    def branch(self, patches: Tensor, high_pass: Tensor) -> tuple[Any, Any]:
        """The branches of both."""
        return self.first.branch(patches, high_pass), self.second.branch(patches, high_pass)

    def before_block(self, index: int, tokens: Tensor, branch: tuple[Any, Any]) -> Tensor:
        """Tokens (B, h, w, d) after both, each with its own branch."""
        for adapter, own in zip((self.first, self.second), branch, strict=True):
            if index >= adapter.adapt_from:
                tokens = adapter.before_block(index, tokens, own)
        return tokens

    def qkv(self, index: int, x: Tensor) -> Tensor | None:
        """The sum of what both add."""
        added = [found for adapter in self._at(index) if (found := adapter.qkv(index, x)) is not None]
        return torch.stack(added).sum(0) if added else None

    def after_attention(self, index: int, x: Tensor) -> Tensor:
        """One after the other."""
        for adapter in self._at(index):
            x = adapter.after_attention(index, x)
        return x

    def after_mlp(self, index: int, x: Tensor) -> Tensor:
        """One after the other."""
        for adapter in self._at(index):
            x = adapter.after_mlp(index, x)
        return x

    def after_neck(self, embedding: Tensor) -> Tensor:
        """One after the other."""
        return self.second.after_neck(self.first.after_neck(embedding))
