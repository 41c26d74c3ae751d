"""A dense CRF that sharpens class probabilities along the edges of an image: mean field in torch, on a lattice.

P. Krähenbühl and V. Koltun, Efficient inference in fully connected CRFs with Gaussian edge potentials, NeurIPS 2011.
Every pixel is joined to every other one by two Gaussians, one of place and one of place and colour. A step of mean
field is two Gaussian filters over all pixels, which the permutohedral lattice of A. Adams, J. Baek and M. A. Davis,
Fast high-dimensional filtering using the permutohedral lattice, Eurographics 2010, does about, in time linear in them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CrfSettings:
    """Of the two Gaussians; the defaults are STEGO's (arXiv 2203.08414)."""

    steps: int = 10
    """Of mean field."""
    place_sigma: float = 1.0
    """Of the Gaussian of place alone, pixels."""
    place_weight: float = 3.0
    bilateral_sigma: float = 67.0
    """Of the Gaussian of place and colour, pixels."""
    colour_sigma: float = 3.0
    """Of the same, in colour, 0 to 255."""
    bilateral_weight: float = 4.0


def dense_crf(rgb: Tensor, probabilities: Tensor, settings: CrfSettings | None = None) -> Tensor:
    """Class probabilities after mean field with Potts' compatibility.

    Args:
        rgb: (H, W, 3) uint8.
        probabilities: (C, H, W), that sum to 1 over C.
        settings: CrfSettings() if None.

    Returns:
        (C, H, W) float32, that sum to 1 over C.
    """
    how = settings or CrfSettings()
    classes, height, width = probabilities.shape
    rows, cols = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([rows, cols], dim=-1).reshape(-1, 2).to(rgb.device, torch.float32)
    colour = rgb.reshape(-1, 3).float()
    near = Lattice(place / how.place_sigma)
    alike = Lattice(torch.cat([place / how.bilateral_sigma, colour / how.colour_sigma], dim=1))
    unary = probabilities.reshape(classes, -1).T.float().clamp(min=1e-8).log()
    found = unary.softmax(1)
    for _ in range(how.steps):
        message = how.place_weight * near.filter(found) + how.bilateral_weight * alike.filter(found)
        found = (unary + message).softmax(1)
    return found.T.reshape(classes, height, width)


class Lattice:
    """The permutohedral lattice of some points: filters values at them by a Gaussian of variance 1.

    Args:
        points: (N, d) float, in standard deviations of the Gaussian.
    """

    def __init__(self, points: Tensor) -> None:
        keys, self._weights = _simplices(points)
        count, corners, dims = len(points), keys.shape[1], keys.shape[2]
        unique, inverse = torch.unique(keys.reshape(-1, dims), dim=0, return_inverse=True)
        self._vertices = inverse.reshape(count, corners)
        """(N, d + 1): of the simplex that a point lies in."""
        self._size = len(unique)
        self._neighbours = _neighbours(unique)
        """Per axis, (V, 2): the vertices on both sides, V where there is none."""
        self._scale = 1.0
        ones = self._filtered(points.new_ones(count, 1))
        self._scale = ones.clamp(min=1e-12).rsqrt()

    def filter(self, values: Tensor) -> Tensor:
        """The Gaussian filter, normalised on both sides.

        Args:
            values: (N, C).

        Returns:
            (N, C): of each point, the others and itself weighted by their distance.
        """
        return self._filtered(values * self._scale) * self._scale

    def _filtered(self, values: Tensor) -> Tensor:
        held = values.new_zeros(self._size + 1, values.shape[1])  # the last one is nowhere, and stays 0
        for vertices, weights in zip(self._vertices.T, self._weights.T, strict=True):
            held.index_add_(0, vertices, values * weights[:, None])
        for sides in self._neighbours:
            blurred = held[:-1] + 0.5 * (held[sides[:, 0]] + held[sides[:, 1]])
            held = torch.cat([blurred, held[-1:]])
        found = torch.zeros_like(values)
        for vertices, weights in zip(self._vertices.T, self._weights.T, strict=True):
            found += held[vertices] * weights[:, None]
        return found


def _simplices(points: Tensor) -> tuple[Tensor, Tensor]:
    """The simplex around each point: keys (N, d + 1, d) of its vertices, and barycentric weights (N, d + 1)."""
    count, d = points.shape
    elevated = _elevated(points)
    base = (elevated / (d + 1)).round()
    excess = base.sum(1, keepdim=True).long()
    base = base * (d + 1)
    rank = (elevated - base).argsort(dim=1, descending=True, stable=True).argsort(dim=1) + excess
    low, high = rank < 0, rank > d
    rank = rank + (d + 1) * (low.long() - high.long())
    base = base + (d + 1) * (low.float() - high.float())
    share = (elevated - base) / (d + 1)
    weights = points.new_zeros(count, d + 2)
    weights.scatter_add_(1, d - rank, share)
    weights.scatter_add_(1, d + 1 - rank, -share)
    weights[:, 0] += 1 + weights[:, d + 1]
    steps = torch.arange(d + 1, device=points.device)
    canonical = steps[:, None] - (d + 1) * (steps[None] > d - steps[:, None])  # (remainder, rank)
    keys = base.long()[:, None, :] + canonical[:, rank].transpose(0, 1)
    return keys[:, :, :d], weights[:, : d + 1]


def _elevated(points: Tensor) -> Tensor:
    """(N, d + 1): the points on the lattice's hyperplane, scaled so that the blur has variance 1."""
    d = points.shape[1]
    steps = torch.arange(1, d + 1, device=points.device, dtype=points.dtype)
    scaled = points * (math.sqrt(2 / 3) * (d + 1) / (steps * (steps + 1)).sqrt())
    after = scaled.flip(1).cumsum(1).flip(1)  # sums from each axis on
    return torch.cat([after[:, :1], torch.cat([after[:, 1:], torch.zeros_like(after[:, :1])], 1) - steps * scaled], 1)


def _neighbours(vertices: Tensor) -> list[Tensor]:
    """Per axis of the lattice, (V, 2) numbers of the vertices on both sides; V where there is none.

    Args:
        vertices: (V, d) different keys.
    """
    count, d = vertices.shape
    low = vertices.min(0).values - d - 1
    span = vertices.max(0).values - low + d + 2
    factor = torch.cat([span.flip(0).cumprod(0).flip(0)[1:], span.new_ones(1)])
    place = ((vertices - low) * factor).sum(1)
    order = place.argsort()
    known = place[order]

    def number_of(keys: Tensor) -> Tensor:
        wanted = ((keys - low) * factor).sum(1)
        at = torch.searchsorted(known, wanted).clamp(max=count - 1)
        return torch.where(known[at] == wanted, order[at], count)

    found = []
    for axis in range(d + 1):
        step = vertices.new_full((d,), -1)
        if axis < d:
            step[axis] = d
        found.append(torch.stack([number_of(vertices + step), number_of(vertices - step)], dim=1))
    return found
