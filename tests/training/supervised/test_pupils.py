"""A student behind supervised training's face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seglab.encoding.teaching import CachedTeacher
from seglab.models.student.network import build_student
from seglab.models.student.spec import student_spec
from seglab.store.cache import ArrayCache
from seglab.training.losses import IGNORE
from seglab.training.supervised.pair_batches import PairBatch
from seglab.training.supervised.pupils import StudentSegmenter, cross_entropy
from seglab.training.transfer import TransferConfig, transfer_loss

SPEC, SIDE = student_spec("smallest"), 64


class Constant:
    """Teaches the mean colour of each cell, in as many channels as wanted."""

    name, patch = "constant", 16

    def __init__(self, width: int) -> None:
        self.width = width
        self.shown: list[np.ndarray] = []

    def identity(self) -> str:
        return f"constant-{self.width}"

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        self.shown.append(rgb.numpy())
        grey = torch.nn.functional.avg_pool2d(rgb.float().mean(-1)[:, None] / 255, 16)
        return tuple(grey.expand(-1, self.width, -1, -1) for _ in range(4))


def batch(labelled: bool = True) -> PairBatch:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (2, SIDE, SIDE, 3), np.uint8)
    target = rng.integers(0, 3, (2, SIDE, SIDE)) if labelled else np.full((2, SIDE, SIDE), IGNORE)
    return PairBatch(rgb, target, None, 255 - rgb)


def segmenter(width: int, **transfer: float) -> tuple[StudentSegmenter, Constant]:
    teacher = Constant(width)
    cached = CachedTeacher(teacher, ArrayCache(2**20), torch.device("cpu"))
    return StudentSegmenter(build_student(SPEC, 2), cached, TransferConfig(**transfer)), teacher


def loss_of(made: StudentSegmenter, pairs: PairBatch) -> Tensor:
    made.module.eval()
    features = made.features(pairs)
    logits = torch.nn.functional.interpolate(made.logits(features), (SIDE, SIDE), mode="bilinear")
    return made.loss(features, logits, pairs, np.random.default_rng(0))


def test_the_loss_is_the_sum_of_the_three_published_parts():
    made, teacher = segmenter(SPEC.width, weight=2.0)
    pairs = batch()
    found = made.features(pairs) if made.module.eval() else None
    target = torch.from_numpy(pairs.target)
    maps = [torch.nn.functional.interpolate(x, (SIDE, SIDE), mode="bilinear") for x in (found.logits, found.auxiliary)]
    goal = teacher.features(torch.from_numpy(pairs.plain))
    goal = [level.half().float() for level in goal]
    expected = cross_entropy(maps[0], target) + 0.4 * cross_entropy(maps[1], target)
    expected = expected + 2.0 * transfer_loss(found.aligned, goal, TransferConfig())
    torch.testing.assert_close(loss_of(made, pairs), expected)


def test_the_teacher_sees_the_image_before_its_colours_changed():
    made, teacher = segmenter(SPEC.width)
    loss_of(made, batch())
    assert np.array_equal(teacher.shown[0], batch().plain)


def test_unlabelled_images_teach_through_the_teacher_alone():
    made, _ = segmenter(SPEC.width)
    loss_of(made, batch(labelled=False)).backward()
    grads = {name: p.grad for name, p in made.module.student.named_parameters()}
    assert all(grads[name] is None or not grads[name].any() for name in grads if name.startswith(("head", "auxiliary")))
    assert any(grads[name] is not None and grads[name].any() for name in grads if name.startswith("encoder"))
    alone, teacher = segmenter(SPEC.width, weight=0.0)
    assert float(loss_of(alone, batch(labelled=False)).detach()) == 0
    assert teacher.shown == []


def test_a_teacher_of_another_width_is_met_by_a_way_that_serves_in_training_only():
    made, _ = segmenter(SPEC.width + 8)
    loss_of(made, batch()).backward()
    assert all(conv.weight.grad.any() for conv in made.module.widen)
    assert any(name.startswith("widen.") for name in made.state())
    assert not any("widen" in name for name in made.module.student.state_dict())
    assert made.describe()["parameters_trained"] == sum(p.numel() for p in made.module.student.parameters())


def test_cross_entropy_is_over_labelled_pixels_against_a_background_of_0():
    logits = torch.tensor([[[[2.0, -1.0, 5.0]], [[0.5, 3.0, 5.0]]]])
    target = torch.tensor([[[1, 0, IGNORE]]])
    first = -torch.log_softmax(torch.tensor([0.0, 2.0, 0.5]), 0)[1]
    second = -torch.log_softmax(torch.tensor([0.0, -1.0, 3.0]), 0)[0]
    torch.testing.assert_close(cross_entropy(logits, target), (first + second) / 2)


@pytest.mark.parametrize("width", [SPEC.width, SPEC.width + 8])
def test_two_pupils_of_one_seed_start_alike(width):
    first, second = (segmenter(width)[0].state() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
