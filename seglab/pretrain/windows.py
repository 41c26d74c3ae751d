"""Where training looks: square windows around objects, turned and scaled, and what is seen there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seglab.pretrain.bank import LEVELS, Bank
from seglab.pretrain.ground import PROCEDURAL

FILL = 0.7
"""As in evaluation.cases, which needs packages that a training machine may lack; a test holds them together."""
SMALLEST = 64
"""Smallest part that a window is laid around, pixels of its image: the bench's smallest object."""


@dataclass(frozen=True)
class Windows:
    """Square windows of images of a bank."""

    image: Tensor
    """(B,) int64 image of the bank."""
    part: Tensor
    """(B,) int64 the part that the window was laid around."""
    frame: Tensor
    """(B, 2, 3) from (column, row) of the window, -1 to 1, to (column, row) of the image, pixels."""


@dataclass(frozen=True)
class View:
    """What is seen through windows."""

    rgb: Tensor
    """(B, S, S, 3) float, 0 to 255."""
    parts: Tensor
    """(B, S, S) int64."""
    semantic: Tensor
    """(B, S, S) uint8."""


def draw_parts(bank: Bank, count: int, real_share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images and one part in each, in pairs: 2k and 2k + 1 are of one image.

    Datasets have equal shares, images of a dataset too; half of the parts are drawn evenly, half by their extent.

    Args:
        bank: where from.
        count: how many, even.
        real_share: share of windows on ground that was not made by a program.

    Returns:
        (count,) int64 images and parts.
    """
    present = (bank.source >= 0).float()
    source = bank.source.clamp(min=0)
    made = bank.sources.index(PROCEDURAL) if PROCEDURAL in bank.sources else -1
    per_source = torch.zeros(len(bank.sources), device=bank.device).index_add_(0, source, present)
    real = (torch.arange(len(bank.sources), device=bank.device) != made) & (per_source > 0)
    shares = torch.where(real, real_share / real.sum().clamp(min=1), 1 - real_share)
    weight = (shares / per_source.clamp(min=1))[source] * present
    # A bank without one of the two kinds gives the other.
    weight = torch.where(weight.sum() > 0, weight, present)
    image = torch.multinomial(weight.expand(count // 2, -1), 1, generator=generator)[:, 0].repeat_interleave(2)
    area = bank.area[image].float()
    by_extent = torch.rand(count, 1, device=bank.device, generator=generator) < 0.5
    chance = (area >= SMALLEST) * torch.where(by_extent, area.sqrt(), torch.ones_like(area))
    chance[:, 0] += 1e-6  # an image without parts still gives a window
    return image, torch.multinomial(chance, 1, generator=generator)[:, 0]


def plain_windows(bank: Bank, image: Tensor, part: Tensor, size: int) -> Windows:
    """Windows as the click bench opens them: see evaluation.cases."""
    rows, cols = bank.layout.size[image, 0].unbind(-1)
    left, top, right, bottom = bank.box[image, part].unbind(-1)
    extent = torch.maximum(right - left, bottom - top)
    scale = 2 ** torch.ceil(torch.log2((extent / (FILL * size)).clamp(min=1)))
    side = torch.minimum(size * scale, torch.minimum(rows, cols))
    col = torch.minimum(((left + right - side) / 2).floor().clamp(min=0), cols - side)
    row = torch.minimum(((top + bottom - side) / 2).floor().clamp(min=0), rows - side)
    return _frames(image, part, col + side / 2, row + side / 2, side / 2, torch.zeros_like(side))


def loose_windows(bank: Bank, image: Tensor, part: Tensor, size: int, generator: torch.Generator) -> Windows:
    """Windows off the middle, finer and coarser, half of them turned by any angle, some stretched or mirrored."""
    plain = plain_windows(bank, image, part, size)
    count = len(image)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=bank.device, generator=generator)

    half = plain.frame[:, 0, 0]
    coarser = torch.where(uniform(0, 1) < 0.25, 2 ** uniform(0, 2), torch.ones_like(half))
    side = half * coarser * 2 ** uniform(-0.7, 0.4)
    shortest = bank.layout.size[image, 0].amin(-1) / 2
    side = torch.minimum(side, shortest)
    left, top, right, bottom = bank.box[image, part].unbind(-1)
    # A part larger than its window is looked at anywhere; a small one may lie anywhere in the window.
    col = (left + right) / 2 + uniform(-0.35, 0.35) * torch.maximum(2 * side, right - left)
    row = (top + bottom) / 2 + uniform(-0.35, 0.35) * torch.maximum(2 * side, bottom - top)
    angle = uniform(0, 2 * math.pi)
    square = (angle / (math.pi / 2)).floor() * (math.pi / 2)
    free = uniform(0, 1) < 0.5
    angle = torch.where(free, angle, square)
    rows, cols = bank.layout.size[image, 0].unbind(-1)
    col = torch.minimum(torch.maximum(col, side), cols - side)
    row = torch.minimum(torch.maximum(row, side), rows - side)
    stretch = torch.where(uniform(0, 1) < 0.3, 2 ** uniform(-0.3, 0), torch.ones_like(half))
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    return _frames(image, part, col, row, side, angle, stretch, mirror)


def look(bank: Bank, windows: Windows, size: int) -> View:
    """Colours and labels seen through windows, resampled to `size` pixels; beyond an image's edge it is mirrored."""
    steps = (torch.arange(size, device=bank.device) + 0.5) * (2 / size) - 1
    row, col = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([col, row, torch.ones_like(col)], -1).reshape(-1, 3)
    at = (grid @ windows.frame.transpose(1, 2)).unflatten(1, (size, size))  # (B, S, S, 2) (column, row)
    rgb = _colours(bank, windows, at, size)
    rows, cols = (bank.layout.size[windows.image, 0, axis][:, None, None] for axis in (0, 1))
    flat = bank.layout.label_start[windows.image][:, None, None]
    flat = flat + _mirrored(at[..., 1].floor().long(), rows) * cols + _mirrored(at[..., 0].floor().long(), cols)
    return View(rgb, bank.parts[flat].long(), bank.semantic[flat])


def _frames(
    image: Tensor,
    part: Tensor,
    col: Tensor,
    row: Tensor,
    half: Tensor,
    angle: Tensor,
    stretch: Tensor | float = 1.0,
    mirror: Tensor | float = 1.0,
) -> Windows:
    cosine, sine = angle.cos() * half, angle.sin() * half
    across = torch.stack([cosine * mirror, -sine * stretch, col], -1)
    down = torch.stack([sine * mirror, cosine * stretch, row], -1)
    return Windows(image, part, torch.stack([across, down], 1))


def _colours(bank: Bank, windows: Windows, at: Tensor, size: int) -> Tensor:
    """Bilinear colours of the level that comes closest to the windows' scale from the finer side."""
    scale = 2 * windows.frame[:, :, :2].norm(dim=1).amax(-1) / size
    level = torch.log2(scale.clamp(min=1) * 1.2).floor().long().clamp(max=LEVELS - 1)
    shape = bank.layout.size[windows.image, level]
    full = bank.layout.size[windows.image, 0]
    ratio = (shape / full).flip(-1)[:, None, None]
    at = at * ratio - 0.5
    base = at.floor()
    part = (at - base).to(torch.float32)
    base = base.long()
    rows, cols = (shape[:, axis][:, None, None] for axis in (0, 1))
    start = bank.layout.colour_start[windows.image, level][:, None, None]
    found = 0.0
    for down in (0, 1):
        for right in (0, 1):
            col, row = _mirrored(base[..., 0] + right, cols), _mirrored(base[..., 1] + down, rows)
            weight = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
            found = found + bank.colour[start + row * cols + col].float() * weight[..., None]
    return found


def _mirrored(index: Tensor, length: Tensor) -> Tensor:
    """Indexes beyond either end, turned back; those farther than a whole length are kept at the end."""
    index = torch.where(index < 0, -1 - index, index)
    index = torch.where(index >= length, 2 * length - 1 - index, index)
    return torch.minimum(index.clamp(min=0), length - 1)
