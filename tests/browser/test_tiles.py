"""Tiles arrive in a real page of a real JupyterLab, whatever its base_url is."""

from __future__ import annotations

import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.browser.lab import (
    HUB,
    Lab,
    open_notebook,
    pixels,
    run_all,
    wait_for,
    wait_for_tiles,
    write_notebook,
)

NOTEBOOK = """
import json
from pathlib import Path

from ipyleaflet import Map, TileLayer
from ipywidgets import VBox
from localtileserver.tiler import get_data_path

from seglab.serve.routes import candidates
from seglab.serve.tiles import tile_server
from seglab.ui.transport import TileProbe

server = tile_server()
layer = server.add(get_data_path("landsat.tif"), indexes=[3, 2, 1], vmin=[40, 35, 35], vmax=[180, 160, 150])
routes = [vars(route) for route in candidates(server.port, layer.path_template)]
{change}
west, south, east, north = layer.bounds
shown = Map(center=((south + north) / 2, (west + east) / 2), zoom=10, basemap={{}}, layers=())
probe = TileProbe(routes, layer.path_template, layer.probe_tile, server.render, shown)
tiles = TileLayer(bounds=((south, west), (north, east)))
probe.connect(tiles, layer.path_template)

def keep(change):
    Path("result.json").write_text(json.dumps(probe.result))

probe.observe(keep, "result")
shown.add(tiles)
VBox([shown, probe])
"""

TILE_IN_THE_MIDDLE = """() => {
    const map = document.querySelector(".leaflet-container").getBoundingClientRect();
    const x = map.x + map.width / 2, y = map.y + map.height / 2;
    for (const tile of document.querySelectorAll("img.leaflet-tile")) {
        const box = tile.getBoundingClientRect();
        if (box.left <= x && x < box.right && box.top <= y && y < box.bottom)
            return {src: tile.src, left: box.left, top: box.top, width: box.width, height: box.height,
                    seen: {left: Math.max(box.left, map.left), top: Math.max(box.top, map.top),
                           right: Math.min(box.right, map.right), bottom: Math.min(box.bottom, map.bottom)}};
    }
}"""


def show(page: Page, lab: Lab, change: str = "") -> dict:
    """Run the notebook and return what the probe found."""
    result = lab.root / "result.json"
    result.unlink(missing_ok=True)
    write_notebook(lab.root / "map.ipynb", [NOTEBOOK.format(change=change)])
    open_notebook(page, lab, "map.ipynb")
    run_all(page)
    page.locator(".leaflet-container").evaluate("map => map.scrollIntoView()")

    def answer() -> dict | None:
        return json.loads(result.read_text()) if result.exists() and result.read_text() else None

    return wait_for(answer, "the answer of the probe", page)


def seen_and_served(page: Page) -> tuple[np.ndarray, np.ndarray]:
    """The tile in the middle of the map as it is on the screen, and as the server sends it over white."""
    tile = page.evaluate(TILE_IN_THE_MIDDLE)
    seen = tile["seen"]
    # 90 px from the edges, where the map's buttons and its credit are
    left, top = max(seen["left"], tile["left"]) + 90, seen["top"] + 90
    width, height = seen["right"] - 90 - left, seen["bottom"] - 90 - top
    assert tile["width"] == tile["height"] == 256 and min(width, height) > 40
    screen = pixels(page, {"x": left, "y": top, "width": width, "height": height})
    png = httpx.get(tile["src"], timeout=60, trust_env=False).content
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    row, col = round(top - tile["top"]), round(left - tile["left"])
    return screen, image[row : row + screen.shape[0], col : col + screen.shape[1]]


def assert_scene_is_seen(page: Page) -> None:
    """The screen shows what the server sends: the scene, neither grey background nor broken pictures."""
    screen, served = seen_and_served(page)
    assert screen.shape == served.shape
    assert np.abs(screen.astype(int) - served).mean() < 2
    assert screen.std() > 15
    grey = (np.ptp(screen, axis=2) == 0).mean()
    assert grey < 0.3


@pytest.mark.parametrize("jupyter", [{}, {"base_url": "/base/"}, HUB], indirect=True, ids=["root", "base_url", "hub"])
def test_tiles_arrive(page: Page, jupyter: Lab) -> None:
    statuses: list[int] = []
    page.on("response", lambda r: statuses.append(r.status) if "/localtileserver-proxy/" in r.url else None)
    result = show(page, jupyter)
    assert result["name"] == "server"
    assert result["url"].startswith(f"{jupyter.base_url}localtileserver-proxy/")
    assert [tried["status"] for tried in result["tried"]] == [200]
    wait_for_tiles(page, least=4)
    assert len(statuses) > 4 and set(statuses) == {200}
    assert_scene_is_seen(page)


WRONG_GUESS = """
for route in routes:
    route["url"] = route["url"].replace("/base/", "/elsewhere/")
"""


@pytest.mark.parametrize("jupyter", [{"base_url": "/base/"}], indirect=True, ids=["base_url"])
def test_page_knows_better_than_the_kernel(page: Page, jupyter: Lab) -> None:
    result = show(page, jupyter, WRONG_GUESS)
    assert result["name"] == "page"
    assert result["url"].startswith("/base/localtileserver-proxy/")
    assert [(tried["name"], tried["status"]) for tried in result["tried"]] == [("server", 404), ("page", 200)]
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)


NO_PROXY = """
routes = [route for route in routes if route["name"] != "page"]
for route in routes:
    route["url"] = route["url"].replace("proxy/", "blocked/")
"""


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_port_itself_where_no_proxy_helps(page: Page, jupyter: Lab) -> None:
    result = show(page, jupyter, NO_PROXY)
    assert result["name"] == "direct"
    assert [tried["status"] for tried in result["tried"]] == [404, 404, 200]
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)


NOTHING = """
server.remove(layer)
"""


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_probe_says_why_nothing_works(page: Page, jupyter: Lab) -> None:
    result = show(page, jupyter, NOTHING)
    assert (result["name"], result["url"]) == ("bytes", "")
    assert [tried["name"] for tried in result["tried"]] == ["server", "server-proxy", "direct", "comm"]
    assert all(tried["error"] for tried in result["tried"]) and result["tried"][-1]["error"] == "status 404"
    said = jupyter.run("print(probe.route, probe.works, probe.answered); print(probe.explain())")
    assert said.startswith("bytes False True\nserver: status 404")
