"""ATL, the adaptive transfer learning branch of TransLandSeg (arXiv 2403.10127), variants (a) to (d).

(a), (b) and (c): a bottleneck of the patch embeddings and a convolution over a high-pass image are summed once per
image, E + Q; a small layer of its own turns that sum into what is added to the tokens before each block. They differ
in that layer and in the way back to the tokens' width. (d) sits inside the attention branch instead.
"""

from __future__ import annotations

from torch import Tensor, nn

from seglab.models.adapters.base import Adapter
from seglab.models.adapters.initialise import initialise
from seglab.models.adapters.norms import ChannelNorm, over_channels
from seglab.models.spec import SamSpec

MINIMUM_BOTTLENECK = 16
"""Channels: the published d // 32 leaves a narrow encoder (tiny's d is 192) too few to say anything."""

PASSES = 3
"""How often variant (d) applies its one shared convolution."""


class AtlAdapter(Adapter):
    """Variant (a), as shipped: x + U(GELU(W_i(E(patches) + Q(high-pass image)))) immediately before block i.

    E: d to h; Q: 3 to h, kernel and stride of a patch; W_i: h to h, one per block; U: h to d, shared.

    Args:
        width: d, channels of the encoder's tokens.
        depth: blocks of the encoder.
        patch: side of a patch, pixels.
        adapt_from: first adapted block.
        bottleneck: h; the published d // 32 if None.
    """

    name = "atl_a"

    def __init__(self, width: int, depth: int, patch: int, adapt_from: int = 0, bottleneck: int | None = None) -> None:
        super().__init__(adapt_from)
        hidden = bottleneck or width // 32
        self.embed = nn.Linear(width, hidden)
        self.high_pass = nn.Conv2d(3, hidden, patch, patch)
        self.per_block = nn.ModuleList(self._block_layer(hidden) for _ in range(adapt_from, depth))
        self.shared_up = self._way_up(hidden, width)
        self.apply(initialise)

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> AtlAdapter:
        """With the published bottleneck, but not below MINIMUM_BOTTLENECK."""
        return cls(spec.width, spec.depth, spec.patch, adapt_from, max(MINIMUM_BOTTLENECK, spec.width // 32))

    def _block_layer(self, hidden: int) -> nn.Module:
        return nn.Linear(hidden, hidden)

    def _way_up(self, hidden: int, width: int) -> nn.Module:
        return nn.Linear(hidden, width)

    def branch(self, patches: Tensor, high_pass: Tensor) -> Tensor:
        """(B, h, w, hidden): E + Q."""
        return self.embed(patches) + self.high_pass(high_pass).permute(0, 2, 3, 1)

    def share(self, index: int, branch: Tensor) -> Tensor:
        """P_i (B, h, w, d): what block `index` is given of the branch."""
        return self.shared_up(nn.functional.gelu(self.per_block[index - self.adapt_from](branch)))

    def before_block(self, index: int, tokens: Tensor, branch: Tensor) -> Tensor:
        """The tokens with the block's share of the branch added."""
        return tokens + self.share(index, branch)


class AtlNoResidualAdapter(AtlAdapter):
    """Variant (a) without its residual connection, for the paper's ablation: blocks see P_i instead of x + P_i.

    So each adapted block sees the image through the branch alone, and what the blocks before it made is lost.
    """

    name = "atl_a_no_residual"

    def before_block(self, index: int, tokens: Tensor, branch: Tensor) -> Tensor:
        """The block's share of the branch alone."""
        return self.share(index, branch)


class AtlTwoLayerAdapter(AtlAdapter):
    """Variant (b): two Linear and GELU layers per block instead of one."""

    name = "atl_b"

    def _block_layer(self, hidden: int) -> nn.Module:
        # The second GELU is the one that `share` applies.
        return nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden))


class AtlConvAdapter(AtlAdapter):
    """Variant (c): the way up is convolutional.

    1x1 h to h, LN2d, GELU, depthwise 3x3, LN2d, GELU, 1x1 h to d, LN2d, GELU. It takes the place of U, which it shares
    with it to go from h to d and to be one for all blocks.
    """

    name = "atl_c"

    def _way_up(self, hidden: int, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(hidden, hidden, 1),
            ChannelNorm(hidden),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            ChannelNorm(hidden),
            nn.GELU(),
            nn.Conv2d(hidden, width, 1),
            ChannelNorm(width),
            nn.GELU(),
        )

    def share(self, index: int, branch: Tensor) -> Tensor:
        """P_i (B, h, w, d)."""
        return over_channels(self.shared_up, nn.functional.gelu(self.per_block[index - self.adapt_from](branch)))


class AtlSerialAdapter(Adapter):
    """Variant (d): serial, inside the attention branch of each block, before its windows are put together again.

    y = Up(GELU(Down(x))), d to d / 4 to d; then three passes of one shared [1x1 convolution, LN2d, GELU] over y; x + y.

    Args:
        width: d, channels of the encoder's tokens.
        depth: blocks of the encoder.
        adapt_from: first adapted block.
    """

    name = "atl_d"

    def __init__(self, width: int, depth: int, adapt_from: int = 0) -> None:
        super().__init__(adapt_from)
        blocks = range(adapt_from, depth)
        hidden = width // 4
        self.bottleneck = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)) for _ in blocks
        )
        self.repeated = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1), ChannelNorm(width), nn.GELU()) for _ in blocks
        )
        self.apply(initialise)

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> AtlSerialAdapter:
        """For a model of that shape."""
        return cls(spec.width, spec.depth, adapt_from)

    def change(self, index: int, x: Tensor) -> Tensor:
        """y (B', h', w', d): what the adapter of block `index` makes of the attention's output."""
        found = self.bottleneck[index - self.adapt_from](x)
        for _ in range(PASSES):
            found = over_channels(self.repeated[index - self.adapt_from], found)
        return found

    def after_attention(self, index: int, x: Tensor) -> Tensor:
        """The attention's output with the block's change added."""
        return x + self.change(index, x)


class AtlSerialNoResidualAdapter(AtlSerialAdapter):
    """Variant (d) without its skip, for the paper's ablation: y instead of x + y."""

    name = "atl_d_no_residual"

    def after_attention(self, index: int, x: Tensor) -> Tensor:
        """What the adapter makes of the attention's output."""
        return self.change(index, x)
