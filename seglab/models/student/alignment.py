"""KTDA's Feature Alignment Module and neck (arXiv 2412.06664; as in the authors' code)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

SCALES = (4.0, 2.0, 1.0, 0.5)
"""How much finer or coarser than the aligned grid the neck makes each level."""
STD = 0.02
"""Of the alignment's initial weights."""


class FeatureAlignment(nn.Module):
    """Brings every level of the encoder to the teacher's width and token grid: FAM.

    Args:
        channels: of the encoder's levels.
        width: channels to align to.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        for conv in self.convs:
            nn.init.trunc_normal_(conv.weight, std=STD)
            nn.init.zeros_(conv.bias)

    def forward(self, levels: Sequence[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        """(B, channels, h, w) each to (B, width, *grid) each, bilinear."""
        return [resized(conv(level), grid) for conv, level in zip(self.convs, levels, strict=True)]


class Neck(nn.Module):
    """Makes a pyramid of levels of one size: 1x1 convolution, bilinear by SCALES, 3x3 convolution, nothing else.

    Args:
        width: channels, in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in SCALES)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in SCALES)
        for conv in (*self.laterals, *self.convs):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """(B, width, h, w) each to (B, width, scale * h, scale * w), finest first."""
        found = []
        for level, scale, lateral, conv in zip(levels, SCALES, self.laterals, self.convs, strict=True):
            size = tuple(max(1, int(side * scale)) for side in level.shape[-2:])
            found.append(conv(resized(lateral(level), size)))
        return found


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) to (B, C, *size), bilinear with pixel centres kept in place."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
