"""Strokes from the page: what they cover, and what they do with the session."""

from __future__ import annotations

import math

import pyproj
import pytest
import shapely
from affine import Affine

from seglab.core.grid import Grid
from seglab.core.overlay import MapFrame
from seglab.ui.page import Stroke

UTM = MapFrame.of(Grid(2000, 1500, Affine(10, 0, 500_000, 0, -10, 6_600_000), pyproj.CRS.from_epsg(32633)))
PLAIN = MapFrame.of(Grid(2000, 1500))


def stroke(frame: MapFrame, tool: str, pixels: list[tuple[float, float]], reach: float = 0.0, **changes) -> Stroke:
    return Stroke(tool, tuple(frame.to_map(*pixel) for pixel in pixels), changes.get("positive", True), reach)


def in_pixels(frame: MapFrame, area: shapely.Geometry) -> shapely.Geometry:
    return frame.grid.geometry_to_pixel(area, frame.crs)


def test_brush_is_round_on_a_map_far_north():
    radius = 20  # scene pixels of 10 m
    lat, _ = UTM.to_map(1000, 750)
    reach = radius * 10 / (111_320 * math.cos(math.radians(lat)))
    dot = in_pixels(UTM, stroke(UTM, "brush", [(1000, 750)], reach).area(UTM))
    left, top, right, bottom = dot.bounds
    assert (right - left, bottom - top) == pytest.approx((2 * radius, 2 * radius), rel=0.02)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((1000, 750), abs=0.5)


@pytest.mark.parametrize("frame", [UTM, PLAIN], ids=["utm", "plain"])
def test_brush_sweeps_along_its_line(frame):
    lon = [frame.to_map(col, 750)[1] for col in (1000, 1010)]
    swept = in_pixels(
        frame, stroke(frame, "brush", [(900, 700), (1000, 750), (1100, 700)], abs(lon[1] - lon[0])).area(frame)
    )
    line = shapely.LineString([(900, 700), (1000, 750), (1100, 700)])
    assert swept.buffer(0.5).covers(line)
    assert swept.area == pytest.approx(line.buffer(10).area, rel=0.04)


@pytest.mark.parametrize("tool", ["polygon", "lasso"])
def test_area_inside_a_line(tool):
    ring = [(100, 100), (300, 100), (300, 200), (100, 200)]
    assert in_pixels(PLAIN, stroke(PLAIN, tool, ring).area(PLAIN)).equals(shapely.Polygon(ring))


def test_line_that_crosses_itself_encloses_both_parts():
    eight = [(0, 0), (100, 100), (100, 0), (0, 100)]
    area = stroke(PLAIN, "lasso", eight).area(PLAIN)
    assert area.is_valid and area.area == pytest.approx(5000)


@pytest.mark.parametrize("points", [[(5, 5)], [(5, 5), (9, 9)], [(5, 5), (9, 9), (13, 13)]])
def test_line_that_encloses_nothing(points):
    assert stroke(PLAIN, "polygon", points).area(PLAIN).is_empty


class Recorder:
    """Stands in for the session's methods for strokes."""

    def __init__(self, labeler, monkeypatch):
        self.calls = []
        for name in ("scribble", "paint"):
            monkeypatch.setattr(labeler.session, name, self._record(name), raising=False)

    def _record(self, name):
        return lambda shape, positive=True, crs=None: self.calls.append((name, shape, positive, crs))


def send(labeler, tool, pixels, positive=True, reach=0.001, number=1):
    places = [labeler.frame.to_map(*pixel) for pixel in pixels]
    content = {"tool": tool, "places": places, "positive": positive, "reach": reach, "number": number}
    labeler.strokes._handle_custom_msg(content, [])


def test_strokes_reach_the_session(labeler, monkeypatch):
    recorder = Recorder(labeler, monkeypatch)
    ring = [(40, 50), (80, 50), (80, 90), (40, 90)]
    for number, (tool, positive) in enumerate(
        [("scribble", True), ("brush", True), ("eraser", False), ("polygon", True), ("lasso", False)], start=1
    ):
        send(labeler, tool, ring, positive, number=number)
        assert labeler.strokes.answered == number
    assert [(name, positive) for name, _, positive, _ in recorder.calls] == [
        ("scribble", True),
        ("paint", True),
        ("paint", False),
        ("paint", True),
        ("paint", False),
    ]
    points = recorder.calls[0][1]
    assert labeler.session.grid.to_pixel(*points[0], recorder.calls[0][3]) == pytest.approx(ring[0], abs=0.01)
    assert recorder.calls[1][1].area > recorder.calls[3][1].area * 0.3


def test_polygon_that_encloses_nothing_says_so(labeler, monkeypatch):
    recorder = Recorder(labeler, monkeypatch)
    send(labeler, "polygon", [(40, 50), (80, 50)], number=7)
    assert recorder.calls == [] and labeler.strokes.answered == 7
    assert labeler.messages.kind == "error" and "corners" in labeler.messages.text


def test_area_of_interest_is_drawn(labeler):
    session = labeler.session
    labeler.project.panel.draw.click()
    assert labeler.toolbar.tool == "area" and "corners" in labeler.messages.text
    send(labeler, "area", [(40, 50), (80, 50)], number=1)
    assert labeler.messages.kind == "error" and session.area_of_interest is None
    send(labeler, "area", [(40, 50), (80, 50), (80, 90), (40, 90)], number=2)
    assert session.state.area_of_interest.symmetric_difference(shapely.box(40, 50, 80, 90)).area < 1
    assert session.mask is None and len(labeler.view.interest.data["features"]) == 2
    send(labeler, "area", [(10, 10), (30, 10), (30, 30)], number=3)  # another one takes its place
    assert session.state.area_of_interest.bounds[2] < 31
    labeler.command("undo")
    assert session.state.area_of_interest.bounds[2] > 79
    labeler.project.panel.everywhere.click()
    assert session.area_of_interest is None and labeler.view.interest.data["features"] == []


def test_strokes_are_drawn_in_the_colour_of_the_class(labeler):
    labeler.classes.choose("field")
    assert labeler.strokes.colour == labeler.session.classes["field"]


def test_clicks_of_leaflet_are_no_points_while_drawing(labeler, hand):
    labeler.toolbar.choose("brush")
    hand.click(60, 70)
    assert labeler.session.prompts.is_empty
    hand.mouse("contextmenu", 270, 170)  # minus, with any tool
    assert [p.positive for p in labeler.session.prompts.points] == [False]
