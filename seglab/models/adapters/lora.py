"""LoRA (arXiv 2106.09685) on the encoder's attention: a low-rank change of the query and value projections."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seglab.models.adapters.base import Adapter
from seglab.models.spec import SamSpec

RANK = 4
"""Rank of the change; the paper finds small ranks on queries and values as good as larger ones."""


class LoraAdapter(Adapter):
    """Queries and values of block i become (W + B A) x; keys stay.

    A (d to rank) starts as the paper's uniform He initialisation, B (rank to d) at zero, so that the first step is
    plain SAM. No bias, no extra scale (the paper's alpha equals the rank).

    Args:
        width: d, channels of the encoder's tokens.
        depth: blocks of the encoder.
        adapt_from: first adapted block.
        rank: of the change.
    """

    name = "lora"

    def __init__(self, width: int, depth: int, adapt_from: int = 0, rank: int = RANK) -> None:
        super().__init__(adapt_from)
        blocks = range(adapt_from, depth)
        self.query_down, self.value_down = (
            nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in blocks) for _ in range(2)
        )
        self.query_up, self.value_up = (
            nn.ModuleList(nn.Linear(rank, width, bias=False) for _ in blocks) for _ in range(2)
        )
        for up in (*self.query_up, *self.value_up):
            nn.init.zeros_(up.weight)

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> LoraAdapter:
        """For a model of that shape."""
        return cls(spec.width, spec.depth, adapt_from)

    def qkv(self, index: int, x: Tensor) -> Tensor:
        """(B', h', w', 3 d): the change of queries and values, and zeros for the keys."""
        i = index - self.adapt_from
        query = self.query_up[i](self.query_down[i](x))
        value = self.value_up[i](self.value_down[i](x))
        return torch.cat([query, torch.zeros_like(query), value], dim=-1)
