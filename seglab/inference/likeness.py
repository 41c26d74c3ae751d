"""Where windows look like some examples: image embeddings beside their mean over accepted masks.

This is the idea of self-guided few-shot segmentation (arXiv 2311.13200): masks that were accepted give coarse prompts,
cell by cell, for other windows, and SAM's decoder makes masks of them. The two prototypes are those of prototypical
networks (Snell et al. 2017) with cosine similarity: one of the objects, one of the ground around them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

SHARPNESS = 8.0
"""Of the step from ground to object: a difference of 0.5 between the two cosines is a likeness of 0.98."""


@dataclass(frozen=True)
class Likeness:
    """What objects and the ground around them look like in a model's embeddings of D channels."""

    middle: torch.Tensor
    """(D,) float32 mean embedding of the example windows: what all of the imagery has in common tells nothing."""
    object: torch.Tensor
    """(D,) float32 unit vector: mean over the examples' masks, less the middle."""
    ground: torch.Tensor
    """(D,) float32 unit vector: the same outside the masks."""

    @classmethod
    def of(cls, examples: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> Likeness:
        """Learn from examples.

        Args:
            examples: at least one: (D, h, w) embedding of a window, (H, W) bool mask of the objects in it, and (H, W)
                bool mask of what is none, of any size.
        """
        inside, outside, every = [], [], []
        for embedding, objects, ground in examples:
            inside.append(_mean(embedding, objects))
            outside.append(_mean(embedding, ground))
            every.append(embedding.float().mean((1, 2)))
        middle = torch.stack(every).mean(0)
        object_, ground = (normalize(torch.stack(found).mean(0) - middle, dim=0) for found in (inside, outside))
        return cls(middle, object_, ground)

    def of_cells(self, embedding: torch.Tensor) -> torch.Tensor:
        """How far each cell of a window looks like the objects rather than like the ground around them.

        Args:
            embedding: (D, h, w).

        Returns:
            (h, w) float32, 0 to 1; 0.5 is as like the one as the other.
        """
        cells = normalize(embedding.float() - self.middle[:, None, None], dim=0)
        nearer = torch.einsum("dhw,d->hw", cells, self.object - self.ground)
        return (SHARPNESS * nearer).sigmoid()

    def of_pixels(self, embedding: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """The same at another resolution, bilinear: (H, W) float32.

        Args:
            embedding: (D, h, w).
            shape: (H, W).
        """
        return interpolate(self.of_cells(embedding)[None, None], shape, mode="bilinear", align_corners=False)[0, 0]


def _mean(embedding: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(D,) mean over a mask, each cell by its share of it; zeros for an empty mask."""
    weight = adaptive_avg_pool2d(mask[None, None].to(embedding.device, torch.float32), embedding.shape[-2:])[0, 0]
    return (embedding.float() * weight).sum((1, 2)) / weight.sum().clamp(min=1e-6)
