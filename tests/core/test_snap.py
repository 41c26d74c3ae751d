"""Snapping, against its rule written out pixel by pixel."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from seglab.core.masks import snap

PAIRS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
WIDTHS = st.integers(0, 7)

MASK, NEIGHBOUR, BOTH, NEITHER = "mask", "neighbour", "both", "neither"


def runs(line: list[str]) -> list[tuple[int, int]]:
    """(start, stop) of the stretches of equal entries."""
    found, start = [], 0
    for _, group in groupby(line):
        stop = start + len(list(group))
        found.append((start, stop))
        start = stop
    return found


def short_in_line(mask: np.ndarray, neighbour: np.ndarray, width: float) -> np.ndarray:
    """Pixels of one row in gaps and overlaps of at most `width` between a mask and its neighbour."""
    kinds = {(False, False): NEITHER, (True, False): MASK, (False, True): NEIGHBOUR, (True, True): BOTH}
    line = [kinds[pair] for pair in zip(mask.tolist(), neighbour.tolist(), strict=True)]
    found = np.zeros(len(line), bool)
    for start, stop in runs(line):
        if line[start] not in (BOTH, NEITHER) or stop - start > width or start == 0 or stop == len(line):
            continue
        ends = line[start - 1], line[stop]
        if line[start] == BOTH:
            found[start:stop] = set(ends) == {MASK, NEIGHBOUR}
        else:  # an end where both lie is an edge of either
            found[start:stop] = set(ends) in ({MASK, NEIGHBOUR}, {MASK, BOTH}, {NEIGHBOUR, BOTH}, {BOTH})
    return found


def short(mask: np.ndarray, neighbour: np.ndarray, width: float) -> np.ndarray:
    """The same along all rows and columns."""
    rows = [short_in_line(m, n, width) for m, n in zip(mask, neighbour, strict=True)]
    columns = [short_in_line(m, n, width) for m, n in zip(mask.T, neighbour.T, strict=True)]
    return np.array(rows) | np.array(columns).T


@settings(max_examples=200, deadline=None)
@given(PAIRS, WIDTHS)
def test_every_short_gap_and_overlap_is_closed_and_nothing_else_changes(pair, width: int) -> None:
    mask, neighbour = pair
    found, between = snap(mask, neighbour, width), short(mask, neighbour, width)
    np.testing.assert_array_equal(found[between & ~neighbour], True)  # gaps are filled
    np.testing.assert_array_equal(found[between & neighbour], False)  # overlaps are the neighbour's
    np.testing.assert_array_equal(found[~between], mask[~between])


@settings(deadline=None)
@given(PAIRS, WIDTHS)
def test_only_pixels_near_both_edges_change(pair, width: int) -> None:
    mask, neighbour = pair
    changed = snap(mask, neighbour, width) != mask
    for area in (mask, neighbour):
        if changed.any():
            # within `width` of what is in it, and of what is not
            assert ndimage.distance_transform_cdt(~area, "taxicab")[changed].max() <= width
    for alone in (mask & ~neighbour, neighbour & ~mask):
        overlap = changed & mask
        if overlap.any():
            assert ndimage.distance_transform_cdt(~alone, "taxicab")[overlap].max() <= width


@given(PAIRS)
def test_without_a_width_nothing_changes(pair) -> None:
    mask, neighbour = pair
    np.testing.assert_array_equal(snap(mask, neighbour, 0), mask)


@settings(deadline=None)
@given(PAIRS, WIDTHS)
def test_neither_array_is_written_to(pair, width: int) -> None:
    mask, neighbour = pair
    before = mask.copy(), neighbour.copy()
    found = snap(mask, neighbour, width)
    found[:] = ~found
    np.testing.assert_array_equal((mask, neighbour), before)


@settings(deadline=None)
@given(PAIRS, WIDTHS, st.integers(0, 3))
def test_no_direction_is_special(pair, width: int, turns: int) -> None:
    mask, neighbour = pair
    turned = snap(np.rot90(mask, turns), np.rot90(neighbour, turns), width)
    np.testing.assert_array_equal(np.rot90(turned, -turns), snap(mask, neighbour, width))
    np.testing.assert_array_equal(snap(mask[:, ::-1], neighbour[:, ::-1], width)[:, ::-1], snap(mask, neighbour, width))


@settings(deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=20), WIDTHS)
def test_a_wavy_border_becomes_the_neighbours_where_it_is_near(offsets: list[int], width: int) -> None:
    """Row by row: a mask right of a straight border, `offset` pixels off it (negative: over it)."""
    mask = np.array([np.arange(60) >= 20 + offset for offset in offsets])
    neighbour = np.tile(np.arange(60) < 20, (len(offsets), 1))
    found = snap(mask, neighbour, width)
    for row, offset in enumerate(offsets):
        if abs(offset) <= width:
            np.testing.assert_array_equal(found[row], ~neighbour[row])
        elif offset < 0:
            assert found[row, 20:].all()  # what it had on its own side stays


@pytest.mark.parametrize(("width", "closed"), [(2, False), (2.9, False), (3, True), (3.5, True), (np.inf, True)])
def test_a_width_need_not_be_whole(width: float, closed: bool) -> None:
    mask, neighbour = np.array([[0, 0, 0, 0, 0, 1]], bool), np.array([[1, 1, 0, 0, 0, 0]], bool)
    assert snap(mask, neighbour, width)[0].tolist() == [False, False, closed, closed, closed, True]


def test_a_gap_at_the_rim_or_to_itself_stays() -> None:
    mask, neighbour = np.array([[0, 1, 0, 1, 1, 0]], bool), np.zeros((1, 6), bool)
    np.testing.assert_array_equal(snap(mask, neighbour, 9), mask)


def test_what_closing_a_gap_makes_of_an_overlap_stays() -> None:
    """Else one closed gap could lead to the next, farther and farther from where the edges were near."""
    mask, neighbour = np.array([[0, 0, 1, 0, 0]], bool), np.array([[1, 0, 1, 1, 1]], bool)
    np.testing.assert_array_equal(snap(mask, neighbour, 1), [[False, True, True, False, False]])
