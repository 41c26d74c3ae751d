"""KTDA's Feature Modulation Module (arXiv 2412.06664; as in the authors' code): FMM, in its two modes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from seglab.models.student.spec import StudentSpec
from seglab.models.student.timm_library import timm_library

MLP_RATIO = 4
"""Hidden to outer channels of the transformer blocks; outer to hidden ones of the light mode."""


class FeatureModulation(nn.Module):
    """One stack per level, without a skip around it.

    ViT mode: transformer blocks over the level's cells as tokens. MLP mode: one linear layer to a quarter of the
    channels, GELU, and one back, cell by cell.

    Args:
        spec: the student's shape; its modulation is not "none".
        levels: how many there are.
    """

    def __init__(self, spec: StudentSpec, levels: int) -> None:
        super().__init__()
        make = _blocks if spec.modulation == "vit" else _mlp
        self.stacks = nn.ModuleList(make(spec) for _ in range(levels))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """(B, width, h, w) each, to the same shapes."""
        found = []
        for level, stack in zip(levels, self.stacks, strict=True):
            tokens = stack(level.flatten(2).transpose(1, 2))
            found.append(tokens.transpose(1, 2).unflatten(2, level.shape[-2:]))
        return found


def _blocks(spec: StudentSpec) -> nn.Module:
    timm_library()
    from timm.models.vision_transformer import Block

    return nn.Sequential(
        *(
            Block(spec.width, spec.modulation_heads, mlp_ratio=MLP_RATIO, qkv_bias=True)
            for _ in range(spec.modulation_depth)
        )
    )


def _mlp(spec: StudentSpec) -> nn.Module:
    hidden = spec.width // MLP_RATIO
    return nn.Sequential(nn.Linear(spec.width, hidden), nn.GELU(), nn.Linear(hidden, spec.width))
