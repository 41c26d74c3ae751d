"""What is to be found in a view: objects to prompt for, classes to ask for, and which tokens belong together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seglab.pretrain.bank import Bank
from seglab.pretrain.ground import MAX_PARTS
from seglab.pretrain.scenes import CLASSES, UNKNOWN
from seglab.pretrain.windows import View, Windows

BACKGROUND = CLASSES.index("background")
MIN_AREA = 20
"""Smallest object that is asked for, pixels of the view."""
MAX_SHARE = 0.9
"""Largest share of a view that an object may cover."""
WITH_CHILDREN = 0.25
"""Share of prompts that mean an object with everything that lies in it, parts cut off by other things included."""


@dataclass(frozen=True)
class Objects:
    """Objects to prompt for: K of each view, those of view i at i * K to i * K + K - 1."""

    masks: Tensor
    """(B * K, S, S) bool."""
    classes: Tensor
    """(B * K,) uint8."""
    weight: Tensor
    """(B * K,) float: 0 where a view has nothing to ask for."""


@dataclass(frozen=True)
class Exemplars:
    """Class prompts, E of each view: what a prompt is averaged over, and where its class should be found."""

    source_image: Tensor
    """(B * E,) view whose embedding is averaged."""
    source_mask: Tensor
    """(B * E, S, S) bool, the pixels to average over."""
    target: Tensor
    """(B * E, S, S) bool, all pixels of the class in view number i // E."""
    known: Tensor
    """(B, S, S) bool, where a view's land cover is known."""
    weight: Tensor
    """(B * E,) float: 0 where there is nothing to learn."""


def choose_objects(
    bank: Bank, windows: Windows, view: View, count: int, generator: torch.Generator, classes: float = 0.0
) -> Objects:
    """Draw objects by their size in the view; the part that the window was laid around comes first.

    Args:
        bank: whose tables tell objects and classes of parts.
        windows: what the view was seen through.
        view: B views of S x S pixels.
        count: K, objects per view; a view with fewer shows them again.
        generator: on the same device.
        classes: share of prompts that mean all of a class ("all this water").
    """
    batch, size = view.parts.shape[:2]
    part, valid = _draw(view, windows, count, generator)
    kind = torch.rand(batch, count, device=part.device, generator=generator)
    owner_of = bank.object_of[windows.image].long()
    parent_of = bank.parent_of[windows.image].long()
    owner = owner_of.gather(1, part)
    owners = owner_of.gather(1, view.parts.flatten(1)).unflatten(1, (size, size))[:, None]
    parents = parent_of.gather(1, view.parts.flatten(1)).unflatten(1, (size, size))[:, None]
    label = bank.class_of[windows.image].gather(1, part)

    def spread(values: Tensor) -> Tensor:
        return values[..., None, None]

    alone = view.parts[:, None] == spread(part)
    whole = (owners == spread(owner)) | (parents == spread(owner))
    cover = view.semantic[:, None] == spread(label)
    masks = torch.where(spread(kind < WITH_CHILDREN), whole, alone)
    masks = torch.where(spread((kind > 1 - classes) & (label != UNKNOWN)), cover, masks)
    too_large = masks.flatten(2).float().mean(2) > MAX_SHARE
    masks = torch.where(spread(too_large), alone, masks)
    return Objects(masks.flatten(0, 1), label.flatten(), valid.float().flatten())


def choose_exemplars(view: View, objects: Objects, count: int, generator: torch.Generator) -> Exemplars:
    """Draw class prompts for every view, from itself or from the other view of its image.

    Args:
        view: B views, 2k and 2k + 1 of one image.
        objects: what was drawn in them.
        count: E, class prompts per view.
        generator: on the same device.
    """
    batch = len(view.parts)
    each = len(objects.masks) // batch
    where = {"device": view.parts.device, "generator": generator}
    masks = objects.masks.unflatten(0, (batch, each))
    labels, usable = objects.classes.view(batch, each), objects.weight.view(batch, each) > 0
    index = torch.arange(batch, device=masks.device).repeat_interleave(count)
    source = torch.where(torch.rand(batch * count, **where) < 0.5, index, index ^ 1)
    usable = usable & (labels != UNKNOWN) & (labels != BACKGROUND)
    chance = torch.rand(batch * count, each, **where) * usable[source]
    drawn = chance.argmax(1, keepdim=True)
    label = labels[source].gather(1, drawn)
    same = (labels[source] == label) & usable[source] & (torch.rand(batch * count, each, **where) < 0.6)
    same = same.scatter(1, drawn, True)
    source_mask = (masks[source] & same[..., None, None]).any(1)
    known = view.semantic != UNKNOWN
    target = view.semantic[index] == label[..., None]
    useful = (target.flatten(1).float().mean(1) < 0.97) & (known.flatten(1).float().mean(1) > 0.3)[index]
    weight = useful & (chance.amax(1) > 0)
    return Exemplars(source, source_mask, target, known, weight.float())


def token_cells(parts: Tensor, patch: int) -> Tensor:
    """Which part fills at least 60 % of each token.

    Args:
        parts: (B, S, S) int64.
        patch: side of a token, pixels.

    Returns:
        (B, S/patch, S/patch) int64: the part; 0 none; MAX_PARTS where no part fills the token.
    """
    side = parts.shape[1] // patch
    blocks = parts.unflatten(1, (side, patch)).unflatten(3, (side, patch)).transpose(2, 3).flatten(3)
    middle = blocks.sort(dim=-1).values[..., patch * patch // 2]
    share = (blocks == middle[..., None]).float().mean(-1)
    return torch.where(share >= 0.6, middle, MAX_PARTS)


def _draw(view: View, windows: Windows, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(B, K) parts, and whether they are there to be asked for."""
    flat = view.parts.flatten(1)
    area = torch.zeros(len(flat), MAX_PARTS, device=flat.device)
    area.scatter_add_(1, flat, torch.ones_like(flat, dtype=area.dtype))
    valid = (area >= MIN_AREA) & (area <= MAX_SHARE * flat.shape[1])
    valid[:, 0].zero_()
    # The largest of size^(1/2) / exponential variates: a draw without replacement.
    variate = torch.empty_like(area).exponential_(generator=generator)
    score = torch.where(valid, area.sqrt() / variate.clamp(min=1e-9), torch.zeros_like(area))
    first = windows.part[:, None]
    score.scatter_(1, first, torch.where(valid.gather(1, first), torch.inf, 0.0))
    order = score.topk(count, dim=1).indices
    known = valid.sum(1, keepdim=True)
    place = torch.arange(count, device=flat.device)[None] % known.clamp(min=1, max=count)
    return order.gather(1, place), (known > 0).expand(-1, count)
