"""After the neck: the cheapest place, where the whole encoder's output can be cached."""

from __future__ import annotations

from torch import Tensor, nn

from seglab.models.adapters.base import Adapter
from seglab.models.spec import SamSpec


class NeckAdapter(Adapter):
    """e + Conv1x1(GELU(Conv3x3(GELU(Conv1x1(e))))) on the image embedding, D to D / 4 to D.

    The last convolution starts at zero, so that the adapter starts as the identity; the others keep PyTorch's start.

    Args:
        channels: D, of the embedding.
        depth: blocks of the encoder, all of which are prefix.
    """

    name = "neck"
    places = ("neck",)

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__(depth)
        hidden = channels // 4
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(hidden, channels, 1),
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    @classmethod
    def for_spec(cls, spec: SamSpec, adapt_from: int) -> NeckAdapter:
        """For a model of that shape; `adapt_from` can only be its depth."""
        return cls(spec.prompt_dim, spec.depth)

    def after_neck(self, embedding: Tensor) -> Tensor:
        """The embedding (B, D, h, w) plus its correction."""
        return embedding + self.layers(embedding)
