"""A view keeps pixels, labels and points together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.views import TURNS, View


def spot(size: int, col: int, row: int, reach: int = 2) -> np.ndarray:
    image = np.zeros((size, size), dtype=np.uint8)
    image[row - reach : row + reach + 1, col - reach : col + reach + 1] = 200
    return image


def middle(array: np.ndarray) -> tuple[float, float]:
    """(x, y) of the centre of weight, continuous."""
    rows, cols = np.indices(array.shape) + 0.5
    weight = array.astype(float)
    return float((cols * weight).sum() / weight.sum()), float((rows * weight).sum() / weight.sum())


def test_the_plain_view_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert View().is_plain and not View(turn=1).is_plain
    assert (View().image(rgb) == rgb).all()
    assert (View().labels(rgb[..., 0]) == rgb[..., 0]).all()
    assert View().points(np.array([[3.5, 9.25]]), 32).tolist() == [[3.5, 9.25]]


def test_the_turns_are_the_eight_symmetries() -> None:
    image = np.arange(9).reshape(3, 3)
    seen = [View(turn=turn).labels(image) for turn in range(TURNS)]
    assert len({array.tobytes() for array in seen}) == 8
    assert all(array[1, 1] == 4 and sorted(array.ravel()) == list(range(9)) for array in seen)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, TURNS - 1),
    st.floats(0.6, 1.6),
    st.integers(30, 66),
    st.integers(30, 66),
)
def test_points_stay_on_what_they_point_at(turn: int, zoom: float, col: int, row: int) -> None:
    view = View(turn, zoom)
    image = spot(96, col, row)
    point = view.points(np.array([[col + 0.5, row + 0.5]]), 96)[0]
    assert point == pytest.approx(middle(view.image(np.dstack([image] * 3))[..., 0]), abs=0.35)
    assert point == pytest.approx(middle(view.labels(image > 0)), abs=0.6)
    assert point == pytest.approx(middle(view.layers(image[None].astype(np.float32))[0]), abs=0.35)


def test_labels_of_another_resolution_cover_the_same_ground() -> None:
    view = View(turn=5, zoom=1.25)
    fine = np.zeros((64, 64), dtype=bool)
    fine[20:40, 10:30] = True
    coarse = view.labels(fine[::2, ::2])
    assert (np.array(middle(coarse)) * 2) == pytest.approx(middle(view.labels(fine)), abs=1)
    assert coarse.mean() == pytest.approx(fine.mean() * 1.25**2, rel=0.1)


def test_around_a_small_view_there_is_nothing() -> None:
    view = View(zoom=0.5, offset=(40.0, 40.0, 40.0))
    labels = view.labels(np.ones((16, 16), dtype=np.int64), fill=-1)
    assert labels.dtype == np.int64
    assert (labels[4:12, 4:12] == 1).all() and (labels == 1).sum() == 64
    assert (labels[labels != 1] == -1).all()
    image = view.image(np.full((16, 16, 3), 100, dtype=np.uint8))
    assert (image[labels == -1] == 0).all()
    assert (image[6:10, 6:10] == 140).all()


def test_colour_is_changed_band_by_band_and_stays_in_range() -> None:
    rgb = np.array([[[0, 127, 255], [100, 200, 50]]], dtype=np.uint8).repeat(2, axis=0)
    seen = View(gain=(1.0, 2.0, 1.0), offset=(10.0, 0.0, -20.0)).image(rgb)
    assert seen[0].tolist() == [[10, 126, 235], [110, 255, 30]]
