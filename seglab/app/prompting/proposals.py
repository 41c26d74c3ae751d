"""The object being prompted for: its prompts, the window to look at, and the candidate masks the model sees there.

Objects that wait to be confirmed are another matter: see proposed.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from shapely.geometry.base import BaseGeometry

from seglab.app.rounds.rounds import CurrentModel
from seglab.core.masks import polygons_of
from seglab.core.prompts import Prompts
from seglab.core.windows import Window, lattice_window
from seglab.errors import NoMaskError
from seglab.models.candidates import rank_candidates
from seglab.models.device import compute
from seglab.models.prompt_arrays import encode_prompts
from seglab.models.warm import WarmImage

FILL = 0.8
"""Prompts may span this share of a window; beyond it a coarser window is taken."""


@dataclass(frozen=True)
class Proposal:
    """A candidate mask of the object that is being prompted for."""

    window: Window
    """Where, in scene pixels."""
    iou: float
    """The model's own estimate of the mask's IoU, 0 to 1."""
    round: int
    """The round of the model that drew it; 0 before any."""
    scene_shape: tuple[int, int]
    """(rows, cols) of the scene."""
    logits: torch.Tensor
    """(m, m) at the decoder's own resolution; fed back to it with the next click."""
    edited: np.ndarray | None = None
    """(window.height, window.width) bool where a person drew the mask; None where the model did."""

    @cached_property
    def cells(self) -> np.ndarray:
        """(s, s) bool at the model's input resolution: a cell is `window.scale` scene pixels wide."""
        # Of three candidates one is shown as a rule: the others are enlarged when they are looked at.
        fine = torch.nn.functional.interpolate(
            self.logits[None, None], self.window.model_shape, mode="bilinear", align_corners=False
        )
        return (fine[0, 0] > 0).numpy()

    @cached_property
    def array(self) -> np.ndarray:
        """(window.height, window.width) bool, False outside the scene."""
        if self.edited is not None:
            return self.edited
        scale = self.window.scale
        fine = self.cells.repeat(scale, 0).repeat(scale, 1)
        inside = self.window.overlap(self.scene_shape)[0]
        array = np.zeros(self.window.shape, dtype=bool)
        array[inside] = fine[inside]
        return array

    def full(self) -> np.ndarray:
        """The mask at the size of the scene, bool."""
        scene = np.zeros(self.scene_shape, dtype=bool)
        inside, place = self.window.overlap(self.scene_shape)
        scene[place] = self.array[inside]
        return scene

    @cached_property
    def polygon(self) -> BaseGeometry:
        """The mask's outline on pixel edges, scene pixels (MultiPolygon)."""
        return polygons_of(self.array, self.window.col, self.window.row)

    @property
    def area_px(self) -> int:
        """Scene pixels in the mask."""
        return int(self.array.sum())


def window_for(prompts: Prompts, current: Window | None, size: int, scale: int, shape: tuple[int, int]) -> Window:
    """The window to look at for prompts: the current one while it holds them all, else one that does.

    Args:
        prompts: not empty.
        current: the window of the object so far.
        size: side of the model's input, model pixels.
        scale: the finest scale to use, scene pixels per model pixel.
        shape: (rows, cols) of the scene.
    """
    cols = [p.col for p in prompts.points]
    rows = [p.row for p in prompts.points]
    if prompts.box is not None:
        cols += [prompts.box.left, prompts.box.right]
        rows += [prompts.box.top, prompts.box.bottom]
    if current is not None and all(_holds(current, c, r) for c, r in zip(cols, rows, strict=True)):
        return current
    span = max(max(cols) - min(cols), max(rows) - min(rows))
    middle = (max(cols) + min(cols)) / 2, (max(rows) + min(rows)) / 2
    while span > FILL * size * scale and size * scale < max(shape):
        scale *= 2
    while True:
        window = lattice_window(*middle, size, scale, shape)
        if all(_holds(window, c, r) for c, r in zip(cols, rows, strict=True)) or size * scale >= max(shape):
            return window
        scale *= 2


def _holds(window: Window, col: float, row: float) -> bool:
    """Contains, with the far edge counted in: a box may end where the window does."""
    return window.col <= col <= window.col + window.width and window.row <= row <= window.row + window.height


def propose(
    current: CurrentModel, prompts: Prompts, window: Window, previous: torch.Tensor | None, warm: WarmImage
) -> tuple[Proposal, ...]:
    """The model's candidate masks for prompts, best first: those that obey every click, by predicted IoU.

    Args:
        current: the model and its round.
        prompts: not empty, inside the window.
        window: where to look.
        previous: (m, m) logits of the mask that the last prompt corrects, or None.
        warm: keeps what the decoder knows of the window between clicks.
    """
    encoder, model = current.encoder, current.encoder.model
    arrays = encode_prompts(*prompts.in_model(window))
    coords = torch.from_numpy(arrays.coords).to(model.device)
    labels = torch.from_numpy(arrays.labels).to(model.device)
    with torch.inference_mode(), compute(model.device):
        masks = None if previous is None else previous[None, None].to(model.device)
        image = warm.prepared(model, encoder.embedding(window))
        logits, ious = model.decode(image, coords, labels, masks)
        logits, ious = logits.float(), ious.float()
        order = rank_candidates(logits, ious, coords, labels, model.spec.patch)[0].tolist()
        logits, ious = logits[0].cpu(), ious[0].clamp(0, 1).tolist()
    shape = encoder.scene.grid.shape
    return tuple(Proposal(window, ious[i], current.number, shape, logits[i]) for i in order)


@dataclass(frozen=True)
class _Step:
    """The draft after one prompt."""

    prompts: Prompts
    candidates: tuple[Proposal, ...] = ()
    chosen: int = 0


class Draft:
    """The object that is not accepted yet. Not thread-safe: the session calls it under its lock."""

    def __init__(self) -> None:
        self._steps = [_Step(Prompts())]
        self._warm = WarmImage()

    @property
    def prompts(self) -> Prompts:
        """What has been clicked so far."""
        return self._steps[-1].prompts

    @property
    def candidates(self) -> tuple[Proposal, ...]:
        """The candidate masks, best first."""
        return self._steps[-1].candidates

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been said or drawn."""
        return len(self._steps) == 1

    @property
    def asked(self) -> tuple[Prompts, ...]:
        """What the model was asked, one prompt more each time; () where a person has drawn."""
        drawn = any(candidate.edited is not None for step in self._steps for candidate in step.candidates)
        return () if drawn else tuple(step.prompts for step in self._steps[1:])

    @property
    def mask(self) -> Proposal | None:
        """The chosen candidate."""
        return self.candidates[self.chosen] if self.candidates else None

    @property
    def chosen(self) -> int:
        """Which of the candidates that is."""
        return self._steps[-1].chosen

    def prompt(self, current: CurrentModel, prompts: Prompts, scale: int) -> Proposal:
        """Ask the model for masks for the prompts so far and one more.

        Args:
            current: the model.
            prompts: all of them.
            scale: the finest scale for a new object, scene pixels per model pixel.
        """
        window, previous = self._question(current, prompts, scale)
        self._steps.append(_Step(prompts, propose(current, prompts, window, previous, self._warm)))
        return self.candidates[0]

    def peek(self, current: CurrentModel, prompts: Prompts, scale: int) -> Proposal | None:
        """What `prompt` would give, without keeping it; None where the window is not encoded yet."""
        window, previous = self._question(current, prompts, scale)
        if not current.encoder.is_encoded(window):
            return None
        # What the decoder knows of the object's own window is worth more than what it learns here.
        warm = self._warm if self.mask is None or self.mask.window == window else WarmImage()
        return propose(current, prompts, window, previous, warm)[0]

    def _question(self, current: CurrentModel, prompts: Prompts, scale: int) -> tuple[Window, torch.Tensor | None]:
        """The window to look at for prompts, and the logits of the mask that they correct."""
        mask = self.mask
        window = None if mask is None else mask.window
        encoder = current.encoder
        wanted = window_for(prompts, window, encoder.model.spec.image_size, scale, encoder.scene.grid.shape)
        return wanted, mask.logits if mask is not None and wanted == window else None

    @property
    def warm(self) -> WarmImage:
        """What the decoder knows of the window that was looked at last."""
        return self._warm

    def better(self, proposal: Proposal) -> Proposal:
        """Show a mask in place of the best one that the last prompt gave."""
        self._steps[-1] = replace(self._steps[-1], candidates=(proposal, *self.candidates[1:]))
        return proposal

    def put(self, prompts: Prompts, proposal: Proposal) -> None:
        """Show a mask that was drawn, not asked for."""
        self._steps.append(_Step(prompts, (proposal,)))

    def step_back(self) -> None:
        """Take the last prompt back: what was shown before it is there again."""
        if len(self._steps) > 1:
            self._steps.pop()

    def choose(self, index: int) -> Proposal:
        """Take another of the candidates.

        Raises:
            NoMaskError: there is no such candidate.
        """
        if not 0 <= index < len(self.candidates):
            raise NoMaskError(f"there is no candidate {index}; click an object first, then choose 0 to 2")
        self._steps[-1] = replace(self._steps[-1], chosen=index)
        return self.candidates[index]

    def clear(self) -> None:
        """Forget the object."""
        self._steps = [_Step(Prompts())]
