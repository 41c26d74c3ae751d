"""Metrics against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seglab.core import metrics


@pytest.fixture
def table() -> np.ndarray:
    target = np.array([[0, 0, 1, 1], [1, 2, 2, 255]])
    pred = np.array([[0, 1, 1, 1], [0, 2, 7, 0]])
    return metrics.confusion(pred, target, n=4)


def test_confusion(table: np.ndarray) -> None:
    expected = np.zeros((4, 5), dtype=int)
    expected[0, 0] = expected[0, 1] = expected[1, 0] = expected[2, 2] = expected[2, 4] = 1
    expected[1, 1] = 2
    assert np.array_equal(table, expected)


def test_per_class(table: np.ndarray) -> None:
    nan = math.nan
    np.testing.assert_allclose(metrics.iou_per_class(table), [1 / 3, 2 / 4, 1 / 2, nan])
    np.testing.assert_allclose(metrics.precision_per_class(table), [1 / 2, 2 / 3, 1, nan])
    np.testing.assert_allclose(metrics.recall_per_class(table), [1 / 2, 2 / 3, 1 / 2, nan])
    np.testing.assert_allclose(metrics.f1_per_class(table), [1 / 2, 2 / 3, 2 / 3, nan])
    assert metrics.mean_iou(table) == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)


def test_overall(table: np.ndarray) -> None:
    assert metrics.accuracy(table) == pytest.approx(4 / 7)
    chance = (2 * 2 + 3 * 3 + 2 * 1) / 49
    assert metrics.kappa(table) == pytest.approx((4 / 7 - chance) / (1 - chance))
    empty = np.zeros((2, 3), dtype=int)
    assert math.isnan(metrics.accuracy(empty)) and math.isnan(metrics.kappa(empty))
    assert math.isnan(metrics.mean_iou(empty))


def test_ignored_predictions_do_not_count() -> None:
    assert metrics.confusion(np.array([255, 0]), np.array([0, 0]), 1).sum() == 1
    assert metrics.confusion(np.array([-1, 0]), np.array([0, 0]), 1).tolist() == [[1, 1]]


def test_iou() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert metrics.iou(a, b) == 1.0
    a[:2], b[1:3] = True, True
    assert metrics.iou(a, b) == pytest.approx(4 / 12)
    valid = np.zeros((4, 4), bool)
    valid[1] = True
    assert metrics.iou(a, b, valid) == 1.0


def test_boundary_f() -> None:
    a = np.zeros((30, 30), bool)
    a[5:20, 5:20] = True
    assert metrics.boundary_f(a, a) == 1.0
    assert metrics.boundary_f(np.roll(a, 1, axis=0), a, tolerance=1) == 1.0
    assert 0 < metrics.boundary_f(np.roll(a, 4, axis=0), a, tolerance=1) < 0.8
    far = np.zeros((30, 30), bool)
    far[28, 28] = True
    assert metrics.boundary_f(far, a) == 0.0
    assert metrics.boundary_f(np.zeros_like(a), a) == 0.0
    assert metrics.boundary_f(np.zeros_like(a), np.zeros_like(a)) == 1.0


def test_frequency_weighted_iou(table: np.ndarray) -> None:
    # two pixels of class 0, three of class 1, two of class 2, none of class 3
    expected = (2 * 1 / 3 + 3 * 2 / 4 + 2 * 1 / 2) / 7
    assert metrics.frequency_weighted_iou(table) == pytest.approx(expected)
    assert math.isnan(metrics.frequency_weighted_iou(np.zeros((2, 3), int)))
