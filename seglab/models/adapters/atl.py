"""ATL, the adaptive transfer learning branch of TransLandSeg (arXiv 2403.10127), variant (a).

A bottleneck of the patch embeddings and a convolution over a high-pass image are summed once per image; a small
layer of its own turns that sum into what is added to the tokens before each block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seglab.models.adapters.base import Adapter

HIGH_PASS_SHARE = 0.25
"""Share of the spectrum's area, around its centre, that the high-pass filter removes."""


def high_pass(image: Tensor, share: float = HIGH_PASS_SHARE) -> Tensor:
    """An image without its low frequencies.

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


class AtlAdapter(Adapter):
    """x + U(GELU(W_i(E(patches) + Q(high-pass image)))) immediately before block i.

    Args:
        width: d, channels of the encoder's tokens.
        depth: blocks of the encoder.
        patch: side of a patch, pixels.
        adapt_from: first adapted block.
        bottleneck: h; the published d // 32 if None.
    """

    def __init__(self, width: int, depth: int, patch: int, adapt_from: int = 0, bottleneck: int | None = None) -> None:
        super().__init__()
        hidden = bottleneck or width // 32
        self.adapt_from = adapt_from
        self.embed = nn.Linear(width, hidden)
        self.high_pass = nn.Conv2d(3, hidden, patch, patch)
        self.per_block = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(adapt_from, depth))
        self.shared_up = nn.Linear(hidden, width)
        self.apply(_initialise)

    def branch(self, patches: Tensor, image: Tensor) -> Tensor:
        """(B, h, w, hidden): E + Q."""
        return self.embed(patches) + self.high_pass(high_pass(image)).permute(0, 2, 3, 1)

    def before_block(self, index: int, tokens: Tensor, branch: Tensor) -> Tensor:
        """The tokens with block `index`'s share of the branch added."""
        hidden = nn.functional.gelu(self.per_block[index - self.adapt_from](branch))
        return tokens + self.shared_up(hidden)


def _initialise(module: nn.Module) -> None:
    """Linear: truncated normal, std 0.02, bias 0; convolution: He, fan-out (the published start, not zero)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(module.bias)
