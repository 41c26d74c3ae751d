"""The click protocol: where clicks fall, what a model is asked, and how effort is counted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seglab.evaluation.cases import Case
from seglab.evaluation.clicks import (
    ModelAnswers,
    box_protocol,
    click_protocol,
    clicks_for,
    clicks_to,
    follow_clicks,
    measure,
)
from seglab.models.spec import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE

SIZE = 32
SQUARE, BAR = np.zeros((2, SIZE, SIZE), bool)
SQUARE[4:13, 4:13] = True
BAR[20:24, 2:30] = True


class Painter:
    """Answers each + click with a disc of radius 3 around it, and takes away one around each - click."""

    def __init__(self) -> None:
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []

    def to_clicks(self, coords, labels):
        self.asked.append((coords.copy(), labels.copy()))
        rows, cols = np.mgrid[:SIZE, :SIZE] + 0.5
        masks = np.zeros((len(coords), SIZE, SIZE), bool)
        for mask, points, kinds in zip(masks, coords, labels, strict=True):
            for (col, row), kind in zip(points, kinds, strict=True):
                if kind != PAD:
                    mask[(cols - col) ** 2 + (rows - row) ** 2 <= 9] = kind == POSITIVE
        return masks

    def to_boxes(self, boxes):
        masks = np.zeros((len(boxes), SIZE, SIZE), bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
            mask[top:bottom, left:right] = True
        return masks


class FakeSam:
    """Three candidates at half the image's size: a blob that misses the click, the left half, the right half."""

    spec = SimpleNamespace(patch=8)
    predicted = torch.tensor([0.9, 0.6, 0.3])

    def __init__(self) -> None:
        self.asked: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = []

    def decode(self, embedding, coords, labels, masks=None):
        self.asked.append((coords, labels, masks))
        grid = torch.full((3, 16, 16), -20.0)
        grid[0, 12:, 6:10], grid[1, :, :8], grid[2, :, 8:] = 20.0, 20.0, 20.0
        return grid.expand(len(coords), -1, -1, -1), self.predicted.expand(len(coords), -1)


def test_first_click_is_in_the_middle_then_in_the_middle_of_the_largest_error():
    painter = Painter()
    steps = list(follow_clicks(painter, SQUARE[None], 3))
    coords, labels = painter.asked[-1]
    assert coords[0, 0].tolist() == [8.5, 8.5] and labels[0].tolist() == [POSITIVE] * 3
    after_one = painter.to_clicks(coords[:, :1], labels[:, :1])
    expected, _ = clicks_for(SQUARE[None], after_one)
    assert coords[0, 1].tolist() == expected[0, 0].tolist()
    assert steps[0][0] < steps[1][0] < steps[2][0]


def test_too_much_is_answered_by_a_negative_click_and_a_perfect_mask_by_none():
    too_much = BAR.copy()
    too_much[:10, :10] = True
    coords, labels = clicks_for(np.stack([BAR, BAR]), np.stack([too_much, BAR]))
    assert labels.ravel().tolist() == [NEGATIVE, PAD]
    assert coords[0, 0].max() < 10


def test_objects_do_not_see_each_others_clicks():
    alone = [list(follow_clicks(Painter(), mask[None], 4)) for mask in (SQUARE, BAR)]
    together = list(follow_clicks(Painter(), np.stack([SQUARE, BAR]), 4))
    assert together == [[a[0], b[0]] for a, b in zip(*alone, strict=True)]


def test_a_model_shows_the_candidate_that_obeys_and_sees_its_own_mask():
    model = FakeSam()
    left = np.zeros((1, SIZE, SIZE), bool)
    left[:, :, :16] = True
    by_count = click_protocol(model, torch.zeros(1, 4, 4, 4), left, (1, 3))
    # The first candidate promises most but leaves out the click; the second is the object.
    assert by_count == {1: [1.0], 3: [1.0]}
    _, labels, previous = model.asked[0]
    assert labels.tolist() == [[POSITIVE, PAD]] and previous is None
    _, labels, previous = model.asked[2]
    assert labels.tolist() == [[POSITIVE, PAD, PAD, PAD]]  # nothing was wrong, so no more clicks
    assert previous.shape == (1, 1, 16, 16) and previous.abs().max() == 12
    assert ((previous[0, 0] > 0).numpy() == (left[0, ::2, ::2])).all()


def test_the_box_is_exact_and_the_best_predicted_candidate_counts():
    model = FakeSam()
    assert box_protocol(model, torch.zeros(1, 4, 4, 4), np.stack([SQUARE, BAR]))[0] == 0.0
    coords, labels, _ = model.asked[0]
    assert coords.tolist() == [[[4, 4], [13, 13]], [[2, 20], [30, 24]]]
    assert labels.tolist() == [[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 2


def test_measure_gives_each_object_its_ious_box_and_candidates():
    model = FakeSam()
    case = Case("here", "image", np.zeros((SIZE, SIZE, 3), np.uint8), np.stack([SQUARE, BAR]))
    found = list(measure(lambda rgb: ModelAnswers(model, torch.zeros(1, 4, 4, 4), len(rgb)), [case], 2))
    assert [(r.dataset, r.group, len(r.ious)) for r in found] == [("here", "image", 2)] * 2
    assert found[0].ious[0] == pytest.approx(81 / 512)
    assert [p for p, _ in found[1].candidates] == pytest.approx([0.9, 0.6, 0.3])
    assert found[1].candidates[1][1] == pytest.approx(56 / (512 + 56))
    plain = list(measure(lambda rgb: Painter(), [case], 2))
    assert [r.box for r in plain] == [1.0, 1.0] and plain[0].candidates == ()


def test_a_case_without_objects_is_passed_over():
    empty = Case("here", "image", np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((0, SIZE, SIZE), bool))
    assert list(measure(lambda rgb: Painter(), [empty])) == []


def test_clicks_are_counted_up_to_the_first_that_is_good_enough():
    assert clicks_to([0.5, 0.86, 0.7, 0.9], 0.85) == 2
    assert clicks_to([0.85], 0.85) == 1
    assert clicks_to([0.1, 0.2, 0.3], 0.85) == 3
    assert clicks_to(np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.1]]), 0.8).tolist() == [1, 2, 2]
