"""Parts of objects from overlapping windows, put together: whole, and never chained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from seglab.core.masks import rasterize
from seglab.core.windows import Window
from seglab.inference.lattice import Lattice
from seglab.inference.object_graph import ObjectGraph, Part, WholeObject

SIDE, SHAPE = 32, (120, 150)
LATTICE = Lattice(SHAPE, SIDE, overlap=0.25)
See = Callable[[Window], Sequence[np.ndarray]]
"""What of the truth a window shows: masks of the window's side."""


def part(mask: np.ndarray, window: Window, class_value: int = 1, score: float = 0.8) -> Part:
    """What a window sees of an object, as instances.py crops it."""
    rows, cols = ndimage.find_objects(mask.astype(np.uint8))[0]
    bottom, right = window.row + SIDE < SHAPE[0], window.col + SIDE < SHAPE[1]
    cut = (mask[0].any() and window.row > 0) or (mask[:, 0].any() and window.col > 0)
    cut |= (mask[-1].any() and bottom) or (mask[:, -1].any() and right)
    place = Window(window.col + cols.start, window.row + rows.start, cols.stop - cols.start, rows.stop - rows.start)
    return Part(place, mask[rows, cols], class_value, score, 0.9, bool(cut))


def seen(scene: np.ndarray, window: Window) -> np.ndarray:
    return scene[window.slices]


def merged(see: Callable[[Window], Sequence[Part]]) -> list[WholeObject]:
    """All objects of a scene, row by row of windows as a sweep does it."""
    graph, found = ObjectGraph(), []
    rows = list(LATTICE.rows())
    for i, row in enumerate(rows):
        for place in row:
            graph.add(place.cells, see(place.cells))
        found += graph.finished(rows[i + 1][0].cells.row if i + 1 < len(rows) else float("inf"))
    return found


def pieces_of(*objects: np.ndarray) -> Callable[[Window], list[Part]]:
    """Windows that see each object as it is: what of it is connected in the window is a part."""

    def see(window: Window) -> list[Part]:
        found = []
        for scene in objects:
            labels, count = ndimage.label(seen(scene, window))
            found += [part(labels == i + 1, window) for i in range(count)]
        return found

    return see


def disc(col: float, row: float, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    return (cols - col) ** 2 + (rows - row) ** 2 <= radius**2


def by_place(found: Sequence[WholeObject]) -> Iterator[np.ndarray]:
    for one in sorted(found, key=lambda one: one.outline.bounds):
        yield rasterize(one.outline, SHAPE)


def test_an_object_larger_than_windows_comes_out_whole() -> None:
    lake = disc(75, 60, 50) & ~disc(80, 60, 9)
    (found,) = merged(pieces_of(lake))
    np.testing.assert_array_equal(rasterize(found.outline, SHAPE), lake)
    assert found.outline.is_valid and len(found.outline.geoms) == 1 and len(found.outline.geoms[0].interiors) == 1


def test_windows_that_draw_it_differently_leave_no_square_cut() -> None:
    lake = disc(75, 60, 45)

    def see(window: Window) -> list[Part]:
        """Every other window draws it a cell too large, none sees anything within two cells of its own edge."""
        drawn = ndimage.binary_dilation(lake) if (window.col // LATTICE.step) % 2 else lake
        mask = seen(drawn, window).copy()
        far = np.zeros_like(mask)
        far[2:-2, 2:-2] = True
        mask &= far
        return [part(mask, window)] if mask.any() else []

    (found,) = merged(see)
    mask = rasterize(found.outline, SHAPE)
    assert not (mask & ~ndimage.binary_dilation(lake)).any()
    assert not (~mask & lake).any()


def test_two_that_touch_stay_two() -> None:
    left, right = disc(75, 60, 50), disc(75, 60, 50)
    left[:, 75:], right[:, :75] = False, False
    found = list(by_place(merged(pieces_of(left, right))))
    assert len(found) == 2
    np.testing.assert_array_equal(found[0], left)
    np.testing.assert_array_equal(found[1], right)


def test_a_window_that_takes_two_for_one_does_not_chain_them() -> None:
    """The border between the two lies along a row, so that windows beside each other see both."""
    upper, lower = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    upper[50:60, 5:145], lower[60:70, 5:145] = True, True
    honest = pieces_of(upper, lower)
    confused = list(LATTICE.rows())[2][3].cells
    assert seen(upper, confused).any() and seen(lower, confused).any()

    def see(window: Window) -> list[Part]:
        return [part(seen(upper | lower, window), window)] if window == confused else honest(window)

    elsewhere = np.ones(SHAPE, bool)
    elsewhere[confused.slices] = False
    found = list(by_place(merged(see)))
    assert len(found) == 3  # the lower one has a gap where it was taken for the upper one
    for mask in found:
        assert (mask & upper & elsewhere).any() != (mask & lower & elsewhere).any()


def test_the_arms_of_one_object_meet() -> None:
    horseshoe = np.zeros(SHAPE, bool)
    horseshoe[10:90, 20:24] = horseshoe[10:90, 32:36] = horseshoe[86:90, 20:36] = True
    (found,) = merged(pieces_of(horseshoe))
    np.testing.assert_array_equal(rasterize(found.outline, SHAPE), horseshoe)


def test_a_sliver_at_a_windows_edge_that_others_see_as_nothing_is_dropped() -> None:
    first = LATTICE.place(1, 1).cells

    def see(window: Window) -> list[Part]:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[10:20, -3:] = True
        return [part(mask, window)] if window == first else []

    assert merged(see) == []


def test_an_object_that_one_window_sees_whole_stays() -> None:
    first = LATTICE.place(1, 1).cells

    def see(window: Window) -> list[Part]:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[10:20, -6:-2] = True  # its neighbour sees it, too, and says nothing
        return [part(mask, window)] if window == first else []

    assert len(merged(see)) == 1


def test_class_and_score_are_weighted() -> None:
    bar = np.zeros(SHAPE, bool)
    bar[12:20, 4:70] = True

    def see(window: Window) -> list[Part]:
        mask = seen(bar, window)
        first = window.col == 0
        return [part(mask, window, 2 if first else 1, 0.9 if first else 0.5)] if mask.any() else []

    (found,) = merged(see)
    seen_by = [p for row in LATTICE.rows() for place in row for p in see(place.cells)]
    areas = np.array([p.area for p in seen_by])
    scores = np.array([p.score for p in seen_by])
    assert found.score == pytest.approx((areas * scores).sum() / areas.sum())
    votes = {value: sum(p.area * p.score for p in seen_by if p.class_value == value) for value in (1, 2)}
    assert found.class_value == max(votes, key=votes.get) and min(votes.values()) > 0
    assert found.stability == pytest.approx(0.9)


def test_what_is_finished_is_forgotten() -> None:
    """Objects come out as soon as no window to come reaches them, and memory stays that of a row of windows."""
    lattice = Lattice((600, SIDE), SIDE, overlap=0.25)
    graph, held, found = ObjectGraph(), [], 0
    rows = list(lattice.rows())
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8:16, 8:16] = True
    for row, following in pairwise(rows):
        graph.add(row[0].cells, [part(mask, row[0].cells)])
        found += len(list(graph.finished(following[0].cells.row)))
        held.append(len(graph._nodes) + len(graph._windows))
    assert max(held) <= 6 and found > 20
