"""The kernel's side of the ways to the page; the page's side is tested in a browser."""

from __future__ import annotations

import base64
import io
import threading
import time

import ipyleaflet
import numpy as np
import pytest
from ipyleaflet import TileLayer
from PIL import Image

from seglab.ui import transport
from seglab.ui.transport import BLANK, BRIDGE, TileProbe
from seglab.ui.view_images import MOST_TILES, TileBlock

PATH = "/token/one/{z}/{x}/{y}.png"
OTHER = "/token/two/{z}/{x}/{y}.png"
ROUTES = [
    {"name": "server", "url": f"/wrong/localtileserver-proxy/8123{PATH}", "reason": "a guess"},
    {"name": "page", "url": f"{{base_url}}localtileserver-proxy/8123{PATH}", "reason": "better"},
]
PAGE = f"/base/localtileserver-proxy/8123{PATH}"
TIMEOUT = 60.0


def colour_of(path: str) -> tuple[int, int, int, int]:
    """Of a faked tile: tells its layer and its place."""
    _, _, layer, z, x, y = path.removesuffix(".png").split("/")
    return int(x) % 256, int(y) % 256, int(z), 255 if layer == "one" else 128


def render(path: str) -> tuple[int, bytes]:
    if "/none/" in path:
        return 404, b""
    stream = io.BytesIO()
    Image.new("RGBA", (256, 256), colour_of(path)).save(stream, format="PNG")
    return 200, stream.getvalue()


def answer(probe, name, url, done=True):
    """What the page sends back."""
    tried = [{"name": "server", "url": ROUTES[0]["url"], "status": 404, "error": "status 404"}]
    if url:
        tried.append({"name": name, "url": url, "status": 200, "error": ""})
    result = {"name": name, "url": url, "tried": tried, "attempt": probe.attempt, "done": done}
    probe.set_state({"result": result})


def until(condition, what):
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.01)


def look(shown, bounds, zoom):
    """What the page sends when it shows another view."""
    (south, west), (north, east) = bounds
    shown.set_state({"south": south, "west": west, "north": north, "east": east, "zoom": zoom})


@pytest.fixture
def shown():
    return ipyleaflet.Map(basemap={}, layers=())


@pytest.fixture
def probe(shown):
    probe = TileProbe(ROUTES, PATH, (9, 95, 192), render, shown)
    yield probe
    probe.close()


# -- the choice


def test_first_candidate_until_the_page_answers(probe):
    assert not probe.answered and not probe.works
    assert probe.route == "server"
    assert probe.url_for(OTHER) == f"/wrong/localtileserver-proxy/8123{OTHER}"
    assert "not answered" in probe.explain()


def test_route_that_works_is_taken_for_every_layer(probe):
    answer(probe, "page", PAGE)
    assert probe.answered and probe.works
    assert probe.route == "page"
    assert probe.url_for(OTHER) == f"/base/localtileserver-proxy/8123{OTHER}"
    assert probe.explain().splitlines() == [
        "server: status 404 (/wrong/localtileserver-proxy/8123)",
        "page: works (/base/localtileserver-proxy/8123)",
    ]


def test_bridge_is_the_last_candidate_and_needs_no_port(probe, shown):
    assert [route["name"] for route in probe.candidates] == ["server", "page", "comm"]
    answer(probe, "comm", BRIDGE + PATH)
    assert probe.works and probe.url_for(OTHER) == BRIDGE + OTHER
    assert probe.explain().splitlines()[-1] == "comm: works"
    without = TileProbe([], PATH, (9, 95, 192), render, shown)
    assert without.route == "comm" and without.url_for(OTHER) == BRIDGE + OTHER
    without.close()


def test_no_address_where_no_tile_reaches_the_page(probe):
    answer(probe, "bytes", "")
    assert probe.answered and not probe.works
    assert probe.route == "bytes" and probe.url_for(PATH) == BLANK


def test_what_serves_meanwhile_is_no_last_answer(probe):
    answer(probe, "comm", BRIDGE + PATH, done=False)
    assert probe.works and not probe.answered
    answer(probe, "page", PAGE)
    assert probe.route == "page" and probe.answered


def test_asking_again_waits_for_a_new_answer(probe):
    answer(probe, "page", PAGE)
    probe.ask()
    assert not probe.answered
    assert probe.route == "page"  # what worked is kept meanwhile
    answer(probe, "page", PAGE)
    assert probe.answered


def test_connected_layer_follows_the_route(probe):
    layer = TileLayer()
    redrawn = []
    layer.redraw = lambda: redrawn.append(layer.url)
    end = probe.connect(layer, OTHER)
    assert layer.url == f"/wrong/localtileserver-proxy/8123{OTHER}"
    answer(probe, "page", PAGE)
    assert layer.url == f"/base/localtileserver-proxy/8123{OTHER}"
    assert redrawn[-1] == layer.url
    probe.ask()
    answer(probe, "page", PAGE)
    assert len(redrawn) == 2  # the same address again is no reason to flicker
    end()
    answer(probe, "comm", BRIDGE + PATH)
    assert layer.url == redrawn[-1]


def test_misspelt_argument_is_refused(shown):
    with pytest.raises(TypeError):
        TileProbe(ROUTES, PATH, (0, 0, 0), render, shown, candidate=[])


# -- a page that says nothing


def test_blocked_script_is_noticed_once_the_map_is_seen(probe, shown, monkeypatch):
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 0.01)
    assert probe.result == {}
    look(shown, ((45, 8), (46, 9)), 9)
    until(lambda: probe.route == "bytes", "pictures of the view")
    assert "does not run seglab's script" in probe.explain()
    answer(probe, "page", PAGE)  # it was only slow
    assert probe.route == "page"


def test_script_that_has_begun_is_waited_for(probe, shown, monkeypatch):
    made = []
    timer = threading.Timer
    monkeypatch.setattr(transport.threading, "Timer", lambda *given: made.append(timer(*given)) or made[-1])
    monkeypatch.setattr(transport, "SILENCE_SECONDS", 3600)
    look(shown, ((45, 8), (46, 9)), 9)
    assert len(made) == 1
    probe._handle_custom_msg({"begun": 0}, [])
    made[0].join(TIMEOUT)
    assert not made[0].is_alive() and probe.result == {}
    look(shown, ((45, 8), (47, 9)), 9)
    assert len(made) == 1
    probe.ask()  # the next question is a new one
    assert len(made) == 2


# -- the bridge


def test_bridge_answers_with_the_tile_or_its_status(probe, monkeypatch):
    sent = {}
    main = threading.get_ident()

    def send(content, buffers):
        assert threading.get_ident() != main
        sent[content["tile"]] = (content["status"], buffers)

    monkeypatch.setattr(probe._tiles, "_send", send)
    path = PATH.format(z=9, x=95, y=192)
    probe._handle_custom_msg({"ask": 7, "path": path}, [])
    probe._handle_custom_msg({"ask": 8, "path": "/none/"}, [])
    until(lambda: len(sent) == 2, "two answers")
    assert sent == {7: (200, [render(path)[1]]), 8: (404, [b""])}


# -- pictures of the view


def picture(image):
    """The decoded picture of a layer, (rows, cols, 4) uint8."""
    head, data = image.url.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def pictures(shown):
    return {layer.name: layer for layer in shown.layers if isinstance(layer, ipyleaflet.ImageOverlay)}


def test_each_layer_is_a_picture_of_the_view(probe, shown):
    below = TileLayer(name="below")
    above = TileLayer(name="above", pane="tops", opacity=0.5)
    hidden = TileLayer(name="not in the map")
    shown.add(below)
    shown.add(above)
    for layer, path in ((below, PATH), (above, OTHER), (hidden, PATH)):
        probe.connect(layer, path)
    answer(probe, "bytes", "")
    assert pictures(shown) == {}  # the page has no map yet
    look(shown, ((45.0, 8.0), (46.0, 9.5)), 9)
    until(lambda: len(pictures(shown)) == 2, "two pictures")
    assert below.url == above.url == BLANK
    first, second = pictures(shown)["below"], pictures(shown)["above"]
    assert (first.pane, second.pane, second.opacity) == ("tilePane", "tops", 0.5)
    above.opacity, above.visible = 0.25, False
    assert (second.opacity, second.visible) == (0.25, False)

    block = TileBlock.covering(((45.0, 8.0), (46.0, 9.5)), 9)
    assert tuple(map(tuple, first.bounds)) == block.bounds
    pixels = picture(first)
    assert pixels.shape == ((block.bottom - block.top) * 256, (block.right - block.left) * 256, 4)
    place = (block.left + 1, block.top)
    expected = colour_of(PATH.format(z=9, x=place[0], y=place[1]))
    assert np.abs(pixels[128, 256 + 128].astype(int) - expected).max() <= 6  # WebP is not exact
    assert (picture(second)[..., 3] == 128).all()

    before = first.url
    look(shown, ((35.0, 8.0), (36.0, 9.5)), 9)
    until(lambda: first.url != before, "a picture of the new view")
    shown.remove(above)
    until(lambda: set(pictures(shown)) == {"below"}, "one picture")
    answer(probe, "page", PAGE)
    assert pictures(shown) == {}


def test_block_covers_the_view_with_few_tiles():
    view = ((45.0, 8.0), (46.0, 9.5))
    block = TileBlock.covering(view, 12)
    assert block.count <= MOST_TILES and block.zoom < 12
    (south, west), (north, east) = block.bounds
    assert south <= 45.0 and west <= 8.0 and north >= 46.0 and east >= 9.5
    assert len(list(block.tiles())) == block.count
    across = TileBlock.covering(((-10.0, 175.0), (10.0, 185.0)), 5)
    assert across.right > 2**5 and across.bounds[1][1] >= 185.0
    assert TileBlock.covering(((-90.0, -200.0), (90.0, 200.0)), 0).count >= 1
