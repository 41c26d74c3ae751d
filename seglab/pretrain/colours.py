"""What light, air and cameras change: random colours, blur and noise for training windows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MIDDLE, SPREAD = 0.45, 0.18
"""Mean and standard deviation of a well stretched image, 0 to 1."""
DARKEST, BRIGHTEST = 0.08, 0.92
"""Means that a change of brightness does not leave."""


def recolour(rgb: Tensor, generator: torch.Generator, amount: float = 1.0) -> Tensor:
    """Change colours, the same way for windows 2k and 2k + 1, and add blur and noise to some.

    Args:
        rgb: (B, S, S, 3) float, 0 to 255; B even.
        generator: on the same device.
        amount: 1 for strong changes, 0 for none.

    Returns:
        The same shape and range.
    """
    count, where = len(rgb), {"device": rgb.device, "generator": generator}

    def normal(*shape: int) -> Tensor:
        return torch.randn(count // 2, *shape, **where).repeat_interleave(2, 0) * amount

    def chance(share: float) -> Tensor:
        return (torch.rand(count // 2, **where) < share * amount).repeat_interleave(2)[:, None, None, None]

    level = (rgb / 255).clamp(0, 1)
    order = torch.rand(count // 2, 3, **where).argsort(1).repeat_interleave(2, 0)
    mixed = level.gather(3, order[:, None, None].expand_as(level))
    level = torch.where(chance(0.15), mixed, level)
    level = torch.where(chance(0.1), level.mean(3, keepdim=True), level)
    level = level.clamp(min=1e-4) ** (0.25 * normal(1, 1, 1)).exp()
    mean, spread = _moments(level)
    # Some images come stretched, some as they are: any share of the way to a full stretch.
    way = torch.rand(count // 2, 1, 1, 1, **where).repeat_interleave(2, 0) * chance(0.5) * amount
    gain = (SPREAD / spread).clamp(0.5, 8) ** way
    gain = gain * (0.22 * normal(1, 1, 1) + 0.07 * normal(1, 1, 3)).exp()
    goal = mean + way * (MIDDLE - mean) + 0.07 * normal(1, 1, 1) + 0.03 * normal(1, 1, 3)
    goal = torch.maximum(torch.minimum(goal, mean.clamp(min=BRIGHTEST)), mean.clamp(max=DARKEST))
    level = (level - mean) * gain + goal
    level = torch.where(chance(0.2), _blurred(level), level)
    noise = torch.randn(rgb.shape, **where) * (0.03 * torch.rand(count, 1, 1, 1, **where))
    level = level + torch.where(chance(0.4), noise, torch.zeros_like(noise))
    return level.clamp(0, 1) * 255


def _moments(level: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each pair of windows, (B, 1, 1, 1)."""
    pairs = level.unflatten(0, (-1, 2)).flatten(1)
    spread, mean = torch.std_mean(pairs, dim=1)
    return tuple(value.repeat_interleave(2)[:, None, None, None] for value in (mean, spread.clamp(min=0.01)))


def _blurred(level: Tensor) -> Tensor:
    """Seen at half the resolution."""
    half = functional.avg_pool2d(level.permute(0, 3, 1, 2), 2)
    return functional.interpolate(half, scale_factor=2, mode="bilinear").permute(0, 2, 3, 1)
