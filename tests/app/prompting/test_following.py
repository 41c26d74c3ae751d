"""Objects larger than a window are followed over its edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from shapely.geometry import box

from seglab.app.prompting import following
from seglab.app.prompting.drawing import drawn
from seglab.app.prompting.following import cut_sides, follow
from seglab.app.prompting.proposals import Proposal
from seglab.core.prompts import Point, Prompts
from seglab.core.windows import Window

SHAPE, SIZE = (900, 1000), 224
LAKE = box(100, 420, 870, 470)
"""Wider than any window at scales 1 and 2."""


class Model:
    """Answers every prompt with what a window shows of the lake, as the second of three candidates."""

    def __init__(self, geometry=LAKE) -> None:
        self.geometry, self.asked = geometry, []

    def propose(self, current, prompts, window: Window, previous, warm) -> tuple[Proposal, ...]:
        self.asked.append(window)
        right = replace(drawn(self.geometry, window, SHAPE, 112, 0, 0.7), edited=None)
        wrong = replace(right, logits=-right.logits)
        return wrong, right, wrong


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    found = Model()
    monkeypatch.setattr(following, "propose", found.propose)
    return found


class Current:
    """As much of a model in use as following looks at."""

    class encoder:  # noqa: N801 - an attribute's name
        class model:  # noqa: N801
            class spec:  # noqa: N801
                image_size = SIZE


def mask_in(window: Window, geometry=LAKE) -> Proposal:
    return replace(drawn(geometry, window, SHAPE, 112, 0, 0.9), edited=None)


def test_a_cut_mask_says_at_which_sides() -> None:
    assert cut_sides(mask_in(Window(400, 336, SIZE, SIZE))) == (True, False, True, False)
    assert cut_sides(mask_in(Window(0, 336, SIZE, SIZE))) == (False, False, True, False)
    speck = LAKE.difference(box(400, 0, 620, 900)).union(box(480, 400, 540, 470))
    assert cut_sides(mask_in(Window(400, 336, SIZE, SIZE), speck)) == (False, False, False, False)
    # Where the scene ends nothing is cut.
    assert cut_sides(mask_in(Window(0, 336, SIZE, SIZE), box(0, 380, 200, 420))) == (False, False, False, False)


def test_an_object_over_the_edge_is_found_whole_and_keeps_its_fine_border(model: Model) -> None:
    first = mask_in(Window(400, 336, SIZE, SIZE))
    whole = follow(Current, Prompts((Point(500, 445),)), first, None)
    assert [w.scale for w in model.asked] == [2, 4]
    assert cut_sides(whole) == (False,) * 4 and whole.iou == 0.7
    found, wanted = whole.full(), np.zeros(SHAPE, bool)
    wanted[420:470, 100:870] = True
    # Half a cell of the coarse mask on either side, no more.
    assert (found != wanted).sum() < 0.03 * wanted.sum()
    inner = np.s_[400:500, 440:590]
    np.testing.assert_array_equal(found[inner], first.full()[inner])


def test_a_mask_inside_its_window_is_left_alone(model: Model) -> None:
    assert follow(Current, Prompts(), mask_in(Window(400, 336, SIZE, SIZE), box(450, 400, 500, 450)), None) is None
    assert model.asked == []


def test_what_looks_like_another_object_from_afar_is_not_taken(model: Model) -> None:
    model.geometry = box(0, 0, 1000, 400)
    assert follow(Current, Prompts(), mask_in(Window(400, 336, SIZE, SIZE)), None) is None
    assert len(model.asked) == 1


def test_a_session_follows_unless_told_not_to(open_lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_lakes()
    seen = []

    def found(current, prompts, mask, warm) -> Proposal:
        seen.append(mask)
        return replace(mask, iou=0.125)

    monkeypatch.setattr("seglab.app.session.follow", found)
    assert session.click(200, 200, crs="pixel").iou == 0.125 and session.mask.iou == 0.125
    assert len(session.candidates) == 3 and session.candidates[1] is not session.mask
    session.reject()
    session.follows = False
    assert session.click(200, 200, crs="pixel").iou != 0.125
    assert len(seen) == 1 and isinstance(seen[0].logits, torch.Tensor)
