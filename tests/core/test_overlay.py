"""What is put on a web map lies where the scene's pixels lie."""

from __future__ import annotations

import io
import math

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shapely.geometry import box, shape

from seglab.core.grid import Grid
from seglab.core.masks import polygons_of
from seglab.core.overlay import MapFrame, Overlay, image_png, overlay_png
from seglab.core.windows import Window


def grid(crs: str | None, transform: Affine, width: int = 900, height: int = 700) -> Grid:
    return Grid(width, height, transform, None if crs is None else pyproj.CRS.from_user_input(crs))


GRIDS = {
    "utm": grid("EPSG:32633", Affine(10, 0, 500_000, 0, -10, 5_000_000)),
    "utm, high north": grid("EPSG:32633", Affine(30, 0, 300_000, 0, -30, 8_900_000)),
    "web mercator": grid("EPSG:3857", Affine(5, 0, 1e6, 0, -5, 6e6)),
    "degrees": grid("EPSG:4326", Affine(0.0003, 0, -112.9, 0, -0.0003, 41.0)),
    "rotated": grid("EPSG:32633", Affine(8.4, 5.4, 500_000, 5.4, -8.4, 5_000_000)),
    "lambert": grid("EPSG:2154", Affine(20, 0, 600_000, 0, -20, 6_600_000)),
    "antimeridian": grid("EPSG:32701", Affine(30, 0, 200_000, 0, -30, 8_000_000)),
}


def blob(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A mask with several pieces, holes and ragged edges."""
    rows, cols = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).normal(0, 0.15, (height, width))
    waves = np.sin(rows / 9 + seed) * np.cos(cols / 13) + noise
    return waves > 0.35


def decode(overlay: Overlay) -> np.ndarray:
    """(h, w, 4) uint8 as a browser draws it."""
    return np.asarray(Image.open(io.BytesIO(overlay.png)).convert("RGBA"))


def pixel_centres(overlay: Overlay, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the image's pixels: Leaflet stretches it evenly in Web Mercator."""
    (south, west), (north, east) = overlay.bounds
    to_mercator = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    shift = 360.0 * round((west + east) / 720.0)  # pyproj wraps longitudes
    left, bottom = to_mercator.transform(west - shift, south)
    right, top = to_mercator.transform(east - shift, north)
    x = left + (right - left) * (np.arange(width) + 0.5) / width
    y = top + (bottom - top) * (np.arange(height) + 0.5) / height
    lon, lat = to_mercator.transform(*np.meshgrid(x, y), direction="INVERSE")
    return lon + shift, lat


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("window", [Window(200, 150, 224, 224), Window(-40, 500, 448, 448, 2)], ids=["fine", "coarse"])
def test_every_overlay_pixel_shows_the_scene_pixel_below_it(name, window):
    scene = GRIDS[name]
    mask = blob(*window.shape)
    overlay = overlay_png(mask, window, scene, "#0072b2")
    shown = decode(overlay)[..., 3] > 0
    cols, rows = scene.to_pixel(*pixel_centres(overlay, *shown.shape), "EPSG:4326")
    cols, rows = cols - window.col, rows - window.row
    inside = (cols >= 0) & (rows >= 0) & (cols < window.width) & (rows < window.height)
    expected = np.zeros_like(shown)
    expected[inside] = mask[rows[inside].astype(int), cols[inside].astype(int)]
    # a pixel whose centre falls on the border between two scene pixels may show either
    clear = (np.abs(cols - np.round(cols)) > 0.03) & (np.abs(rows - np.round(rows)) > 0.03)
    assert clear.mean() > 0.8
    assert (shown == expected)[clear].all()


@pytest.mark.parametrize("name", GRIDS)
def test_overlay_covers_the_mask_and_little_else(name):
    scene, window = GRIDS[name], Window(100, 100, 224, 224)
    mask = np.zeros(window.shape, dtype=bool)
    mask[90:130, 40:75] = True
    (south, west), (north, east) = overlay_png(mask, window, scene, "#0072b2").bounds
    corners = scene.from_pixel(np.array([140, 175, 175, 140]), np.array([190, 190, 230, 230]))
    rounding = 1e-9
    assert west - rounding <= corners[0].min() and corners[0].max() <= east + rounding
    assert south - rounding <= corners[1].min() and corners[1].max() <= north + rounding
    pixel = np.ptp(corners[0]) / 35
    assert (east - west) <= np.ptp(corners[0]) + 2 * pixel


def test_edge_is_opaque_and_inside_lets_the_imagery_through():
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    image = decode(overlay_png(mask, Window(0, 0, 64, 64), GRIDS["utm"], "#e69f00", alpha=0.4))
    middle = image[image.shape[0] // 2, image.shape[1] // 2]
    assert tuple(middle) == (0xE6, 0x9F, 0x00, 102)
    assert set(np.unique(image[..., 3])) <= {0, 102, 255}
    assert (image[..., 3] == 255).any()


@pytest.mark.parametrize("plain", [False, True])
def test_nothing_to_show_for_an_empty_mask(plain):
    assert overlay_png(np.zeros((8, 8), bool), Window(0, 0, 8, 8), GRIDS["utm"], "#000000", plain=plain) is None


def test_a_large_mask_stays_a_small_image():
    window = Window(0, 0, 3584, 3584, 16)
    overlay = overlay_png(np.ones(window.shape, bool), window, GRIDS["utm"], "#0072b2")
    assert decode(overlay).shape[0] <= 1024
    assert len(overlay.url) < 100_000


def test_on_a_plain_map_latitude_is_minus_the_row():
    scene = grid(None, Affine.identity(), 300, 200)
    mask = np.zeros((50, 60), dtype=bool)
    mask[10:20, 5:45] = True
    overlay = overlay_png(mask, Window(100, 30, 60, 50), scene, "#0072b2", plain=True)
    assert overlay.bounds == ((-50, 105), (-40, 145))
    shown = decode(overlay)[..., 3] > 0
    assert shown.all() and shown.shape[1] == 4 * shown.shape[0]


@pytest.mark.parametrize(
    ("scene", "plain"),
    [
        *((scene, False) for scene in GRIDS.values()),
        (grid(None, Affine.identity()), True),
        (grid("EPSG:3413", Affine(1000, 0, -450_000, 0, -1000, 350_000)), True),
        (grid("EPSG:4326", Affine(0.4, 0, -180, 0, -0.257, 90)), True),
    ],
    ids=[*GRIDS, "no place", "north pole", "whole world"],
)
def test_scenes_that_web_mercator_cannot_show_get_a_plain_map(scene, plain):
    frame = MapFrame.of(scene)
    assert frame.is_plain is plain
    (south, west), (north, east) = frame.bounds
    assert south < north and west < east


@given(
    name=st.sampled_from([*GRIDS, "plain"]),
    col=st.floats(0, 900, allow_nan=False),
    row=st.floats(0, 700, allow_nan=False),
)
@settings(max_examples=200, deadline=None)
def test_a_click_on_a_place_comes_back_as_its_pixel(name, col, row):
    scene = GRIDS.get(name) or grid(None, Affine.identity())
    frame = MapFrame.of(scene)
    lat, lon = frame.to_map(col, row)
    found = scene.to_pixel(*frame.to_crs(lat, lon), frame.crs)
    assert found == pytest.approx((col, row), abs=1e-3)


@pytest.mark.parametrize("name", [*GRIDS, "plain"])
def test_outlines_keep_their_place(name):
    scene = GRIDS.get(name) or grid(None, Affine.identity())
    frame = MapFrame.of(scene)
    rows, cols = np.mgrid[:120, :120]
    geometry = polygons_of((cols - 60) ** 2 + (rows - 50) ** 2 < 40**2, 200, 300)
    drawn = shape(frame.geojson(geometry))
    points = shapely.get_coordinates(drawn)
    back = shapely.transform(
        drawn, lambda xy: np.column_stack(scene.to_pixel(*frame.to_crs(xy[:, 1], xy[:, 0]), frame.crs))
    )
    assert back.hausdorff_distance(geometry) < 1.0
    assert len(points) < len(shapely.get_coordinates(geometry)) / 2
    exact = shape(frame.geojson(geometry, simplify=False))
    assert len(shapely.get_coordinates(exact)) == len(shapely.get_coordinates(geometry))


def test_a_view_is_measured_in_scene_pixels_and_never_beyond_the_scene():
    frame = MapFrame.of(GRIDS["utm"])
    part = frame.grid.geometry_from_pixel(box(300, 300, 500, 400)).bounds
    assert frame.view_pixels(((part[1], part[0]), (part[3], part[2]))) == pytest.approx(100, rel=0.02)
    assert frame.view_pixels(((-60, -170), (60, 170))) == 700 or math.isnan(frame.view_pixels(((-60, -170), (60, 170))))
    plain = MapFrame.of(grid(None, Affine.identity()))
    assert plain.view_pixels(((-250, 100), (-100, 500))) == pytest.approx(150)


def test_image_png_keeps_pixels():
    image = np.random.default_rng(0).integers(0, 255, (7, 5, 4), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(image_png(image)))), image)
