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
    centred: bool = False
    """Whether features are less their mean over the scene (those of a SAM have much in common wherever they are) and
    codes begin as the principal components of what is left."""

    @property
    def shifts(self) -> dict[str, float]:
        """By the name of the term."""
        return {"self": self.self_shift, "near": self.near_shift, "random": self.random_shift}


AUTO = "auto"
"""Names the preset whose shifts are found by the features themselves: see training.stego.calibrated."""

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
        centre: (width,) that is taken off the features first; zeros if None.
    """

    centre: Tensor

    def __init__(self, width: int, code: int = CODE, centre: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width) if centre is None else centre)
        self.drop = nn.Dropout2d(DROPPED)
        self.linear = nn.Conv2d(width, code, 1)
        self.hidden = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, code, 1))

    @torch.no_grad()
    def begin_with(self, axes: Tensor) -> None:
        """Make the codes what features are along some axes: training then moves them from there, not from chance.

        Args:
            axes: (width, code or fewer), of length 1.
        """
        for parameter in (self.linear.weight, self.linear.bias, self.hidden[-1].weight, self.hidden[-1].bias):
            parameter.zero_()
        self.linear.weight[: axes.shape[1]] = axes.T[..., None, None]

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, h, w) to (B, code, h, w)."""
        features = self.drop(features - self.centre[:, None, None])
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


@torch.no_grad()
def feature_correspondence(first: Tensor, second: Tensor) -> Tensor:
    """F' of `correspondence_loss`, (B, p, p, p, p), of features (B, width, p, p)."""
    found = correspondence(first, second)
    centred = found - found.mean((3, 4), keepdim=True)
    return centred - centred.mean() + found.mean()


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
    centred = feature_correspondence(*features)
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
