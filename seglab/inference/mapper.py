"""One block of a map at a time: windows to scores, scores to classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import torch
from shapely.geometry.base import BaseGeometry

from seglab.core.masks import rasterize
from seglab.core.views import View
from seglab.core.windows import Window
from seglab.errors import DamagedSceneError
from seglab.inference.blend import Blender
from seglab.inference.lattice import Block, Place
from seglab.inference.networks import MapEncoder
from seglab.inference.plan import MapPlan
from seglab.models.device import compute
from seglab.store.parts import PartStore

UNMAPPED = 255
"""Class map value where the scene has no data; 0 is background, 1..C are the classes."""

CLASSES, CONFIDENCE = "classes", "confidence"
"""The arrays of a finished block."""

_MIRRORED = MappingProxyType({View(turn=4): (-1,), View(turn=6): (-2,), View(turn=2): (-2, -1)})
"""Views of a window, and the axes along which their scores are turned back."""

_VALID_ROWS = 512
"""Rows of a block whose data is looked for at once: 3 bands of a block of 3,584 cells take 22 MB."""


def class_logits(encoder: MapEncoder, window: Window, prompts: torch.Tensor, *, keep: bool = True) -> np.ndarray:
    """Scores of the classes in a window, at the decoder's resolution, against a background whose score is 0.

    Args:
        encoder: the model to ask.
        window: where.
        prompts: (C, prompt_dim) one class prompt each.
        keep: see WindowEncoder.embedding.

    Returns:
        (C, m, m) float32.
    """
    return decoded_classes(encoder, encoder.embedding(window, keep=keep), prompts)


def mirrored_logits(encoder: MapEncoder, window: Window, prompts: torch.Tensor) -> list[np.ndarray]:
    """The same by looking at a window mirrored left to right, top to bottom and both, turned back; nothing is kept.

    Args:
        encoder, window, prompts: see `class_logits`.
    """
    return [
        np.flip(decoded_classes(encoder, encoder.embedding_of_view(window, view), prompts), axes)
        for view, axes in _MIRRORED.items()
    ]


def probabilities(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Scores as probabilities of background and classes.

    Args:
        logits: (C, m, m) float32, as `class_logits` gives them.
        shape: (h, w) of the model's input.

    Returns:
        (C + 1, h, w) float32, background first; they add up to 1.
    """
    scores = torch.from_numpy(logits)[None]
    scores = torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1)
    scores = torch.nn.functional.interpolate(scores, shape, mode="bilinear", align_corners=False)
    return scores[0].softmax(0).numpy()


def class_probabilities(encoder: MapEncoder, window: Window, prompts: torch.Tensor) -> np.ndarray:
    """Probabilities of background and classes in a window that somebody looks at.

    Returns:
        (C + 1, *window.model_shape) float32, background first.
    """
    return probabilities(class_logits(encoder, window, prompts), window.model_shape)


class BlockMapper:
    """Maps blocks of a plan into a store. Not safe between threads.

    A pixel is the weighted mean of all windows that reach it, wherever blocks end, so that there are no seams. The
    scores of windows that reach into several blocks are kept in the store, so that nobody encodes them twice.

    Args:
        plan: what is mapped.
        store: where finished blocks go.
    """

    def __init__(self, plan: MapPlan, store: PartStore) -> None:
        self.plan = plan
        self.store = store
        self.lattice = plan.lattice
        self._values = np.array([0, *plan.values], dtype=np.uint8)

    def map(self, block: Block, on_window: Callable[[float], None] = lambda done: None) -> dict[str, np.ndarray]:
        """Map a block and put it into the store.

        Args:
            block: of the plan's lattice.
            on_window: told after each window which share of the block is done; what it raises ends the work.

        Returns:
            `CLASSES` and `CONFIDENCE` (percent), (rows, cols) uint8 each, UNMAPPED where there is nothing to map.

        Raises:
            DamagedSceneError: pixels of the block cannot be read.
            SceneNotFoundError, SceneChangedError: the scene has gone, or is another.
            WriteError: the store cannot be written.
        """
        try:
            arrays = self._mapped(block, on_window)
        except DamagedSceneError as error:
            raise DamagedSceneError(f"{block.name} cannot be mapped: {error}") from error
        self.store.put(block_part(block), **arrays)
        return arrays

    def _mapped(self, block: Block, on_window: Callable[[float], None]) -> dict[str, np.ndarray]:
        wanted = self._wanted(block)
        arrays = {name: np.full(wanted.shape, UNMAPPED, dtype=np.uint8) for name in (CLASSES, CONFIDENCE)}
        places = [place for place in self.lattice.places(block) if wanted[_inside(place.window, block)].any()]
        blender = Blender(len(self._values), block.cells.shape)

        def write(row: int, scores: np.ndarray) -> None:
            best, percent = self._values[scores.argmax(0)], np.round(100 * scores.max(0)).astype(np.uint8)
            for name, cells in ((CLASSES, best), (CONFIDENCE, percent)):
                _fill(arrays[name], cells, row * self.lattice.scale, self.lattice.scale, wanted)

        for done, place in enumerate(places, start=1):
            scores = probabilities(self._logits(place), place.window.model_shape)
            cells = place.cells
            here = Window(cells.col - block.cells.col, cells.row - block.cells.row, cells.width, cells.height)
            for row, strip in blender.add(here, scores):
                write(row, strip)
            on_window(done / len(places))
        for row, strip in blender.finish():
            write(row, strip)
        return arrays

    def _wanted(self, block: Block) -> np.ndarray:
        """(rows, cols) bool of a block's scene pixels: what has data, inside the area."""
        scene, area, pixels = self.plan.encoder.scene, self.plan.settings.area, block.pixels
        if area is not None and not area.intersects(pixels.polygon):
            return np.zeros(pixels.shape, dtype=bool)
        near = pixels if area is None else _around(area, pixels)
        strips = [
            Window(near.col, row, near.width, min(_VALID_ROWS, near.row + near.height - row))
            for row in range(near.row, near.row + near.height, _VALID_ROWS)
        ]
        valid = np.zeros(pixels.shape, dtype=bool)
        inside = near.row - pixels.row, near.col - pixels.col
        here = np.s_[inside[0] : inside[0] + near.height, inside[1] : inside[1] + near.width]
        valid[here] = np.concatenate([scene.read(strip)[1] for strip in strips])
        return valid if area is None else valid & rasterize(area, pixels)

    def _logits(self, place: Place) -> np.ndarray:
        """(C, m, m) float32, from the store where another block has needed them."""
        part = f"window_{place.row}_{place.col}"
        kept = self.store.get(part) if place.shared else None
        if kept is not None:
            return kept["logits"]
        logits = self._computed(place.window)
        if place.shared:
            self.store.put(part, logits=logits)
        return logits

    def _computed(self, window: Window) -> np.ndarray:
        encoder, prompts = self.plan.encoder, self.plan.prompts
        found = [class_logits(encoder, window, prompts, keep=False)]
        if self.plan.settings.flips:
            found += mirrored_logits(encoder, window, prompts)
        return np.mean(found, axis=0, dtype=np.float32)


def _around(area: BaseGeometry, pixels: Window) -> Window:
    """The part of a window that an area may reach: nothing else is read."""
    left, top, right, bottom = area.intersection(pixels.polygon).bounds
    col = min(math.floor(left), pixels.col + pixels.width - 1)  # an area may touch the window from outside
    row = min(math.floor(top), pixels.row + pixels.height - 1)
    return Window(col, row, max(1, math.ceil(right) - col), max(1, math.ceil(bottom) - row))


def block_part(block: Block) -> str:
    """The name of a block's part in a store."""
    return f"block_{block.row}_{block.col}"


def decoded_classes(encoder: MapEncoder, embedding: torch.Tensor, prompts: torch.Tensor) -> np.ndarray:
    """What `class_logits` gives, of an embedding that is at hand, (1, prompt_dim, h, w)."""
    model = encoder.model
    with torch.inference_mode(), compute(model.device):
        return model.decode_classes(embedding, prompts.to(model.device)).float()[0].cpu().numpy()


def _inside(window: Window, block: Block) -> tuple[slice, slice]:
    """Where a window lies in a block's array of scene pixels."""
    pixels = block.pixels
    top, left = window.row - pixels.row, window.col - pixels.col
    return slice(max(0, top), max(0, top + window.height)), slice(max(0, left), max(0, left + window.width))


def _fill(into: np.ndarray, cells: np.ndarray, top: int, scale: int, wanted: np.ndarray) -> None:
    """Write a strip of cells as scene pixels, where they are wanted."""
    pixels = cells.repeat(scale, 0).repeat(scale, 1)
    rows = slice(top, min(top + pixels.shape[0], into.shape[0]))
    pixels = pixels[: rows.stop - top, : into.shape[1]]
    np.copyto(into[rows], pixels, where=wanted[rows])
