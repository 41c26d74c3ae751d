"""Right angles: pixel stairs of turned buildings become their corners again, round things stay."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely.affinity import rotate
from shapely.geometry import Point, Polygon, box

from seglab.core.masks import polygons_of, rasterize
from seglab.core.right_angles import with_right_angles

SHAPES = {
    "rectangle": box(30, 40, 90, 80),
    "L": Polygon([(30, 30), (90, 30), (90, 60), (60, 60), (60, 100), (30, 100)]),
    "court": shapely.difference(box(20, 20, 100, 100), box(45, 45, 75, 75)),
}


def drawn(shape: Polygon) -> Polygon:
    """Its outline on pixel edges."""
    return polygons_of(rasterize(shape, (128, 128))).geoms[0]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("degrees", [0, 7, 30, 45, 81])
def test_the_corners_come_back(name: str, degrees: float) -> None:
    shape = rotate(SHAPES[name], degrees, origin=(64, 64))
    (made,) = with_right_angles(np.array([drawn(shape)], dtype=object))
    assert made.is_valid and len(made.interiors) == len(shape.interiors)
    for ring, found in zip((shape.exterior, *shape.interiors), (made.exterior, *made.interiors), strict=True):
        corners = np.asarray(found.coords)[:-1]
        assert len(corners) == len(ring.coords) - 1
        away = shapely.distance(shapely.points(corners)[:, None], shapely.points(np.asarray(ring.coords)[:-1])[None])
        assert away.min(1).max() < 1.5
        edges = np.diff(np.asarray(found.coords), axis=0)
        along = np.cos(np.arctan2(*edges.T[::-1]) - np.arctan2(*np.roll(edges, 1, 0).T[::-1]))
        assert np.abs(along).max() < 1e-6  # each edge is at a right angle to the one before
    assert made.area == pytest.approx(drawn(shape).area, rel=0.01)


@pytest.mark.parametrize("shape", [Point(64, 64).buffer(40), Polygon([(20, 20), (100, 30), (50, 110)])])
def test_what_has_no_right_angles_stays(shape: Polygon) -> None:
    outline = drawn(shape)
    (made,) = with_right_angles(np.array([outline], dtype=object))
    assert made is outline


def test_specks_stay_valid() -> None:
    rng = np.random.default_rng(3)
    noisy = [part for _ in range(20) for part in polygons_of(rng.random((24, 24)) < 0.6).geoms]
    made = with_right_angles(np.array(noisy, dtype=object))
    assert shapely.is_valid(made).all() and (shapely.area(made) > 0).all()


def test_ragged_edges_become_straight() -> None:
    mask = rasterize(box(30, 40, 90, 80), (128, 128))
    rng = np.random.default_rng(1)
    for col in range(30, 90):
        mask[79, col] = rng.random() < 0.5
    (made,) = with_right_angles(np.array([polygons_of(mask).geoms[0]], dtype=object))
    assert len(made.exterior.coords) == 5
    assert made.bounds == pytest.approx((30, 40, 90, 79.5), abs=0.7)
