"""Disagreement, expected IoU, rarity and confident errors, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.active.class_balance import class_shares, rarest, rarity
from seglab.active.disagreement import change, jensen_shannon, mutual_information
from seglab.active.expected_iou import expected_error, peaks
from seglab.active.weak_reference import confident_errors

NAMES = ["background", "field", "water"]


def sure(classes: list[list[int]], confidence: float = 1.0) -> np.ndarray:
    """(3, h, w): `confidence` for a class, the rest shared by the others."""
    wanted = np.array(classes)
    p = np.full((3, *wanted.shape), (1 - confidence) / 2)
    np.put_along_axis(p, wanted[None], confidence, 0)
    return p


def test_divergence_is_0_for_equals_and_1_for_opposites() -> None:
    one, other = sure([[0, 1]]), sure([[0, 2]])
    assert jensen_shannon(one, one) == pytest.approx(0)
    assert jensen_shannon(one, other) == pytest.approx(0.5)  # one cell of two, one bit


def test_the_commonest_change_is_named() -> None:
    found = change(sure([[0, 1, 1, 2]]), sure([[0, 2, 2, 1]]), NAMES)
    assert (found.share, found.before, found.after) == (0.75, "field", "water")
    same = change(sure([[0, 1]]), sure([[0, 1]]), NAMES)
    assert same.share == 0 and same.before == same.after


def test_samples_that_agree_tell_nothing_however_unsure() -> None:
    unsure = np.full((2, 3, 1, 1), 1 / 3)
    assert mutual_information(unsure) == pytest.approx(0, abs=1e-9)
    split = np.stack([sure([[1]]), sure([[2]])])
    assert mutual_information(split) == pytest.approx(1)


def test_peaks_are_where_a_class_is_surest() -> None:
    p = sure([[1, 1], [0, 0]], 0.6)
    p[:, 0, 1] = [0.1, 0.8, 0.1]
    (found,) = peaks(p)
    assert (found.index, found.x, found.y, found.probability) == (0, 0.75, 0.25, pytest.approx(0.8))
    assert peaks(sure([[0, 0]])) == []
    assert expected_error(np.array([0.5, np.nan, 0.7])) == pytest.approx(0.4)
    assert expected_error(np.array([np.nan])) == 0


def test_rare_classes_are_worth_their_information() -> None:
    shares = class_shares(sure([[0, 0, 0, 2]]))
    assert shares.tolist() == [0.75, 0, 0.25]
    overall = np.array([0.5, 0.375, 0.125])
    assert rarity(shares, overall) == pytest.approx(0.75 * 1 + 0.25 * 3)
    assert NAMES[rarest(shares, overall, NAMES)] in ("background", "water")
    assert rarest(np.array([0.5, 0.0, 0.5]), overall, NAMES) == 2


def test_only_what_is_sure_and_known_can_contradict() -> None:
    p = sure([[1, 1, 1, 0]], 0.9)
    p[:, 0, 2] = [0.3, 0.4, 0.3]
    found = confident_errors(p, np.array([[2, 1, 2, -1]]), NAMES)
    assert (found.share, found.says, found.reference) == (pytest.approx(1 / 3), "field", "water")
    nothing = confident_errors(p, np.full((1, 4), -1), NAMES)
    assert nothing.share == 0 and nothing.says == nothing.reference
