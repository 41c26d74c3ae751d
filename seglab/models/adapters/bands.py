"""The way in for bands beyond red, green and blue: near infrared, elevation, a second date."""

from __future__ import annotations

from torch import Tensor, nn


class BandBranch(nn.Module):
    """A patch embedding of the extra bands, added to the tokens at block k.

    Weights and bias start at zero: until it is trained it changes nothing, exactly, and the prefix of the RGB image,
    with its cache, stays valid.

    Args:
        extra: number of extra bands.
        width: channels of the encoder's tokens.
        patch: side of a patch, pixels.
    """

    def __init__(self, extra: int, width: int, patch: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(extra, width, patch, patch)
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    @property
    def extra(self) -> int:
        """How many bands it takes."""
        return self.projection.in_channels

    def forward(self, extra: Tensor) -> Tensor:
        """(B, extra, H, W), scaled to about -1 to 1 and finite, to (B, h, w, width)."""
        return self.projection(extra).permute(0, 2, 3, 1)
