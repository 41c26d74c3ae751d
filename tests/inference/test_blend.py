"""Blending covers every pixel once, whatever the windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.windows import Window, sweep_windows
from seglab.inference.blend import Blender


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 90), st.integers(5, 90), st.integers(4, 40), st.floats(0, 0.7), st.sampled_from([1, 2]))
def test_a_field_seen_through_windows_comes_back(rows: int, cols: int, size: int, overlap: float, scale: int) -> None:
    """Windows that all report the same field blend to that field, each row exactly once, in order."""
    field = np.random.default_rng(rows * cols).random((2, rows, cols)).astype(np.float32)
    blender, strips, widest = Blender(2, (rows, cols)), [], 0
    for window in sweep_windows((rows, cols), size, overlap, scale):
        scores = np.zeros((2, *window.shape), dtype=np.float32)
        inside, place = window.overlap((rows, cols))
        scores[(slice(None), *inside)] = field[(slice(None), *place)]
        strips += blender.add(window, scores)
        widest = max(widest, blender._sum.shape[1])
    strips += blender.finish()
    assert [row for row, _ in strips] == list(np.cumsum([0] + [s.shape[1] for _, s in strips[:-1]]))
    np.testing.assert_allclose(np.concatenate([s for _, s in strips], axis=1), field, atol=1e-4)
    assert widest <= size * scale


def test_rows_that_no_window_touches_are_in_no_strip() -> None:
    """An area of interest leaves windows out: what is handed out lies where it belongs, in bounded memory."""
    blender, strips, held = Blender(1, (100, 30)), [], 0
    for row, value in ((20, 1.0), (70, 2.0)):
        window = Window(10, row, 10, 10)
        strips += blender.add(window, np.full((1, 10, 10), value, dtype=np.float32))
        held = max(held, blender._sum.shape[1])
    strips += blender.finish()
    found = np.zeros((100, 30), dtype=np.float32)
    for row, strip in strips:
        found[row : row + strip.shape[1]] = strip[0]
    expected = np.zeros_like(found)
    expected[20:30, 10:20], expected[70:80, 10:20] = 1, 2
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert held <= 20 and sum(strip.shape[1] for _, strip in strips) <= 40


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 90), st.integers(5, 60), st.integers(4, 30), st.floats(0, 0.7), st.data())
def test_whatever_windows_are_left_out(rows: int, cols: int, size: int, overlap: float, data: st.DataObject) -> None:
    """What some window touches comes back as it was, each row at most once, in order; the rest has zeros."""
    windows = list(sweep_windows((rows, cols), size, overlap))
    kept = data.draw(st.lists(st.booleans(), min_size=len(windows), max_size=len(windows)))
    field = np.random.default_rng(rows * cols).random((2, rows, cols)).astype(np.float32)
    blender, strips, touched, widest = Blender(2, (rows, cols)), [], np.zeros((rows, cols), bool), 0
    for window in (w for w, is_kept in zip(windows, kept, strict=True) if is_kept):
        scores = np.zeros((2, *window.shape), dtype=np.float32)
        inside, place = window.overlap((rows, cols))
        scores[(slice(None), *inside)] = field[(slice(None), *place)]
        touched[place] = True
        strips += blender.add(window, scores)
        widest = max(widest, blender._sum.shape[1])
    strips += blender.finish()
    ends = [0, *(row + strip.shape[1] for row, strip in strips)]
    assert all(row >= end for (row, _), end in zip(strips, ends, strict=False)) and ends[-1] <= rows
    found = np.full_like(field, np.nan)
    for row, strip in strips:
        found[:, row : row + strip.shape[1]] = strip
    np.testing.assert_allclose(found[:, touched], field[:, touched], atol=1e-4)
    assert (np.nan_to_num(found[:, ~touched]) == 0).all()
    assert widest <= size
