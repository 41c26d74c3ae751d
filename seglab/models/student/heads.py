"""The student's heads: UPerNet (Xiao et al., ECCV 2018), and the auxiliary one that serves in training only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seglab.models.student.alignment import resized

POOLS = (1, 2, 3, 6)
"""Cells a side that the coarsest level is pooled to."""


def conv_unit(channels: int, out: int, kernel: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


class PyramidPooling(nn.Module):
    """The coarsest level with what it holds as a whole, in 2 x 2, 3 x 3 and 6 x 6 parts.

    Args:
        width: channels in.
        channels: out.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(conv_unit(width, channels) for _ in POOLS)
        self.bottleneck = conv_unit(width + len(POOLS) * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to (B, channels, h, w)."""
        size = tuple(x.shape[-2:])
        pooled = [resized(unit(_pooled(x, side)), size) for side, unit in zip(POOLS, self.units, strict=True)]
        return self.bottleneck(torch.cat([x, *pooled], dim=1))


class UPerHead(nn.Module):
    """Pyramid pooling on the coarsest level, a feature pyramid down to the finest, and all of them together.

    Args:
        width: channels of each level.
        channels: of the head.
        outputs: logits per cell.
        levels: how many there are.
        dropout: of whole channels before the last layer.
    """

    def __init__(self, width: int, channels: int, outputs: int, levels: int, dropout: float) -> None:
        super().__init__()
        self.pooling = PyramidPooling(width, channels)
        self.laterals = nn.ModuleList(conv_unit(width, channels) for _ in range(levels - 1))
        self.smooth = nn.ModuleList(conv_unit(channels, channels, 3) for _ in range(levels - 1))
        self.fuse = conv_unit(levels * channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, outputs, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """(B, width, h, w) each, finest first, to (B, outputs, h, w) at the finest."""
        maps = [lateral(x) for lateral, x in zip(self.laterals, levels[:-1], strict=True)]
        maps.append(self.pooling(levels[-1]))
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + resized(maps[i], tuple(maps[i - 1].shape[-2:]))
        maps[:-1] = [unit(x) for unit, x in zip(self.smooth, maps[:-1], strict=True)]
        size = tuple(maps[0].shape[-2:])
        fused = self.fuse(torch.cat([resized(x, size) for x in maps], dim=1))
        return self.classify(self.dropout(fused))


class AuxiliaryHead(nn.Module):
    """A fully convolutional head: one 3x3 convolution.

    Args:
        width: channels in.
        channels: of the convolution.
        outputs: logits per cell.
        dropout: of whole channels before the last layer.
    """

    def __init__(self, width: int, channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.unit = conv_unit(width, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to (B, outputs, h, w)."""
        return self.classify(self.dropout(self.unit(x)))


def _pooled(x: Tensor, side: int) -> Tensor:
    """Adaptive average pooling to side x side as two products, which every runtime of the exported network knows."""
    rows, cols = (_means(length, side).to(x) for length in x.shape[-2:])
    return rows @ x @ cols.transpose(0, 1)


def _means(length: int, parts: int) -> Tensor:
    """(parts, length) float32: each part's mean over floor(i * length / parts) .. ceil((i + 1) * length / parts)."""
    weights = torch.zeros(parts, length)
    for i in range(parts):
        first, last = i * length // parts, -((i + 1) * length // -parts)
        weights[i, first:last] = 1 / (last - first)
    return weights
