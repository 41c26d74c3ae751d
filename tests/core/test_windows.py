"""Windows cover scenes, and points keep their place in them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seglab.core.windows import Window, lattice_window, lattice_windows, sweep_windows

SCENES = st.tuples(st.integers(1, 900), st.integers(1, 900))


@given(SCENES, st.sampled_from([32, 224]), st.floats(0, 0.8), st.sampled_from([1, 2, 4]))
def test_a_sweep_covers_the_scene(shape: tuple[int, int], size: int, overlap: float, scale: int) -> None:
    seen = np.zeros(shape, dtype=bool)
    for window in sweep_windows(shape, size, overlap, scale):
        assert window.shape == (size * scale, size * scale)
        _, place = window.overlap(shape)
        seen[place] = True
        for start, extent in ((window.row, shape[0]), (window.col, shape[1])):
            assert start == 0 or start + size * scale <= extent
    assert seen.all()


@given(SCENES, st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.sampled_from([1, 2]))
def test_a_point_is_well_inside_its_window(shape: tuple[int, int], x: float, y: float, scale: int) -> None:
    col, row, side = x * shape[1], y * shape[0], 64 * scale
    window = lattice_window(col, row, 64, scale, shape)
    assert window.contains(col, row)
    for position, start, extent in ((col, window.col, shape[1]), (row, window.row, shape[0])):
        assert position - start >= side / 4 - 1 or start == 0
        assert start + side - position >= side / 4 - 1 or start + side >= extent


@given(st.integers(-500, 500), st.integers(-500, 500), st.sampled_from([1, 2, 8]))
def test_model_pixels_and_back(col: int, row: int, scale: int) -> None:
    window = Window(col, row, 64 * scale, 64 * scale, scale)
    points = np.random.default_rng(0).uniform(-100, 700, (20, 2))
    np.testing.assert_allclose(window.from_model(window.to_model(points)), points, atol=1e-9)
    np.testing.assert_allclose(window.to_model(np.array([window.center])), [[32, 32]])


@given(
    SCENES,
    st.tuples(*[st.floats(-50, 950)] * 4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([1, 2]),
)
def test_the_windows_of_a_rectangle_are_those_of_its_points(
    shape: tuple[int, int], corners: tuple[float, ...], x: float, y: float, scale: int
) -> None:
    left, right, top, bottom = *sorted(corners[:2]), *sorted(corners[2:])
    found = lattice_windows((left, top, right, bottom), 64, scale, shape)
    assert len(set(found)) == len(found)
    col, row = left + x * (right - left), top + y * (bottom - top)
    if 0 <= col <= shape[1] and 0 <= row <= shape[0]:
        assert lattice_window(col, row, 64, scale, shape) in found
    # and no others: each is taken by the point of the rectangle that is nearest to its place on the lattice
    assert len(found) <= (2 + (right - left) / (32 * scale)) * (2 + (bottom - top) / (32 * scale))
