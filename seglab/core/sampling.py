"""Which windows of a scene stand for the whole of it, when its values are looked over."""

from __future__ import annotations

import math

import numpy as np

from seglab.core.windows import Window

SAMPLE_SIZE = 1024
"""Pixels along the longer side of the decimated scene that is looked over."""

FULL_READ_PIXELS = 4096 * 4096
"""A scene of more pixels and without overviews is sampled, not read through."""

_BLOCKS_PER_SIDE, _BLOCK = 8, 128


def whole_window(shape: tuple[int, int], max_size: int) -> Window:
    """The whole scene as one window, decimated to at most `max_size` pixels along its longer side.

    Args:
        shape: (rows, cols) of the scene.
        max_size: pixels.
    """
    factor = max(1, math.ceil(max(shape) / max_size))
    rows, cols = (math.ceil(extent / factor) * factor for extent in shape)
    return Window(0, 0, cols, rows, factor)


def sample_plans(shape: tuple[int, int], has_overviews: bool) -> list[list[Window]]:
    """Windows to read, the first plan first; the next one where that finds no valid pixel.

    Args:
        shape: (rows, cols) of the scene.
        has_overviews: whether the decimated scene costs little.
    """
    whole = [whole_window(shape, SAMPLE_SIZE)]
    is_large = shape[0] * shape[1] > FULL_READ_PIXELS
    return [_lattice(shape), whole] if is_large and not has_overviews else [whole]


def _lattice(shape: tuple[int, int]) -> list[Window]:
    """Small blocks spread over the scene, its corners among them."""

    def starts(extent: int) -> list[int]:
        block = min(_BLOCK, extent)
        return sorted({round(v) for v in np.linspace(0, extent - block, _BLOCKS_PER_SIDE)})

    return [Window(col, row, _BLOCK, _BLOCK) for row in starts(shape[0]) for col in starts(shape[1])]
