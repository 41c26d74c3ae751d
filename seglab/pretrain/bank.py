"""All ground that training draws from, on the device: pixels at several scales, labels, tables of parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from seglab.pretrain.ground import MAX_PARTS, Ground

LEVELS = 4
"""Scales at which an image's colours are kept: 1, 1/2, 1/4, 1/8."""


@dataclass(frozen=True)
class Layout:
    """Where each image lies in the bank's flat arrays."""

    size: Tensor
    """(I, LEVELS, 2) rows and columns of each level."""
    colour_start: Tensor
    """(I, LEVELS) first pixel of each level in `Bank.colour`."""
    label_start: Tensor
    """(I,) first pixel in `Bank.parts` and `Bank.semantic`."""


class Bank:
    """Labelled images of any size in flat arrays, so that one gather reads a batch of windows of different images.

    The last `slots` images are places for scenes that come and go; see `put`.

    Attributes:
        sources: dataset names; `source` holds their numbers.
        source: (I,) int64 dataset of each image; -1 for an empty slot.
        layout: where images lie.
        colour: (T, 3) uint8 pixels of all levels.
        parts: (T',) int16 part numbers; semantic: (T',) uint8 classes.
        object_of, parent_of, class_of, area: (I, MAX_PARTS); box: (I, MAX_PARTS, 4). See ground.PartTable.
        filled: how many images can be drawn from; the rest are empty slots.
    """

    def __init__(
        self, kept: Sequence[Ground], slots: int = 0, slot_size: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        """
        Args:
            kept: images that stay.
            slots: places for further images.
            slot_size: rows and columns of such an image.
            device: where everything lies.
        """
        shapes = [ground.parts.shape for ground in kept] + [(slot_size, slot_size)] * slots
        self.device, self.kept, self.slots = torch.device(device), len(kept), slots
        self.sources: list[str] = []
        layout = _layout(shapes)
        # Known here too, so that storing an image asks nothing of the device.
        self._starts = list(zip(layout.colour_start[:, 0].tolist(), layout.label_start.tolist(), strict=True))
        self.layout = Layout(*(value.to(self.device) for value in vars(layout).values()))
        pixels = sum(rows * cols for shape in shapes for rows, cols in _levels(shape))
        labels = sum(rows * cols for rows, cols in shapes)
        count, where = len(shapes), {"device": self.device}
        self.colour = torch.zeros(pixels, 3, dtype=torch.uint8, **where)
        self.parts = torch.zeros(labels, dtype=torch.int16, **where)
        self.semantic = torch.zeros(labels, dtype=torch.uint8, **where)
        self.source = torch.full((count,), -1, dtype=torch.int64, **where)
        self.object_of = torch.zeros(count, MAX_PARTS, dtype=torch.int16, **where)
        self.parent_of = torch.zeros(count, MAX_PARTS, dtype=torch.int16, **where)
        self.class_of = torch.full((count, MAX_PARTS), 255, dtype=torch.uint8, **where)
        self.area = torch.zeros(count, MAX_PARTS, dtype=torch.int32, **where)
        self.box = torch.zeros(count, MAX_PARTS, 4, **where)
        self.filled, self._next = len(kept), 0
        for index, ground in enumerate(kept):
            self._store(index, ground)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def full(self) -> bool:
        """Every slot holds a scene."""
        return self.filled == len(self)

    def put(self, ground: Ground) -> None:
        """Lay an image of the slots' size into the next slot, over the oldest one when all are taken."""
        self._store(self.kept + self._next, ground)
        self._next = (self._next + 1) % self.slots
        self.filled = min(self.filled + 1, len(self))

    def _store(self, index: int, ground: Ground) -> None:
        levels = [ground.rgb]
        for rows, cols in _levels(ground.parts.shape)[1:]:
            levels.append(cv2.resize(levels[-1], (cols, rows), interpolation=cv2.INTER_AREA))
        flat = np.concatenate([level.reshape(-1, 3) for level in levels])
        start, label = self._starts[index]
        self._copy(self.colour[start : start + len(flat)], flat)
        for array, values in ((self.parts, ground.parts), (self.semantic, ground.semantic)):
            self._copy(array[label : label + values.size], values.reshape(-1))
        if ground.source not in self.sources:
            self.sources.append(ground.source)
        self.source[index] = self.sources.index(ground.source)
        for name, values in vars(ground.table).items():
            rows = getattr(self, name)[index]
            rows.fill_(255 if name == "class_of" else 0)
            self._copy(rows[: len(values)], values)

    def _copy(self, place: Tensor, values: np.ndarray) -> None:
        """Copy to the device; from pinned memory, so that this process need not wait for the device."""
        source, on_gpu = torch.from_numpy(values), self.device.type == "cuda"
        place.copy_(source.pin_memory() if on_gpu else source, non_blocking=on_gpu)


def _levels(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of each level of an image."""
    return [(-(-shape[0] // 2**level), -(-shape[1] // 2**level)) for level in range(LEVELS)]


def _layout(shapes: Sequence[tuple[int, int]]) -> Layout:
    sizes = torch.tensor([_levels(shape) for shape in shapes], dtype=torch.int64).reshape(-1, LEVELS, 2)
    pixels = sizes.prod(-1)
    ends = pixels.flatten().cumsum(0)
    label_ends = pixels[:, 0].cumsum(0)
    starts = (ends - pixels.flatten()).reshape(-1, LEVELS)
    return Layout(sizes, starts, label_ends - pixels[:, 0])
