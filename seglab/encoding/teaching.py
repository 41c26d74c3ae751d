"""A teacher's features through the cache: a frozen network makes the same of the same pixels in every epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.encoding.identity import FORMAT, pixel_digest
from seglab.models.device import compute
from seglab.models.student.teachers import Teacher
from seglab.store.cache import ArrayCache, cache_key

TEACHER_FOLDER = "teachers"
"""Name of the folder in a project's cache."""


class CachedTeacher:
    """A teacher whose maps are kept, in fp16, on the student's grid.

    A finer grid of the teacher's is averaged to the student's; where both are the same, as published, nothing changes.

    Args:
        teacher: asked for what the cache lacks.
        cache: keeps the maps of an image under its pixels, so that a changed image is a miss.
        device: where the maps are wanted.
    """

    def __init__(self, teacher: Teacher, cache: ArrayCache, device: torch.device) -> None:
        self.teacher = teacher
        self._cache = cache
        self._device = device
        self._identity = teacher.identity()

    def features(self, rgb: np.ndarray, grid: tuple[int, int]) -> tuple[Tensor, ...]:
        """The maps of some images.

        Args:
            rgb: (B, H, W, 3) uint8.
            grid: rows and columns that are wanted.

        Returns:
            Per level, (B, width, *grid) float32.
        """
        keys = [self._key(image, grid) for image in rgb]
        found = [self._cache.get(key, own=True) for key in keys]
        missing = [i for i, maps in enumerate(found) if maps is None]
        if missing:
            for i, maps in zip(missing, self._computed(rgb[missing], grid), strict=True):
                self._cache.put(keys[i], maps)
                found[i] = maps
        levels = zip(*found, strict=True)
        return tuple(torch.from_numpy(np.stack(level)).to(self._device, torch.float32) for level in levels)

    def _computed(self, rgb: np.ndarray, grid: tuple[int, int]) -> list[tuple[np.ndarray, ...]]:
        """Per image, its levels: (width, *grid) fp16 each."""
        with torch.no_grad(), compute(self._device):
            maps = self.teacher.features(torch.from_numpy(np.ascontiguousarray(rgb)))
            levels = [F.adaptive_avg_pool2d(level.float(), grid).half().cpu().numpy() for level in maps]
        return list(zip(*levels, strict=True))

    def _key(self, image: np.ndarray, grid: tuple[int, int]) -> str:
        return cache_key(
            kind="teacher", format=FORMAT, teacher=self._identity, pixels=pixel_digest(image), grid=grid,
            device=self._device.type, torch=torch.__version__,
        )  # fmt: skip
