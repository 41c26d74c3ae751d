"""STEGO: a small head that turns a frozen transformer's features into codes that fall into clusters.

M. Hamilton, Z. Zhang, B. Hariharan, N. Snavely and W. T. Freeman, Unsupervised semantic segmentation by distilling
feature correspondences, ICLR 2022 (arXiv 2203.08414); for land cover arXiv 2310.18251. Shapes and presets are those of
the authors' code.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

CODE = 70
"""Channels of a code."""
DROPPED = 0.1
"""Share of the feature channels that training leaves out."""


@dataclass(frozen=True)
class StegoPreset:
    """Weights and shifts of the three terms of the loss: a feature correspondence above its shift draws codes together,
    one below it pushes them apart."""

    self_weight: float
    near_weight: float
    random_weight: float
    self_shift: float
    near_shift: float
    random_shift: float


PRESETS = MappingProxyType(
    {
        "potsdam": StegoPreset(0.67, 0.25, 0.63, 0.08, 0.02, 0.46),
        "general": StegoPreset(0.67, 0.25, 0.63, 0.18, 0.12, 0.46),
    }
)
"""By name, for ViT-S/8: Potsdam's aerial images, and the authors' other set."""


class StegoHead(nn.Module):
    """Features to codes: a linear path and one with a hidden layer, added up.

    Args:
        width: channels of the features.
        code: channels of the codes.
    """

    def __init__(self, width: int, code: int = CODE) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(DROPPED)
        self.linear = nn.Conv2d(width, code, 1)
        self.hidden = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, code, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w) to (B, code, h, w)."""
        features = self.drop(features)
        return self.linear(features) + self.hidden(features)


class ClusterProbe(nn.Module):
    """Prototypes that codes are drawn to: k-means by cosine, one step at a time.

    Args:
        clusters: how many.
        code: channels of the codes.

    Attributes:
        prototypes: (clusters, code), random to begin with; only their direction counts.
    """

    def __init__(self, clusters: int, code: int = CODE) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(clusters, code))

    def similarity(self, codes: Tensor) -> Tensor:
        """(B, code, h, w) to (B, clusters, h, w): cosine to each prototype."""
        return torch.einsum("bchw,kc->bkhw", F.normalize(codes, dim=1), F.normalize(self.prototypes, dim=1))

    def loss(self, codes: Tensor) -> Tensor:
        """Minus the mean cosine to the nearest prototype; no gradient reaches the codes."""
        return -self.similarity(codes.detach()).amax(1).mean()


def correspondence(first: Tensor, second: Tensor) -> Tensor:
    """Cosines between the points of two images: (B, C, p, p) each to (B, p, p, p, p), the first one's points first."""
    return torch.einsum("bchw,bcij->bhwij", F.normalize(first, dim=1), F.normalize(second, dim=1))


def correspondence_loss(
    features: tuple[Tensor, Tensor], codes: tuple[Tensor, Tensor], shift: float
) -> tuple[Tensor, Tensor]:
    """The loss of one pair of images, and their feature correspondence.

    Codes correspond where features do: -mean((F' - shift) max(S, 0)), with F and S the correspondence of features and
    of codes, and F' = F less its mean over the second image's points, its global mean restored (spatial centring).

    Args:
        features: (B, width, p, p) of sampled points; no gradient goes through them.
        codes: (B, code, p, p) of the same points.
        shift: below it, correspondence pushes apart.

    Returns:
        The loss, a number; and F', (B, p, p, p, p).
    """
    with torch.no_grad():
        found = correspondence(*features)
        centred = found - found.mean((3, 4), keepdim=True)
        centred = centred - centred.mean() + found.mean()
    return -((centred - shift) * correspondence(*codes).clamp(min=0)).mean(), centred


def sample_points(maps: Tensor, coords: Tensor) -> Tensor:
    """Values at points, bilinear, the border repeated beyond it.

    Args:
        maps: (B, C, h, w).
        coords: (B, p, p, 2) x and y, -1 to 1 over the map.

    Returns:
        (B, C, p, p).
    """
    return F.grid_sample(maps, coords, padding_mode="border", align_corners=True)
