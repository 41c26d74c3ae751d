"""What a step learns from: views of the bank's images, what is asked for in them, and class prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seglab.pretrain.bank import Bank
from seglab.pretrain.colours import recolour
from seglab.pretrain.config import Phase
from seglab.pretrain.targets import Exemplars, Objects, choose_exemplars, choose_objects
from seglab.pretrain.windows import View, Windows, draw_parts, look, loose_windows, plain_windows


@dataclass(frozen=True)
class Draw:
    """How a batch is drawn."""

    phase: Phase
    loose: bool
    """Windows are turned, shifted and scaled freely and colours change much; else both are much as in use."""
    classes: float
    """Share of prompts that mean all of a class."""
    exemplars: int
    """Class prompts per window."""


@dataclass(frozen=True)
class Batch:
    """Views and what is to be learned from them."""

    view: View
    objects: Objects
    exemplars: Exemplars


def draw_view(bank: Bank, phase: Phase, loose: bool, generator: torch.Generator) -> tuple[Windows, View]:
    """Windows and what is seen through them; see `Draw`."""
    image, part = draw_parts(bank, phase.images, phase.real_share, generator)
    if loose:
        windows = loose_windows(bank, image, part, phase.size, generator)
    else:
        windows = plain_windows(bank, image, part, phase.size)
    view = look(bank, windows, phase.size)
    return windows, View(recolour(view.rgb, generator, 1.0 if loose else 0.3), view.parts, view.semantic)


@torch.no_grad()
def draw_batch(bank: Bank, draw: Draw, generator: torch.Generator) -> Batch:
    """A batch, all on the bank's device, without asking the device for anything.

    Args:
        bank: where from.
        draw: how.
        generator: on the same device.
    """
    windows, view = draw_view(bank, draw.phase, draw.loose, generator)
    objects = choose_objects(bank, windows, view, draw.phase.objects, generator, draw.classes)
    return Batch(view, objects, choose_exemplars(view, objects, draw.exemplars, generator))
