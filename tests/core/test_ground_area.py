"""Areas of pixels against areas of polygons on the ellipsoid."""

from __future__ import annotations

import pyproj
import pytest
from affine import Affine

from seglab.core.grid import Grid
from seglab.core.ground_area import PixelAreas
from seglab.core.windows import Window


@pytest.mark.parametrize(
    "grid",
    [
        Grid(200, 150, Affine(30, 0, 400_000, 0, -30, 4_600_000), pyproj.CRS(32612)),
        Grid(200, 150, Affine(0.01, 0, 179, 0, -0.01, 66), pyproj.CRS(4326)),
        Grid(200, 200, Affine(40, 0, -4000, 0, -40, 4000), pyproj.CRS(3031)),
        Grid(200, 200, Affine(0.3, 0, 1e6, 0, -0.3, 6e6), pyproj.CRS(3857)),
        Grid(1, 1, Affine(30, 0, 400_000, 0, -30, 4_600_000), pyproj.CRS(32612)),
    ],
    ids=["utm", "antimeridian", "pole", "mercator", "one pixel"],
)
def test_pixels_sum_to_the_area_of_their_ground(grid):
    windows = [Window(0, 0, grid.width, grid.height), Window(grid.width // 3, 0, 1, grid.height)]
    for window in windows:
        areas = PixelAreas(grid).of(window)
        assert areas.shape == window.shape
        assert areas.sum() == pytest.approx(grid.area_m2(window.polygon), rel=1e-5)
