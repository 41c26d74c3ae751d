"""Likeness to examples: of made embeddings, so that what is alike is known."""

from __future__ import annotations

import pytest
import torch

from seglab.inference.likeness import Likeness

OBJECT, GROUND, COMMON = (torch.eye(6)[i] for i in range(3))


def window(objects: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """(6, h, w): a common part everywhere, and what objects and ground look like."""
    kinds = torch.where(objects, OBJECT[:, None, None], GROUND[:, None, None])
    return scale * (5 * COMMON[:, None, None] + kinds)


@pytest.fixture
def objects() -> torch.Tensor:
    found = torch.zeros(4, 4, dtype=torch.bool)
    found[1:3, 1:3] = True
    return found


def test_cells_like_the_objects_are_told_from_the_ground(objects: torch.Tensor) -> None:
    mask = objects.repeat_interleave(4, 0).repeat_interleave(4, 1)  # masks are finer than embeddings
    likeness = Likeness.of([(window(objects), mask, ~mask)])
    elsewhere = torch.zeros(4, 4, dtype=torch.bool)
    elsewhere[0, 3] = True
    found = likeness.of_cells(window(elsewhere))
    assert found.min() >= 0 and found.max() <= 1
    assert found[0, 3] > 0.9 and found[~elsewhere].max() < 0.1
    fine = likeness.of_pixels(window(elsewhere), (16, 16))
    assert fine.shape == (16, 16) and fine[0, 15] > 0.9 and fine[8, 4] < 0.1


def test_other_objects_of_the_kind_are_no_ground(objects: torch.Tensor) -> None:
    one = torch.zeros_like(objects)
    one[1, 1] = True
    blind = Likeness.of([(window(objects), one, ~one)])
    told = Likeness.of([(window(objects), one, ~objects)])
    seen = window(objects)
    contrast = [float(like.of_cells(seen)[1, 1] - like.of_cells(seen)[0, 0]) for like in (blind, told)]
    assert contrast[1] >= contrast[0] > 0.5


def test_an_empty_mask_is_like_nothing(objects: torch.Tensor) -> None:
    nothing = torch.zeros_like(objects)
    likeness = Likeness.of([(window(objects), nothing, ~nothing)])
    assert torch.isfinite(likeness.of_cells(window(objects))).all()
