"""The map's own arithmetic: what fits where."""

from __future__ import annotations

from types import SimpleNamespace

import pyproj
import pytest
from affine import Affine
from shapely.geometry import box, shape

from seglab.core.grid import Grid
from seglab.core.overlay import MapFrame
from seglab.core.prompts import Box, Point, Prompts
from seglab.ui.label_layer import BATCH
from seglab.ui.map_view import HEIGHT, WIDTH, MapView

UTM = Grid(2000, 1500, Affine(10, 0, 500_000, 0, -10, 5_000_000), pyproj.CRS.from_epsg(32633))
PLAIN = Grid(2000, 1500)


def view_of(grid: Grid) -> MapView:
    return MapView(MapFrame.of(grid), lambda *_: None, lambda *_: None, lambda: None, lambda *_: None)


def scene_pixels_per_screen_pixel(view: MapView) -> float:
    if view.frame.is_plain:
        return 2.0**-view.map.zoom
    degrees = 360 / 256 / 2**view.map.zoom
    lat, lon = view.map.center
    cols, _ = view.frame.grid.to_pixel([lon, lon + degrees], [lat, lat])
    return cols[1] - cols[0]


@pytest.mark.parametrize("grid", [UTM, PLAIN], ids=["utm", "plain"])
def test_first_view_shows_the_whole_scene_and_not_much_more(grid):
    view = view_of(grid)
    pixel = scene_pixels_per_screen_pixel(view)
    assert WIDTH * pixel >= grid.width * 0.99 and HEIGHT * pixel >= grid.height * 0.99
    assert min(WIDTH * pixel / grid.width, HEIGHT * pixel / grid.height) < 2.1
    lat, lon = view.map.center
    assert grid.to_pixel(*view.frame.to_crs(lat, lon), view.frame.crs) == pytest.approx((1000, 750), abs=15)


@pytest.mark.parametrize("size", [(400, 300), (1700, 1100)], ids=["small", "large"])
@pytest.mark.parametrize("grid", [UTM, PLAIN], ids=["utm", "plain"])
def test_home_is_the_whole_scene_on_a_map_of_any_size(grid, size):
    view = view_of(grid)
    view.map.set_state({"left": 100.0, "top": 50.0, "right": 100.0 + size[0], "bottom": 50.0 + size[1]})
    view.fly_home()
    pixel = scene_pixels_per_screen_pixel(view)
    assert size[0] * pixel >= grid.width * 0.99 and size[1] * pixel >= grid.height * 0.99
    assert min(size[0] * pixel / grid.width, size[1] * pixel / grid.height) < 2.1


@pytest.mark.parametrize("grid", [UTM, PLAIN], ids=["utm", "plain"])
def test_deepest_zoom_makes_pixels_large_enough_to_click(grid):
    view = view_of(grid)
    view.map.zoom = view.map.max_zoom
    assert 16 <= 1 / scene_pixels_per_screen_pixel(view) <= 64


def test_fly_to_shows_a_window_with_its_surroundings():
    view = view_of(UTM)
    view.fly_to(box(1000, 1000, 1224, 1224))
    pixel = scene_pixels_per_screen_pixel(view)
    assert 224 * 1.5 <= HEIGHT * pixel <= 224 * 4
    lat, lon = view.map.center
    assert UTM.to_pixel(lon, lat) == pytest.approx((1112, 1112), abs=5)


def test_markers_that_stay_are_not_sent_again():
    view = view_of(UTM)
    first, second = Point(10, 20), Point(30, 40, positive=False)
    view.show_prompts(Prompts((first,)))
    marker = view.points.layers[0]
    view.show_prompts(Prompts((first, second)))
    assert view.points.layers[0] is marker and len(view.points.layers) == 2
    view.show_prompts(Prompts((second,)))
    assert [m.alt for m in view.points.layers] == ["minus point"]
    view.show_prompts(Prompts((), Box(1, 2, 30, 40)))
    assert not view.points.layers and view.prompt_box.data["features"]
    view.show_prompts(Prompts())
    assert not view.prompt_box.data["features"]


def test_coordinates_under_the_pointer():
    view = view_of(UTM)
    view._interaction(type="mousemove", coordinates=[-33.5, 151.25])
    assert "33.50000° S, 151.25000° E" in view._place.value
    view._interaction(type="mouseout", coordinates=[0, 0])
    assert view._place.value == ""
    plain = view_of(PLAIN)
    plain._interaction(type="mousemove", coordinates=[-12.5, 7.2])
    assert "column 7, row 12" in plain._place.value


def lake(number: int, width: float = 8.0) -> SimpleNamespace:
    left = 10.0 * number
    return SimpleNamespace(id=number, class_name="water", geometry=box(left, 5, left + width, 13))


def test_an_accepted_object_sends_one_batch_of_outlines():
    view = view_of(UTM)
    lakes = [lake(number) for number in range(2 * BATCH)]
    view.show_labels(lakes, {"water": "#0072b2"})
    assert len(view.labels.layers) == 2 and len(view.labels.features) == 2 * BATCH
    sent = []
    for layer in view.labels.layers:
        layer.observe(lambda change: sent.append(change["owner"]), names=["data"])
    view.show_labels([*lakes, lake(2 * BATCH)], {"water": "#0072b2"})
    assert sent == [] and len(view.labels.layers) == 3
    view.show_labels([lake(0, 4.0), *lakes[1:]], {"water": "#0072b2"})
    assert sent == [view.labels.layers[0]]
    assert len(view.labels.features) == 2 * BATCH
    left, _, right, _ = UTM.geometry_to_pixel(shape(view.labels.features[0]["geometry"])).bounds
    assert (left, right) == pytest.approx((0, 4), abs=0.01)


def test_no_labels():
    view = view_of(PLAIN)
    view.show_labels([], {"water": "#0072b2"})
    assert view.labels.features == []
