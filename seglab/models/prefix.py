"""What the frozen part of the encoder hands to the adapted part, and what the cache keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

HIGH_PASS_SHARE = 0.25
"""Share of the spectrum's area, around its centre, that the high-pass filter removes."""


@dataclass(frozen=True)
class Prefix:
    """What the frozen part of the encoder makes of a batch of images: all that the adapted part needs."""

    tokens: Tensor
    """(B, h, w, width): the input of block k."""
    patches: Tensor
    """(B, h, w, width): patch embeddings before the position is added."""
    high_pass: Tensor
    """(B, 3, H, W): the normalised input without its low frequencies."""
    extra: Tensor | None = None
    """(B, E, H, W): bands beyond red, green and blue, scaled to about -1 to 1; None where there are none."""

    def stored(self) -> Prefix:
        """The same in fp16, the precision of the cache."""
        return self.to(self.tokens.device, torch.float16)

    @property
    def nbytes(self) -> int:
        """Bytes of what the cache keeps of it."""
        return self.tokens.nbytes + self.patches.nbytes + self.high_pass.nbytes

    def to(self, device: torch.device, dtype: torch.dtype) -> Prefix:
        """The same on a device, in a precision for computing."""
        extra = None if self.extra is None else self.extra.to(device, dtype)
        return Prefix(*(t.to(device, dtype) for t in (self.tokens, self.patches, self.high_pass)), extra)


def high_pass(image: Tensor, share: float = HIGH_PASS_SHARE) -> Tensor:
    """An image without its low frequencies, as TransLandSeg's branch (arXiv 2403.10127) sees it.

    The shifted 2-D spectrum is zeroed in a centred square that covers `share` of its area; the result is the
    absolute real part of the inverse transform.

    Args:
        image: (B, C, H, W) float.
        share: 0 to 1.

    Returns:
        (B, C, H, W), same dtype.
    """
    height, width = image.shape[-2:]
    half_height, half_width = (int(side * math.sqrt(share) / 2) for side in (height, width))
    # The spectrum is in the transform's own order, so the centred square is the four corners here.
    rows, cols = (torch.fft.fftfreq(n, 1 / n, device=image.device) for n in (height, width))
    low = ((rows >= -half_height) & (rows < half_height))[:, None] & ((cols >= -half_width) & (cols < half_width))
    spectrum = torch.fft.fft2(image.float()) * ~low
    return torch.fft.ifft2(spectrum).real.abs().to(image.dtype)
