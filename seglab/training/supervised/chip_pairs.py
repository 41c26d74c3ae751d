"""Chips of a scene as pairs: what a round learns from, for networks that take whole images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from seglab.datasets.folder import IGNORE as UNKNOWN
from seglab.datasets.pair import Pair
from seglab.datasets.pairs import Parts
from seglab.training.job import TrainingChip
from seglab.training.losses import IGNORE


@dataclass(frozen=True)
class ChipPairs:
    """Chips to train on, windows without labels, and chips to judge by, in this order."""

    names: tuple[str, ...]
    """Of the classes."""
    chips: Sequence[TrainingChip]
    """With partial labels: what nobody has labelled is unknown."""
    unlabelled: Sequence[np.ndarray]
    """(S, S, 3) uint8 each."""
    held_out: Sequence[TrainingChip]
    guesses: Sequence[np.ndarray] = ()
    """What a teacher takes unknown pixels for, (S, S) uint8 masks of those to train on, in their order; () for none."""
    name: str = "chips"
    bands: tuple[int, int, int] = (1, 2, 3)
    extra_bands: tuple[int, ...] = ()

    @property
    def classes(self) -> dict[int, str]:
        """Mask value to class name."""
        return dict(enumerate(("background", *self.names)))

    @property
    def targets(self) -> dict[str, int]:
        """Mask value by name of what is learnt."""
        return {name: value for value, name in enumerate(self.names, start=1)}

    @property
    def parts(self) -> Parts:
        """Indexes to train on and to judge by. Where nothing is held out, the training chips stand in for it."""
        known, count = len(self.chips), len(self.chips) + len(self.unlabelled)
        return range(count), range(count, len(self)) if self.held_out else range(known)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.chips) + len(self.unlabelled) + len(self.held_out)

    def read(self, index: int) -> Pair:
        """One of them, at the size of its pixels."""
        first, second = len(self.chips), len(self.chips) + len(self.unlabelled)
        if index >= second:
            chip = self.held_out[index - second]
            return Pair(chip.key, chip.rgb, _mask(chip))
        if index >= first:
            rgb = self.unlabelled[index - first]
            return Pair(f"unlabelled {index}", rgb, self._guessed(index, np.full(rgb.shape[:2], UNKNOWN, np.uint8)))
        chip = self.chips[index]
        return Pair(chip.key, chip.rgb, self._guessed(index, _mask(chip)))

    def _guessed(self, index: int, mask: np.ndarray) -> np.ndarray:
        return np.where(mask == UNKNOWN, self.guesses[index], mask) if self.guesses else mask


def _mask(chip: TrainingChip) -> np.ndarray:
    """(S, S) uint8 class indexes, UNKNOWN where nobody has labelled."""
    target = np.where(chip.class_target == IGNORE, UNKNOWN, chip.class_target).astype(np.uint8)
    return cv2.resize(target, chip.rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
