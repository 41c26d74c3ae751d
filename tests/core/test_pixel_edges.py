"""Outlines put on pixel edges together are those that they are one by one."""

from __future__ import annotations

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from seglab.core import pixel_edges
from seglab.core.masks import on_pixel_edges
from seglab.core.pixel_edges import all_on_pixel_edges

NUMBERS = st.floats(-300, 300)
DISCS = st.builds(lambda x, y, r: Point(x, y).buffer(r), NUMBERS, NUMBERS, st.floats(0.05, 90))
RINGS = st.builds(lambda d, share: d.difference(d.centroid.buffer(share * d.length / 8)), DISCS, st.floats(0, 1))
PAIRS = st.builds(lambda a, b: shapely.union(a, b), DISCS, RINGS)


@settings(max_examples=60, deadline=None)
@given(st.lists(DISCS | RINGS | PAIRS, max_size=30))
def test_together_as_one_by_one(outlines: list) -> None:
    together = all_on_pixel_edges(outlines)
    alone = [MultiPolygon() if outline.is_empty else on_pixel_edges(outline) for outline in outlines]
    assert [type(outline) for outline in together] == [MultiPolygon] * len(outlines)
    assert [one.symmetric_difference(other).area for one, other in zip(together, alone, strict=True)] == [0] * len(
        alone
    )
    assert [len(one.geoms) for one in together] == [len(other.geoms) for other in alone]


def test_more_than_a_sheet_holds_and_larger_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_edges, "SHEET", 64)
    monkeypatch.setattr(pixel_edges, "LARGEST", 40)
    monkeypatch.setattr(pixel_edges, "MOST", 7)
    outlines = [box(3 * i, 5 * i, 3 * i + 1 + i % 39, 5 * i + 7) for i in range(60)]
    outlines += [box(0, 0, 3000, 2), Polygon(), box(0.6, 0.6, 0.9, 0.9), box(10, 10, 50, 50)]
    found = all_on_pixel_edges(outlines)
    assert all(a.equals(b) for a, b in zip(found[:61], outlines[:61], strict=True))
    assert found[61].is_empty and found[62].is_empty and found[63].equals(outlines[63])
    assert all_on_pixel_edges([]) == []
