"""A teacher's features through the cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seglab.encoding.teaching import CachedTeacher
from seglab.store.cache import ArrayCache

CPU = torch.device("cpu")


class Counting:
    """Teaches an image's values at half its size, and counts the images it was asked for."""

    name, width, patch = "counting", 3, 2

    def __init__(self, gain: float = 1.0) -> None:
        self.asked = 0
        self._gain = gain

    def identity(self) -> str:
        return f"counting-{self._gain}"

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        self.asked += len(rgb)
        image = self._gain * rgb.permute(0, 3, 1, 2).float()[..., ::2, ::2]
        return tuple(image + level for level in range(4))


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_each_image_is_asked_for_once(rgb, tmp_path, on_disk):
    cache, teacher = ArrayCache(2**20, tmp_path / "teachers" if on_disk else None), Counting()
    cached = CachedTeacher(teacher, cache, CPU)
    first = cached.features(rgb[:2], (8, 8))
    again = cached.features(rgb[[1, 2, 0]], (8, 8))
    assert teacher.asked == 3
    for level, (a, b) in enumerate(zip(first, again, strict=True)):
        assert torch.equal(a[[1, 0]], b[[0, 2]])
        expected = torch.from_numpy(rgb[:2]).permute(0, 3, 1, 2).float()[..., ::2, ::2] + level
        torch.testing.assert_close(a, expected, rtol=1e-3, atol=0)


def test_a_finer_grid_is_averaged(rgb):
    maps = CachedTeacher(Counting(), ArrayCache(2**20), CPU).features(rgb, (4, 4))
    seen = torch.from_numpy(rgb).permute(0, 3, 1, 2).float()[..., ::2, ::2]
    expected = seen.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    torch.testing.assert_close(maps[0], expected, rtol=1e-3, atol=0)


def test_another_pixel_grid_or_teacher_is_a_miss(rgb):
    cache, teacher = ArrayCache(2**20), Counting()
    cached = CachedTeacher(teacher, cache, CPU)
    cached.features(rgb[:1], (8, 8))
    changed = rgb[:1].copy()
    changed[0, 3, 3, 1] ^= 1
    cached.features(changed, (8, 8))
    cached.features(rgb[:1], (4, 4))
    assert teacher.asked == 3
    other = CachedTeacher(Counting(2.0), cache, CPU).features(rgb[:1], (8, 8))
    assert other[0].max() > 255
