"""Serial bottlenecks: each block's MLP output passes through one before it is added to the tokens."""

from __future__ import annotations

from torch import Tensor, nn

from seglab.models.adapters.base import Adapter
from seglab.models.adapters.norms import NORM_EPSILON
from seglab.models.spec import SamSpec


class SerialAdapter(Adapter):
    """x + Up(GELU(Down(x))) after the MLP of block i; d to d / 4 to d.

    Down starts truncated normal with std 0.02, Up and every bias at zero, so that the first step is plain SAM.

    Args:
        width: d, channels of the encoder's tokens.
        depth: blocks of the encoder.
        adapt_from: first adapted block.
    """

    name = "serial"

    def __init__(self, width: int, depth: int, adapt_from: int = 0) -> None:
        super().__init__(adapt_from)
        blocks = range(adapt_from, depth)
        hidden = width // 4
        self.norm = nn.ModuleList(self._norm(width) for _ in blocks)
        self.down = nn.ModuleList(nn.Linear(width, hidden) for _ in blocks)
        self.up = nn.ModuleList(nn.Linear(hidden, width) for _ in blocks)
        for down, up in zip(self.down, self.up, strict=True):
            nn.init.trunc_normal_(down.weight, std=0.02)
            for start_at_zero in (down.bias, up.weight, up.bias):
                nn.init.zeros_(start_at_zero)

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> SerialAdapter:
        """For a model of that shape."""
        return cls(spec.width, spec.depth, adapt_from)

    def _norm(self, width: int) -> nn.Module:
        return nn.Identity()

    def after_mlp(self, index: int, x: Tensor) -> Tensor:
        """The MLP's output (B, h, w, d) plus what the bottleneck makes of it."""
        i = index - self.adapt_from
        return x + self.up[i](nn.functional.gelu(self.down[i](self.norm[i](x))))


class SerialNormAdapter(SerialAdapter):
    """Seismic Fault SAM's form (arXiv 2407.14121): X + s(Norm(X) W_down) W_up, s an activation, here GELU.

    Norm is a LayerNorm of its own per block; the rest as in SerialAdapter.
    """

    name = "serial_norm"

    def _norm(self, width: int) -> nn.Module:
        return nn.LayerNorm(width, eps=NORM_EPSILON)
