"""Convolutions and norms over maps whose channels come last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-6
"""Added to the variance: that of SAM's encoder."""


class ChannelNorm(nn.Module):
    """LN2d: each place of a (B, C, H, W) map normalised over its channels, then scaled and shifted per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        last = x.permute(0, 2, 3, 1)
        normed = nn.functional.layer_norm(last, self.weight.shape, self.weight, self.bias, NORM_EPSILON)
        return normed.permute(0, 3, 1, 2)


def over_channels(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module of (B, C, H, W) maps to a (B, H, W, C) map.

    Returns:
        (B, H, W, C'), channels last as given.
    """
    return module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
