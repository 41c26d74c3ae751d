"""Objects larger than the window they were clicked in: looked at again from farther away, with no square cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seglab.app.prompting.proposals import Proposal, propose
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.masks import largest_piece
from seglab.core.metrics import iou
from seglab.core.prompts import Prompts
from seglab.core.windows import Window, lattice_window
from seglab.models.warm import WarmImage

STEPS = 4
"""How often an object is looked at from twice as far, at most."""
CUT = 0.04
"""A mask is cut when it covers this share of one of its window's sides where the scene goes on."""
AGREE = 0.5
"""IoU, inside the finer window, from which the coarser mask is of the same object."""
WORSE = 0.2
"""How much lower the predicted IoU of the coarser mask may be."""
MARGIN = 1 / 8
"""Share of a window's side in which a cut mask is not trusted."""


def follow(current: CurrentModel, prompts: Prompts, mask: Proposal, warm: WarmImage) -> Proposal | None:
    """The whole of an object whose mask is cut by its window.

    Coarser windows are asked the same question until the mask is no longer cut. Where the finer mask saw the object
    with room around it, it is kept: it has the finer border.

    Args:
        current: the model in use.
        prompts: what was clicked.
        mask: the model's mask.
        warm: keeps what the decoder knows of the window between clicks.

    Returns:
        A proposal in a coarser window; None where the mask is not cut or looks like another object from afar.
    """
    whole, size = mask, current.encoder.model.spec.image_size
    for _ in range(STEPS):
        sides = cut_sides(whole)
        if not any(sides) or whole.window.width >= max(whole.scene_shape):
            break
        left, top, right, bottom = whole.polygon.bounds
        middle = (left + right) / 2, (top + bottom) / 2
        window = lattice_window(*middle, size, 2 * whole.window.scale, whole.scene_shape)
        if not window.polygon.covers(whole.window.polygon):
            window = lattice_window(*whole.window.center, size, 2 * whole.window.scale, whole.scene_shape)
        farther = _same_object(propose(current, prompts, window, None, warm), whole, prompts)
        if farther is None:
            break
        whole = replace(farther, edited=_joined(whole, farther, sides))
    return None if whole is mask else whole


def cut_sides(mask: Proposal) -> tuple[bool, bool, bool, bool]:
    """Whether a mask's largest piece is cut at its window's left, top, right and bottom side; specks do not count."""
    array, window, (rows, cols) = largest_piece(mask.array), mask.window, mask.scene_shape
    inner = (window.col > 0, window.row > 0, window.col + window.width < cols, window.row + window.height < rows)
    edges = (array[:, 0], array[0], array[:, -1], array[-1])
    return tuple(on and float(edge.mean()) > CUT for on, edge in zip(inner, edges, strict=True))  # type: ignore[return-value]


def _same_object(candidates: tuple[Proposal, ...], mask: Proposal, prompts: Prompts) -> Proposal | None:
    """Of the masks seen from farther away that obey every click and look as good, the one that agrees best with a mask
    where both look, if it does agree.
    """
    able = [c for c in candidates if _obeys(c, prompts) and c.iou >= mask.iou - WORSE]
    agreement = [iou(_part(candidate, mask.window), mask.array) for candidate in able]
    best = int(np.argmax(agreement)) if able else 0
    return able[best] if able and agreement[best] >= AGREE else None


def _obeys(mask: Proposal, prompts: Prompts) -> bool:
    window = mask.window
    at = [(int(p.row) - window.row, int(p.col) - window.col, p.positive) for p in prompts.points]
    return all(bool(mask.array[row, col]) == positive for row, col, positive in at)


def _part(mask: Proposal, window: Window) -> np.ndarray:
    """What a mask says inside a smaller window, (window.height, window.width) bool."""
    found = np.zeros(window.shape, dtype=bool)
    row, col = mask.window.row - window.row, mask.window.col - window.col
    mine = slice(max(0, row), row + mask.window.height), slice(max(0, col), col + mask.window.width)
    theirs = slice(max(0, -row), window.height - row), slice(max(0, -col), window.width - col)
    found[mine] = mask.array[theirs]
    return found


def _joined(fine: Proposal, coarse: Proposal, sides: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """The coarse mask, with the fine one where that was not near a cut; (height, width) of the coarse window."""
    array, margin = coarse.array.copy(), int(MARGIN * fine.window.width)
    trusted = Window(
        fine.window.col + margin * sides[0],
        fine.window.row + margin * sides[1],
        fine.window.width - margin * (sides[0] + sides[2]),
        fine.window.height - margin * (sides[1] + sides[3]),
    ).clip(fine.scene_shape)
    row, col = trusted.row - coarse.window.row, trusted.col - coarse.window.col
    target = slice(max(0, row), row + trusted.height), slice(max(0, col), col + trusted.width)
    seen = _part(fine, replace(trusted, scale=1))
    array[target] = seen[max(0, -row) :, max(0, -col) :][: array[target].shape[0], : array[target].shape[1]]
    return array
