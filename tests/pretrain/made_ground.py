"""Ground for tests: rectangles of known place and colour."""

from __future__ import annotations

import numpy as np
import torch

from seglab.pretrain.bank import Bank
from seglab.pretrain.ground import PROCEDURAL, Ground, label_ground
from seglab.pretrain.scenes import CLASSES
from seglab.pretrain.windows import View, Windows, look, plain_windows

GRASS, WATER, BUILDING, FIELD = (CLASSES.index(name) for name in ("grass", "water", "building", "field"))


def rectangles(
    shape: tuple[int, int],
    *places: tuple[int, int, int, int],
    classes: tuple[int, ...] = (),
    parents: dict[int, int] | None = None,
    source: str = PROCEDURAL,
    image_id: str = "0",
    seed: int = 0,
) -> Ground:
    """Objects 1, 2, ... as rectangles in grass, later ones on top; every pixel has a colour of its own.

    Args:
        shape: rows and columns.
        places: (left, top, right, bottom) of each.
        classes: of each; BUILDING where it is left out.
        parents: see `label_ground`.
        source, image_id: names.
        seed: of the colours.
    """
    objects, semantic = np.zeros(shape, np.int32), np.full(shape, GRASS, np.uint8)
    for number, (left, top, right, bottom) in enumerate(places, start=1):
        objects[top:bottom, left:right] = number
        semantic[top:bottom, left:right] = classes[number - 1] if number <= len(classes) else BUILDING
    rgb = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    return label_ground(source, image_id, rgb, semantic, objects, parents)


def whole_views(grounds: list[Ground], parts: list[int]) -> tuple[Bank, Windows, View]:
    """Square images of one size, each seen as it is through a window around one of its parts."""
    bank, size = Bank(grounds), len(grounds[0].parts)
    windows = plain_windows(bank, torch.arange(len(grounds)), torch.tensor(parts), size)
    return bank, windows, look(bank, windows, size)


def random_rectangles(
    rng: np.random.Generator, shape: tuple[int, int], count: int, source: str = PROCEDURAL, image_id: str = "0"
) -> Ground:
    """Rectangles of all sizes and places, some at the edges; the small ones lie on top of the large ones."""
    rows, cols = shape
    places = []
    for _ in range(count):
        height, width = (max(4, int(length * 8 ** -rng.random())) for length in shape)
        left, top = rng.integers(-width // 2, cols - width // 2), rng.integers(-height // 2, rows - height // 2)
        places.append((max(left, 0), max(top, 0), min(left + width, cols), min(top + height, rows)))
    places.sort(key=lambda place: -(place[2] - place[0]) * (place[3] - place[1]))
    return rectangles(shape, *places, source=source, image_id=image_id, seed=int(rng.integers(1000)))
