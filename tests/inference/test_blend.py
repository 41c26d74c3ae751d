"""Blending covers every pixel once, whatever the windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.windows import sweep_windows
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
