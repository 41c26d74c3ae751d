"""Pixel coordinates and map coordinates agree, with themselves and with rasterio."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio.transform
import rasterio.warp
import shapely
from affine import Affine
from rasterio.crs import CRS
from shapely.geometry import box

from seglab.core.grid import Grid
from seglab.errors import MissingCRSError

POINTS = 10_000
TOLERANCE = 1e-3  # pixels; the requirement is 0.5


def _grid(crs: object, transform: Affine, width: int = 10_980, height: int = 9_000) -> Grid:
    return Grid(width, height, transform, None if crs is None else pyproj.CRS.from_user_input(crs))


GRIDS = {
    "utm": _grid("EPSG:32632", Affine(10, 0, 600_000, 0, -10, 5_000_000)),
    "utm sub-metre": _grid("EPSG:26913", Affine(0.15, 0, 519_467.5, 0, -0.15, 4_311_669.8)),
    "web mercator": _grid("EPSG:3857", Affine(0.0746, 0, 3_628_312.8, 0, -0.0746, 39_135.7)),
    "lon/lat": _grid("EPSG:4326", Affine(0.00027, 0, -112.9, 0, -0.00027, 41.0)),
    "lon/lat of 0 to 360": _grid("EPSG:4326", Affine(0.02, 0, 140.0, 0, -0.01, 45.0)),
    "rotated": _grid("EPSG:32633", Affine(4.19, 2.18, 4e5, 2.72, -3.35, 5e6)),
    "sheared, south up": _grid("EPSG:2154", Affine(3, 0.7, 700_000, -0.4, 2, 6_600_000)),
    "polar north": _grid("EPSG:3413", Affine(40, 0, -2e5, 0, -40, 1.5e5)),
    "polar south": _grid("EPSG:3031", Affine(250, 0, -1.2e6, 0, -250, 1e6)),
    "northing first": _grid("EPSG:31467", Affine(10, 0, 3.45e6, 0, -10, 5.5e6)),
    "across the antimeridian": _grid("EPSG:32660", Affine(30, 0, 600_000, 0, -30, 5_800_000)),
    "antimeridian in web mercator": _grid("EPSG:3857", Affine(30, 0, 19_900_000, 0, -30, 1_000_000)),
    "pixel space": _grid(None, Affine.identity()),
}


@pytest.fixture(params=GRIDS, ids=str)
def grid(request: pytest.FixtureRequest) -> Grid:
    return GRIDS[request.param]


def _points(grid: Grid, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random pixel coordinates, some a little outside the scene."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-20, grid.width + 20, POINTS), rng.uniform(-20, grid.height + 20, POINTS)


def _error(grid: Grid, x: np.ndarray, y: np.ndarray, col: np.ndarray, row: np.ndarray, crs: object) -> float:
    back = grid.to_pixel(x, y, crs)
    return float(np.hypot(back[0] - col, back[1] - row).max())


@pytest.mark.parametrize("crs", [None, "EPSG:4326", "EPSG:3857", "pixel"])
@pytest.mark.parametrize("name", GRIDS)
def test_points_come_back(name: str, crs: str | None) -> None:
    grid = GRIDS[name]
    if not grid.is_georeferenced or (crs == "EPSG:3857" and name.startswith("polar")):
        crs = "pixel"  # Web Mercator does not show the poles
    col, row = _points(grid)
    assert _error(grid, *grid.from_pixel(col, row, crs), col, row, crs) < TOLERANCE


def test_places_are_those_of_rasterio(grid: Grid) -> None:
    if grid.crs is None:
        col, row = _points(grid)
        assert np.array_equal(grid.from_pixel(col, row), (col, row))
        return
    col, row = _points(grid, seed=1)
    crs = CRS.from_wkt(grid.crs.to_wkt())
    x, y = rasterio.transform.xy(grid.transform, row, col, offset="ul")
    lon, lat = map(np.asarray, rasterio.warp.transform(crs, CRS.from_epsg(4326), x, y))
    assert _error(grid, lon, lat, col, row, None) < TOLERANCE  # their longitudes are wrapped to -180..180
    ours = grid.from_pixel(col, row)
    metres = pyproj.Geod(ellps="WGS84").inv(lon, lat, *ours)[2]
    assert metres.max() < grid.pixel_size_m * TOLERANCE
    inside = (col > 0) & (row > 0)  # rowcol rounds towards the corner only there
    rows, cols = rasterio.transform.rowcol(grid.transform, np.array(x)[inside], np.array(y)[inside], op=float)
    assert np.allclose(cols, col[inside], atol=TOLERANCE) and np.allclose(rows, row[inside], atol=TOLERANCE)


def test_a_click_lands_on_the_pixel_that_covers_it() -> None:
    grid = GRIDS["utm"]
    lon, lat = rasterio.warp.transform("EPSG:32632", "EPSG:4326", [600_000 + 10 * 7 + 0.1], [5_000_000 - 10 * 3 - 9.9])
    col, row = grid.to_pixel(lon[0], lat[0])
    assert isinstance(col, float)
    assert (int(col), int(row)) == (7, 3)


def test_default_crs_and_pixel() -> None:
    assert GRIDS["utm"].default_crs == "EPSG:4326"
    assert GRIDS["pixel space"].default_crs == "pixel"
    assert GRIDS["utm"].to_pixel(12.5, 7.25, "pixel") == (12.5, 7.25)
    assert GRIDS["pixel space"].to_pixel(12.5, 7.25) == (12.5, 7.25)


def test_any_spelling_of_a_crs() -> None:
    grid = GRIDS["utm"]
    expected = grid.from_pixel(10.0, 20.0, 3857)
    for crs in ("EPSG:3857", CRS.from_epsg(3857), pyproj.CRS(3857), pyproj.CRS(3857).to_wkt()):
        assert np.allclose(grid.from_pixel(10.0, 20.0, crs), expected, rtol=0, atol=1e-6)


def test_errors() -> None:
    with pytest.raises(MissingCRSError, match="open a georeferenced scene"):
        GRIDS["pixel space"].to_pixel(1.0, 2.0, "EPSG:4326")
    with pytest.raises(MissingCRSError, match="EPSG:4326"):
        GRIDS["utm"].to_pixel(1.0, 2.0, "EPSG:nonsense")


def test_far_away_is_not_in_the_scene() -> None:
    grid = GRIDS["web mercator"]
    assert not grid.contains(*grid.to_pixel(0.0, 90.0))
    assert not GRIDS["utm"].contains(*GRIDS["utm"].to_pixel(-170.0, -60.0))
    assert grid.contains(0, 0) and not grid.contains(grid.width, 0)
    assert not grid.contains(float("nan"), 3.0)


@pytest.mark.parametrize("name", ["across the antimeridian", "antimeridian in web mercator", "lon/lat of 0 to 360"])
def test_antimeridian(name: str) -> None:
    grid = GRIDS[name]
    west, south, east, north = grid.bounds()
    seam = 180 if east > 180 else -180
    assert west < seam < east < west + 360 and south < north
    col, row = _points(grid, seed=2)
    lon, lat = grid.from_pixel(col, row)
    assert lon.min() < seam < lon.max()  # continuous, no jump
    wrapped = (lon + 180) % 360 - 180
    assert wrapped.min() < -170 and wrapped.max() > 170
    assert _error(grid, wrapped, lat, col, row, None) < TOLERANCE


def test_bounds_contain_the_scene(grid: Grid) -> None:
    col, row = _points(grid, seed=3)
    inside = (col >= 0) & (col <= grid.width) & (row >= 0) & (row <= grid.height)
    x, y = grid.from_pixel(col[inside], row[inside])
    west, south, east, north = grid.bounds()
    pad_x, pad_y = (east - west) * 1e-3, (north - south) * 1e-3
    assert x.min() >= west - pad_x and x.max() <= east + pad_x
    assert y.min() >= south - pad_y and y.max() <= north + pad_y


def test_bounds_around_a_pole() -> None:
    west, south, east, north = GRIDS["polar north"].bounds()
    assert (west, east, north) == (-180, 180, 90) and 80 < south < 90
    assert GRIDS["pixel space"].bounds() == (0, 0, 10_980, 9_000)


def test_pixel_size_on_the_ground() -> None:
    assert GRIDS["utm"].pixel_size_m == pytest.approx(10, rel=2e-3)
    assert GRIDS["rotated"].pixel_size_m == pytest.approx((4.19 * 3.35 + 2.18 * 2.72) ** 0.5, rel=2e-3)
    assert GRIDS["lon/lat"].pixel_size_m == pytest.approx(0.00027 * 111_200 * np.cos(np.radians(39.8)) ** 0.5, rel=1e-2)
    stretched = _grid("EPSG:3857", Affine(10, 0, 0, 0, -10, 8_399_738), 10, 10)  # 60 degrees north
    assert stretched.pixel_size_m == pytest.approx(5, rel=1e-2)
    assert GRIDS["pixel space"].pixel_size_m is None


def test_geometries_come_back() -> None:
    grid = GRIDS["rotated"]
    shape = shapely.difference(box(10, 20, 400, 300), box(50, 60, 70, 80))
    there = grid.geometry_from_pixel(shape)
    assert there.geom_type == "Polygon" and len(there.interiors) == 1
    back = grid.geometry_to_pixel(there)
    assert back.symmetric_difference(shape).area < 1e-3


def test_long_edges_can_follow_the_curve() -> None:
    grid = GRIDS["utm"]
    shape = box(0, 0, grid.width, 100)
    coarse = grid.geometry_from_pixel(shape)
    fine = grid.geometry_from_pixel(shape, max_segment=200)
    curve = grid.geometry_from_pixel(shapely.segmentize(shape, 10))
    assert fine.symmetric_difference(curve).area < coarse.symmetric_difference(curve).area / 100


def test_threads_agree() -> None:
    from concurrent.futures import ThreadPoolExecutor

    grid = GRIDS["polar south"]
    col, row = _points(grid)
    expected = grid.from_pixel(col, row)
    with ThreadPoolExecutor(4) as pool:
        for x, y in pool.map(lambda _: grid.from_pixel(col, row), range(8)):
            assert np.array_equal(x, expected[0]) and np.array_equal(y, expected[1])


@pytest.mark.parametrize("lat", [0.0, 45.0, 70.0])
def test_areas_are_true_where_web_mercator_stretches(lat: float) -> None:
    """A square of 0.01 degrees, by pyproj's own geodesic area, from a scene in Web Mercator."""
    to_mercator = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform
    west, south = to_mercator(10.0, lat)
    east, north = to_mercator(10.01, lat + 0.01)
    pixel = (east - west) / 100
    grid = Grid(200, 400, Affine(pixel, 0, west, 0, -pixel, north), pyproj.CRS(3857))
    rows = (north - south) / pixel
    square = shapely.box(0, 0, 100, rows)
    corners = ([10.0, 10.01, 10.01, 10.0], [lat, lat, lat + 0.01, lat + 0.01])
    true, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*corners)
    assert grid.area_m2(square) == pytest.approx(true, rel=1e-5)
    holed = square.difference(shapely.box(20, 20, 40, 40))
    assert grid.area_m2(holed) == pytest.approx(true - grid.area_m2(shapely.box(20, 20, 40, 40)), rel=1e-6)
    two = shapely.MultiPolygon([holed, shapely.box(150, 0, 160, 10)])
    together = grid.areas_m2([square, shapely.MultiPolygon(), two, holed])
    alone = grid.area_m2(holed) + grid.area_m2(shapely.box(150, 0, 160, 10))
    assert together == pytest.approx([grid.area_m2(square), 0.0, alone, grid.area_m2(holed)], rel=1e-12)
    assert grid.areas_m2([]) == []
