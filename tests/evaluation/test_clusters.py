"""Clusters against classes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.evaluation.clusters import count_matrix, match_clusters


def test_counts_leave_out_what_is_not_known() -> None:
    clusters, classes = np.array([[0, 0, 1], [2, 1, 1]]), np.array([[1, 1, 0], [0, 255, 0]])
    assert count_matrix(clusters, classes, (3, 2)).tolist() == [[0, 2], [2, 0], [1, 0]]


def test_the_best_matching_counts() -> None:
    score = match_clusters(np.array([[0, 2], [2, 0], [1, 0]]))
    assert score.accuracy == pytest.approx(4 / 5)
    assert score.mean_iou == pytest.approx((2 / 3 + 1) / 2)
    assert score.class_of == (1, 0, -1)


def test_a_class_that_is_not_there_does_not_count() -> None:
    score = match_clusters(np.array([[3, 1, 0], [0, 2, 0]]))
    assert score.mean_iou == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert match_clusters(np.zeros((2, 2))).accuracy == 0
