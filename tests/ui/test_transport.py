"""The kernel's side of the probe; the page's side is tested in a browser."""

from __future__ import annotations

import pytest
from ipyleaflet import TileLayer

from seglab.ui.transport import TileProbe

PATH = "/token/one/{z}/{x}/{y}.png"
ROUTES = [
    {"name": "server", "url": f"/wrong/localtileserver-proxy/8123{PATH}"},
    {"name": "page", "url": f"{{base_url}}localtileserver-proxy/8123{PATH}"},
]
PAGE = f"/base/localtileserver-proxy/8123{PATH}"


def answer(probe, name, url):
    """What the page sends back."""
    tried = [{**ROUTES[0], "status": 404, "error": "status 404"}]
    if name:
        tried.append({"name": name, "url": url, "status": 200, "error": ""})
    probe.set_state({"result": {"name": name, "url": url, "tried": tried, "attempt": probe.attempt}})


@pytest.fixture
def probe():
    probe = TileProbe(ROUTES, PATH, (9, 95, 192))
    yield probe
    probe.close()


def test_first_candidate_until_the_page_answers(probe):
    assert not probe.answered and not probe.works
    assert probe.route == "server"
    assert probe.url_for("/token/two/{z}/{x}/{y}.png") == (
        "/wrong/localtileserver-proxy/8123/token/two/{z}/{x}/{y}.png"
    )
    assert "not answered" in probe.explain()


def test_route_that_works_is_taken_for_every_layer(probe):
    answer(probe, "page", PAGE)
    assert probe.answered and probe.works
    assert probe.route == "page"
    assert probe.url_for("/token/two/{z}/{x}/{y}.png") == ("/base/localtileserver-proxy/8123/token/two/{z}/{x}/{y}.png")
    assert probe.explain().splitlines() == [
        "server: status 404 (/wrong/localtileserver-proxy/8123)",
        "page: works (/base/localtileserver-proxy/8123)",
    ]


def test_first_candidate_when_nothing_works(probe):
    answer(probe, "", "")
    assert probe.answered and not probe.works
    assert probe.route == "server"
    assert probe.url_for(PATH) == ROUTES[0]["url"]


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
    end = probe.connect(layer, "/token/two/{z}/{x}/{y}.png")
    assert layer.url == "/wrong/localtileserver-proxy/8123/token/two/{z}/{x}/{y}.png"
    answer(probe, "page", PAGE)
    assert layer.url == "/base/localtileserver-proxy/8123/token/two/{z}/{x}/{y}.png"
    assert redrawn[-1] == layer.url
    probe.ask()
    answer(probe, "page", PAGE)
    assert len(redrawn) == 2  # the same address again is no reason to flicker
    end()
    answer(probe, "", "")
    assert layer.url == redrawn[-1]


def test_misspelt_argument_is_refused():
    with pytest.raises(TypeError):
        TileProbe(ROUTES, PATH, (0, 0, 0), candidate=[])
