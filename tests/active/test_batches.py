"""Several windows at once: different ground, different looks, short ways."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.active.batches import (
    LABEL_SECONDS,
    PAN_SECONDS,
    best_first,
    by_return,
    conflicts,
    cosine_distance,
    doubt_vectors,
    k_centre,
    k_means_pp,
)
from seglab.core.windows import Window

WINDOWS = [Window(100 * i, 0, 100, 100) for i in range(4)]
FREE = np.eye(4, dtype=bool)
LOOKS = np.array([[1, 0, 0], [0.99, 0.01, 0], [0, 1, 0], [0, 0, 1]], dtype=float)


def test_windows_of_the_same_ground() -> None:
    found = conflicts([Window(0, 0, 100, 100), Window(80, 0, 100, 100), Window(95, 0, 100, 100), Window(95, 0, 20, 20)])
    assert found.tolist() == [
        [True, True, False, True],  # 20 %, 5 % and a quarter of the small one
        [True, True, True, True],
        [False, True, True, True],
        [True, True, True, True],
    ]


def test_the_best_first_and_no_ground_twice() -> None:
    clash = FREE.copy()
    clash[1, 2] = clash[2, 1] = True
    assert best_first(np.array([0.1, 0.9, 0.8, 0.5]), clash, 3) == [1, 3, 0]


def test_the_farthest_from_what_is_labelled() -> None:
    assert cosine_distance(LOOKS[:1], LOOKS).tolist()[0][0] == pytest.approx(0)
    chosen, far = k_centre(LOOKS, FREE, 2, labelled=LOOKS[:1])
    assert set(chosen) == {2, 3} and far == pytest.approx([1, 1])
    first, _ = k_centre(LOOKS, FREE, 4)
    assert first[0] in (0, 1) and first[-1] in (0, 1) and sorted(first) == [0, 1, 2, 3]


def test_doubt_is_counted_for_the_predicted_class() -> None:
    p = np.array([[[0.6, 1.0]], [[0.4, 0.0]]])
    (vector,) = doubt_vectors([p], np.array([[0.0, 2.0]]))
    assert vector == pytest.approx([0, 0.2, 0, 0])  # 0.4 of doubt on one of two cells, along the look's direction


def test_draws_begin_with_the_longest_and_stay_apart() -> None:
    vectors = np.array([[1.0, 0], [1.0, 0.01], [0, 3.0], [0, 2.9]])
    drawn = [k_means_pp(vectors, FREE, 2, np.random.default_rng(seed)) for seed in range(30)]
    assert all(one[0] == 2 for one in drawn)
    assert sum(one[1] in (0, 1) for one in drawn) > 25
    assert sorted(k_means_pp(np.zeros((4, 2)), FREE, 4, np.random.default_rng(0))) == [0, 1, 2, 3]


def test_a_long_way_must_be_worth_it() -> None:
    far = PAN_SECONDS * 3 / LABEL_SECONDS  # three windows on: so much more must a window be worth
    near_wins, ways = by_return(np.array([1.0, 0, 0, 1 + 0.9 * far]), WINDOWS, FREE, 2, WINDOWS[0].center)
    assert near_wins == [0, 3] and ways == pytest.approx([0, 3])
    assert by_return(np.array([1.0, 0, 0, 1 + 1.1 * far]), WINDOWS, FREE, 1, WINDOWS[0].center)[0] == [3]
    assert by_return(np.array([1.0, 0, 0, 1.01]), WINDOWS, FREE, 1, None)[0] == [3]
