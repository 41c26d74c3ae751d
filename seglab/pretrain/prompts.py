"""Prompts as people give them, made on the device: a click, a loose box, then corrections where the mask is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE

AT_ONCE = 128
"""Masks whose distances are computed at a time: a quadratic table of each is in memory."""


@dataclass(frozen=True)
class Prompts:
    """Prompts of N objects, all of one length."""

    coords: Tensor
    """(N, P, 2) float (x, y) pixels."""
    labels: Tensor
    """(N, P) int64; see models.spec."""

    def __add__(self, more: Prompts) -> Prompts:
        return Prompts(torch.cat([self.coords, more.coords], 1), torch.cat([self.labels, more.labels], 1))


def distances(masks: Tensor) -> Tensor:
    """`depth` of masks that are few enough for a table of rows by rows of each.

    Two passes: exact distances along rows, then the least of all rows (Saito, Toriwaki, 1994).
    """
    rows, cols = masks.shape[1:]
    place = torch.arange(cols, device=masks.device)
    before = place - torch.where(masks, -1, place).cummax(2).values
    after = torch.where(masks, cols, place).flip(2).cummin(2).values.flip(2) - place
    along = torch.minimum(before, after).float() ** 2
    down = torch.arange(rows, device=masks.device, dtype=torch.float32)
    gap = (down[:, None] - down[None, :]) ** 2
    squared = (along[:, None] + gap[None, :, :, None]).amin(2)
    edge = torch.minimum(down + 1, rows - down) ** 2
    return torch.minimum(squared, edge[:, None]).sqrt()


Depth = Callable[[Tensor], Tensor]
"""(N, h, w) bool to (N, h, w) float; see `distances`."""


def depth(masks: Tensor, measure: Depth = distances) -> Tensor:
    """Distance of each pixel of a mask to the nearest pixel outside, the image's edge counted as outside.

    Args:
        masks: (N, h, w) bool.
        measure: `distances`, or a compiled one.

    Returns:
        (N, h, w) float, pixels; 0 outside.
    """
    with torch.no_grad():
        return torch.cat([measure(some) for some in masks.split(AT_ONCE)])


def pick(distance: Tensor, centred: float, generator: torch.Generator) -> Tensor:
    """A pixel of each mask: the deepest with probability `centred`, else any that is not close to the border.

    Args:
        distance: (N, h, w), see `depth`.
        centred: 0 to 1.
        generator: on the same device.

    Returns:
        (N, 2) float (column, row) of the pixel's centre.
    """
    flat = distance.flatten(1)
    deepest, middle = flat.max(1)
    inside = (flat >= torch.minimum(deepest, (0.25 * deepest).clamp(min=1))[:, None]) & (flat > 0)
    anywhere = (torch.rand(flat.shape, device=flat.device, generator=generator) * inside).argmax(1)
    at_middle = torch.rand(len(flat), device=flat.device, generator=generator) < centred
    at = torch.where(at_middle, middle, anywhere)
    width = distance.shape[2]
    return torch.stack([at % width, torch.div(at, width, rounding_mode="floor")], 1) + 0.5


def boxes_around(masks: Tensor) -> Tensor:
    """(N, 4) float left, top, right, bottom of masks (N, h, w), pixels, right and bottom excluded; zeros if empty."""
    cols, rows = masks.any(1), masks.any(2)

    def ends(present: Tensor) -> tuple[Tensor, Tensor]:
        length = present.shape[1]
        first = present.int().argmax(1)
        last = length - present.flip(1).int().argmax(1)
        return first, torch.where(present.any(1), last, first)

    (left, right), (top, bottom) = ends(cols), ends(rows)
    return torch.stack([left, top, right, bottom], 1).float()


def loose_boxes(box: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Boxes as drawn by hand: a third exact, the others with each side off by up to about a tenth.

    Args:
        box: (N, 4), see `boxes_around`.
        size: side of the input, which they do not leave.
        generator: on the same device.
    """
    count, where = len(box), {"device": box.device, "generator": generator}
    extent = (box[:, 2:] - box[:, :2]).repeat(1, 2)
    slack = 0.1 * torch.rand(count, 1, **where) + 0.03 * torch.randn(count, 4, **where)
    slack = slack * (torch.rand(count, 1, **where) > 1 / 3)
    outward = slack * extent
    return torch.cat([box[:, :2] - outward[:, :2], box[:, 2:] + outward[:, 2:]], 1).clamp(0, size)


def first_prompts(
    masks: Tensor,
    coarse: Tensor,
    boxes: float,
    generator: torch.Generator,
    exact: bool = False,
    measure: Depth = distances,
) -> Prompts:
    """A box, or a point and a padding point as a session passes them.

    Args:
        masks: (N, S, S) bool.
        coarse: (N, s, s) bool, the same at the resolution that clicks are placed at.
        boxes: share of boxes.
        generator: on the same device.
        exact: points in the very middle, boxes not loose.
        measure: `distances`, or a compiled one.
    """
    count, scale = len(masks), masks.shape[-1] / coarse.shape[-1]
    boxed = torch.rand(count, device=masks.device, generator=generator) < boxes
    point = pick(depth(coarse, measure), 1.0 if exact else 0.6, generator) * scale
    points = torch.stack([point, torch.zeros_like(point)], 1)
    box = boxes_around(masks)
    corners = (box if exact else loose_boxes(box, masks.shape[-1], generator)).view(count, 2, 2)
    kinds = [torch.where(boxed, BOX_TOP_LEFT, POSITIVE), torch.where(boxed, BOX_BOTTOM_RIGHT, PAD)]
    return Prompts(torch.where(boxed[:, None, None], corners, points), torch.stack(kinds, 1))


def corrections(
    target: Tensor,
    predicted: Tensor,
    scale: float,
    generator: torch.Generator,
    centred: float = 0.7,
    measure: Depth = distances,
) -> Prompts:
    """One more click per object, where the mask is most wrong.

    Args:
        target, predicted: (N, s, s) bool.
        scale: input pixels per pixel of these.
        generator: on the same device.
        centred: share of clicks in the very middle of the error.
        measure: `distances`, or a compiled one.

    Returns:
        One click per object; PAD where nothing is wrong.
    """
    missed, extra = depth(target & ~predicted, measure), depth(predicted & ~target, measure)
    deepest_missed, deepest_extra = missed.flatten(1).amax(1), extra.flatten(1).amax(1)
    positive = deepest_missed >= deepest_extra
    at = pick(torch.where(positive[:, None, None], missed, extra), centred, generator) * scale
    label = torch.where(positive, POSITIVE, NEGATIVE)
    right = torch.maximum(deepest_missed, deepest_extra) == 0
    return Prompts(at[:, None], torch.where(right, PAD, label)[:, None])


def coarse_masks(masks: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Masks at the decoder's resolution.

    Args:
        masks: (N, S, S) bool.
        size: s, which divides S.

    Returns:
        (N, s, s) float share of each cell, and bool: at least half of it, or any of it for objects so thin that no
        cell is half covered.
    """
    share = functional.avg_pool2d(masks[:, None].float(), masks.shape[-1] // size)[:, 0]
    half = share >= 0.5
    return share, torch.where(half.flatten(1).any(1)[:, None, None], half, share > 0)
