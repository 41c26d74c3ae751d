"""Chips as pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seglab.training.job import TrainingChip
from seglab.training.losses import IGNORE
from seglab.training.supervised.chip_pairs import ChipPairs

TARGET = np.array([[0, 1], [IGNORE, 2]])
CHIP = TrainingChip(
    "here", np.full((4, 4, 3), 9, np.uint8), None, np.zeros((0, 2, 2), bool), (), TARGET.astype(np.int64), "ground"
)


def test_what_nobody_has_labelled_is_unknown():
    pairs = ChipPairs(("lake", "wood"), [CHIP], [np.full((4, 4, 3), 5, np.uint8)], [replace(CHIP, key="there")])
    assert (len(pairs), pairs.classes) == (3, {0: "background", 1: "lake", 2: "wood"})
    assert pairs.targets == {"lake": 1, "wood": 2}
    assert [list(part) for part in pairs.parts] == [[0, 1], [2]]
    assert pairs.read(0).mask.tolist() == [[0, 0, 1, 1]] * 2 + [[255, 255, 2, 2]] * 2
    assert (pairs.read(1).mask == 255).all() and (pairs.read(1).rgb == 5).all()
    assert pairs.read(2).id == "there"


def test_a_teachers_guess_counts_where_nobody_has_labelled():
    guess, unsure = np.full((4, 4), 1, np.uint8), np.full((4, 4), 255, np.uint8)
    pairs = ChipPairs(("lake", "wood"), [CHIP], [np.zeros((4, 4, 3), np.uint8)] * 2, [CHIP], [guess, guess, unsure])
    assert pairs.read(0).mask.tolist() == [[0, 0, 1, 1]] * 2 + [[1, 1, 2, 2]] * 2
    assert (pairs.read(1).mask == 1).all()
    assert (pairs.read(2).mask == 255).all()
    assert pairs.read(3).mask[2:, :2].tolist() == [[255, 255]] * 2  # nobody guesses at what judges


def test_without_held_out_ground_the_training_chips_stand_in():
    pairs = ChipPairs(("lake",), [CHIP], [np.zeros((4, 4, 3), np.uint8)], [])
    assert [list(part) for part in pairs.parts] == [[0, 1], [0]]
