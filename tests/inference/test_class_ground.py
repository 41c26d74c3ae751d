"""How far masks agree with the ground of classes, and what they leave of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.inference.class_ground import ClassGround

SIDE = 32
EVERYWHERE = np.ones((SIDE, SIDE), dtype=bool)


def logits_of(*rectangles: tuple[int, slice, slice]) -> np.ndarray:
    """(2, SIDE, SIDE) scores: a class is likely in its rectangles and nowhere else."""
    logits = np.full((2, SIDE, SIDE), -4, dtype=np.float32)
    for kind, rows, cols in rectangles:
        logits[kind, rows, cols] = 4
    return logits


def mask(rows: slice, cols: slice) -> torch.Tensor:
    found = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    found[rows, cols] = True
    return found


ROOF, FIELD = (0, slice(2, 10), slice(2, 10)), (1, slice(16, 28), slice(16, 28))


def test_a_mask_agrees_with_the_region_of_which_it_holds_most() -> None:
    ground = ClassGround(logits_of(ROOF, FIELD), [0, 1], EVERYWHERE)
    masks = torch.stack(
        [
            mask(slice(2, 10), slice(2, 10)),
            mask(slice(2, 10), slice(2, 6)),
            mask(slice(16, 28), slice(10, 28)),
            mask(slice(12, 14), slice(2, 8)),
        ]
    )
    agreement, share, kind = ground.agreement(masks)
    assert agreement.tolist() == pytest.approx([1, 0.5, 2 / 3, 0])
    assert share.tolist() == pytest.approx([1, 1, 2 / 3, 0])
    assert kind[:3].tolist() == [0, 0, 1]


def test_ground_that_masks_leave_is_an_object_as_it_is() -> None:
    ground = ClassGround(logits_of(ROOF, FIELD), [0, 1], EVERYWHERE)
    found, kinds = ground.uncovered(mask(slice(2, 10), slice(2, 6))[None], 4)
    assert kinds.tolist() == [1] and torch.equal(found.logits[0] > 0, mask(*FIELD[1:]))
    assert 0.9 < float(found.iou[0]) < 1 and float(found.stability[0]) == 1
    found, kinds = ground.uncovered(mask(slice(2, 4), slice(2, 10))[None], 4)
    assert kinds.tolist() == [0, 1]
    assert torch.equal(found.logits[0] > 0, mask(slice(4, 10), slice(2, 10)))  # without what the mask holds


def test_only_ground_that_is_wanted_and_large_enough_counts() -> None:
    logits = logits_of(ROOF, FIELD)
    none = torch.zeros(0, SIDE, SIDE, dtype=torch.bool)
    assert ClassGround(logits, [0], EVERYWHERE).uncovered(none, 4)[1].tolist() == [0]
    assert ClassGround(logits, [0, 1], EVERYWHERE).uncovered(none, 100)[1].tolist() == [1]
    left = EVERYWHERE.copy()
    left[:, 12:] = False
    assert ClassGround(logits, [0, 1], left).uncovered(none, 4)[1].tolist() == [0]
    nothing = ClassGround(logits_of(), [0, 1], EVERYWHERE)
    agreement, share, _ = nothing.agreement(mask(*ROOF[1:])[None])
    assert agreement.tolist() == share.tolist() == [0] and len(nothing.uncovered(none, 1)[0]) == 0
