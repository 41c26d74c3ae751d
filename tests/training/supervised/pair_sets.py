"""Small sets of pairs and a small network, for the tests of supervised training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from seglab.datasets.pair import Pair
from seglab.training.supervised.map_loss import map_loss


@dataclass(frozen=True)
class Discs:
    """Images with one blue disc (class 1) and, where there are two classes, one red square (class 2), in green noise.

    The one extra band is 100 on what is labelled and 0 elsewhere.
    """

    count: int = 6
    size: int = 48
    several: bool = False
    name: str = "discs"
    bands: tuple[int, int, int] = (1, 2, 3)
    extra_bands: tuple[int, ...] = (4,)
    parts: None = None
    unreadable: frozenset[int] = field(default_factory=frozenset)

    @property
    def classes(self) -> dict[int, str]:
        return {0: "background", 1: "disc", 2: "square"} if self.several else {0: "background", 1: "disc"}

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Pair:
        rng = np.random.default_rng(index)
        rows, cols = np.mgrid[: self.size, : self.size]
        mask = np.zeros((self.size, self.size), np.uint8)
        if self.several:
            row, col = rng.integers(0, self.size // 2, 2)
            mask[row : row + self.size // 4, col : col + self.size // 4] = 2
        row, col = rng.integers(self.size // 4, 3 * self.size // 4, 2)
        mask[(rows - row) ** 2 + (cols - col) ** 2 < (self.size // 5) ** 2] = 1
        colours = np.array([[70, 140, 60], [30, 50, 170], [190, 60, 40]])[mask]
        rgb = np.clip(colours + rng.normal(0, 12, colours.shape), 0, 255).astype(np.uint8)
        return Pair(f"{index:03d}", rgb, mask, 100.0 * (mask > 0)[None].astype(np.float32))


class TinySegmenter:
    """A single convolution behind the face of `seglab.training.supervised.segmenters.Segmenter`."""

    smallest_batch = 1

    def __init__(self, classes: int = 1, size: int = 32, bands: int = 3) -> None:
        generator = torch.Generator().manual_seed(0)
        self.module = nn.Sequential(nn.Conv2d(bands, 8, 3, 2, 1), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, classes, 1))
        for parameter in self.module.parameters():
            parameter.data.normal_(0, 0.2, generator=generator)
        self.input_size = size
        self.begun = 0

    def describe(self) -> dict[str, object]:
        return {"model": "one convolution", "parameters_trained": sum(p.numel() for p in self.module.parameters())}

    def begin(self, batches) -> None:
        self.begun += len(list(batches))

    def features(self, batch) -> Tensor:
        image = torch.from_numpy(batch.rgb).permute(0, 3, 1, 2).float() / 128 - 1
        return image if batch.extra is None else torch.cat([image, torch.from_numpy(batch.extra)], dim=1)

    def logits(self, features: Tensor) -> Tensor:
        return self.module(features)

    def loss(self, features: Tensor, logits: Tensor, batch, rng: np.random.Generator) -> Tensor:
        return map_loss(logits, torch.from_numpy(batch.target))

    def state(self) -> dict[str, Tensor]:
        return self.module.state_dict()
