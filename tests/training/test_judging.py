"""Held-out objects are clicked as they were, then where the mask is wrong; the map is counted where it is labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from seglab.core.metrics import iou
from seglab.errors import JobCancelled, TrainingError
from seglab.jobs import SilentReporter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.models.spec import BOX_TOP_LEFT, NEGATIVE, PAD, POSITIVE
from seglab.store.cache import ArrayCache
from seglab.training import judging
from seglab.training.job import TrainingChip
from seglab.training.judging import judge
from seglab.training.validation import MAX_CLICKS, TARGET_IOU
from tests.training.made_jobs import PIXEL, SPEC, make_chip, partly_labelled


class Script:
    """A decoder that answers with given masks, call after call, and keeps what it was asked."""

    def __init__(self, model: AdaptedSam, answers: list[np.ndarray]) -> None:
        self.asked: list[tuple[np.ndarray, np.ndarray, bool]] = []
        self._answers = answers
        model.decode = self  # type: ignore[method-assign]

    def __call__(
        self, embedding: Tensor, coords: Tensor, labels: Tensor, masks: Tensor | None = None, image_index: object = None
    ) -> tuple[Tensor, Tensor]:
        self.asked.append((coords.numpy(), labels.numpy(), masks is not None))
        mask = self._answers[min(len(self.asked), len(self._answers)) - 1]
        logits = torch.from_numpy(np.where(mask, 3.0, -3.0).astype(np.float32))
        return logits[None, None].expand(len(coords), 3, -1, -1), torch.zeros(len(coords), 3)


@pytest.fixture
def model() -> AdaptedSam:
    made = load_model("tiny", device="cpu")
    made.class_prompts = torch.nn.Parameter(torch.zeros(1, SPEC.prompt_dim), requires_grad=False)
    return made


def cache() -> ArrayCache:
    return ArrayCache(2**26)


def test_recorded_prompts_come_first_then_corrections_of_the_error(model: AdaptedSam) -> None:
    chip = make_chip(objects=1)
    mask, half = chip.masks[0], chip.masks[0].copy()
    half[:, np.flatnonzero(mask.any(0)).mean().astype(int) :] = False
    points = np.array([[50, 60], [70, 80]], np.float32)
    said = replace(chip, prompts=((points, np.array([1, 0]), None),))
    script = Script(model, [half, half, mask])
    found = judge(SilentReporter(), model, [said], cache())
    assert [len(labels[0]) for _, labels, _ in script.asked] == [2, 3, 4]  # with the padding point of a session
    coords, labels, _ = script.asked[2]
    np.testing.assert_array_equal(coords[0, :2], points)
    assert labels[0].tolist() == [POSITIVE, NEGATIVE, POSITIVE, PAD]
    col, row = (coords[0, 2] / PIXEL).astype(int)
    assert mask[row, col] > half[row, col]  # where it was missed
    assert [previous for _, _, previous in script.asked] == [False, True, True]
    assert found.first_iou.tolist() == [iou(half, mask)]
    assert found.clicks.tolist() == [3]


def test_a_box_counts_as_the_first_click(model: AdaptedSam) -> None:
    chip = make_chip(objects=1)
    box = np.array([10, 10, 90, 90], np.float32)
    said = replace(chip, prompts=((np.array([[50, 60]], np.float32), np.array([1]), box),))
    script = Script(model, [np.zeros_like(chip.masks[0]), chip.masks[0]])
    found = judge(SilentReporter(), model, [said], cache())
    assert script.asked[0][1][0].tolist()[0] == BOX_TOP_LEFT
    assert script.asked[1][1][0].tolist()[0] == POSITIVE
    assert (found.first_iou.tolist(), found.clicks.tolist()) == ([0.0], [2])


def test_without_recorded_prompts_the_middle_is_clicked_first(model: AdaptedSam) -> None:
    chip = make_chip(objects=2, prompts=False)
    script = Script(model, [chip.masks[0]])
    judge(SilentReporter(), model, [chip], cache())
    for i in range(2):
        col, row = (script.asked[0][0][i, 0] / PIXEL).astype(int)
        assert chip.masks[i][row, col]


def test_an_object_that_is_never_found_counts_ten_and_ends(model: AdaptedSam) -> None:
    chip = make_chip(objects=2)
    script = Script(model, [chip.masks[0]])  # right for the first object, never for the second
    found = judge(SilentReporter(), model, [chip], cache())
    assert found.clicks.tolist() == [1, MAX_CLICKS]
    assert [len(labels) for _, labels, _ in script.asked] == [2] + [1] * (MAX_CLICKS - 1)
    assert found.first_iou[0] >= TARGET_IOU > found.first_iou[1]


def test_the_map_is_counted_where_it_is_labelled(model: AdaptedSam) -> None:
    chips = [make_chip(1, group="a"), partly_labelled(make_chip(2, group="b"))]
    sure = torch.full((1, 1, SPEC.mask_size, SPEC.mask_size), 5.0)
    model.decode_classes = lambda embedding, prompts=None: sure  # type: ignore[method-assign]
    found = judge(SilentReporter(), model, chips, cache())
    assert found.table_groups == ("a", "b")
    assert found.object_groups == ("a", "a", "b", "b")
    for table, chip in zip(found.tables, chips, strict=True):
        for value in (0, 1):
            assert table[value].tolist() == [0, int((chip.class_target == value).sum()), 0]


def test_a_real_model_is_judged_the_same_twice(model: AdaptedSam) -> None:
    chips, prefixes = [make_chip(1), make_chip(2, objects=3)], cache()
    first, second = (judge(SilentReporter(), model, chips, prefixes) for _ in range(2))
    assert len(first.first_iou) == 5
    np.testing.assert_array_equal(first.first_iou, second.first_iou)
    np.testing.assert_array_equal(first.tables, second.tables)
    assert first.first_iou.mean() > 0.5  # dark discs on light ground are easy


def test_judging_can_be_cancelled(model: AdaptedSam) -> None:
    class Stop(SilentReporter):
        def check(self) -> None:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        judge(Stop(), model, [make_chip()], cache())


def crowd(count: int) -> TrainingChip:
    """A window with many squares."""
    masks = np.zeros((count, SPEC.mask_size, SPEC.mask_size), dtype=bool)
    for i in range(count):
        masks[i, 10 * (i // 10) : 10 * (i // 10) + 6, 10 * (i % 10) : 10 * (i % 10) + 6] = True
    return replace(make_chip(), masks=masks, prompts=(None,) * count)


def test_many_objects_are_decoded_in_parts(model: AdaptedSam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "AT_ONCE", 4)
    chip = crowd(4 + 3)
    in_parts = judge(SilentReporter(), model, [chip], cache())
    script = Script(model, [np.ones_like(chip.masks[0])])
    judge(SilentReporter(), model, [chip], cache())
    assert [len(labels) for _, labels, _ in script.asked] == [4, 3] * MAX_CLICKS
    del model.decode
    monkeypatch.setattr(judging, "AT_ONCE", 100)
    at_once = judge(SilentReporter(), model, [chip], cache())
    np.testing.assert_allclose(in_parts.first_iou, at_once.first_iou, atol=0.02)


class Small(Script):
    """A device with room for so many objects at a time."""

    room = 5

    def __call__(self, embedding: object, coords: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
        answer = super().__call__(embedding, coords, *rest)
        if len(coords) > self.room:
            raise torch.cuda.OutOfMemoryError("no room")
        return answer


def test_too_little_memory_halves_the_part(model: AdaptedSam) -> None:
    chip = crowd(7)
    script = Small(model, [chip.masks[0]])
    found = judge(SilentReporter(), model, [chip], cache())
    parts = [len(labels) for _, labels, _ in script.asked]
    assert parts[:4] == [7, 4, 3, 4]  # and the part stays small
    assert len(found.first_iou) == 7 and found.clicks.tolist() == [1] + [MAX_CLICKS] * 6
    script.room = 0
    with pytest.raises(TrainingError, match="one object at a time"):
        judge(SilentReporter(), model, [chip], cache())
