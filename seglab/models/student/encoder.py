"""The student's encoder: a ConvNeXt from timm (Liu et al., "A ConvNet for the 2020s", CVPR 2022)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from seglab.errors import CheckpointError
from seglab.models.student.timm_library import read_weights, timm_library


class ConvNeXtEncoder(nn.Module):
    """Stem and stages of a ConvNeXt, with random weights.

    Args:
        name: timm's, see ENCODERS.
        drop_path: stochastic depth of the last block.
    """

    def __init__(self, name: str, drop_path: float) -> None:
        super().__init__()
        network = timm_library().create_model(name, pretrained=False, num_classes=0, drop_path_rate=drop_path)
        self.stem = network.stem
        self.stages = network.stages

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised to four maps, 4, 8, 16 and 32 pixels per cell, finest first."""
        levels, x = [], self.stem(image)
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels

    def load(self, path: str | Path) -> None:
        """Take weights that were trained elsewhere, in timm's names or in those of ConvNeXt's authors.

        Raises:
            CheckpointError: the file is damaged, or of another network.
        """
        timm_library()
        from timm.models.convnext import checkpoint_filter_fn

        found = checkpoint_filter_fn(read_weights(path), self)
        own = self.state_dict()
        fitting = {name: found[name] for name in own if name in found and _shape(found[name]) == own[name].shape}
        if missing := sorted(own.keys() - fitting.keys()):
            raise CheckpointError(
                f"{str(path)!r} is not of this ConvNeXt ({missing[0]!r} and {len(missing) - 1} more are missing or of "
                "another size); give the weights of the encoder that the student has"
            )
        self.load_state_dict(fitting)


def _shape(value: object) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else None
