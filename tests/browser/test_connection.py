"""The labeler where no address brings its tiles to the page: by message, and as pictures of the view."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from playwright.sync_api import Page, Route, TimeoutError

from tests.browser.lab import TIMEOUT, Lab, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import assert_click_gives_a_mask, assert_scene_is_seen, message_says, middle, open_labeler

NOTEBOOK = "connection.ipynb"
CELL = """
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water"], project="connection.seglab", device="cpu")
session = labeler.session
labeler
"""
TILE = re.compile(r"/[\w-]{43}/[0-9a-f]{12}/\d+/\d+/\d+\.png$")
"""Address of a tile, by whatever server."""
NO_BRIDGE = """
from seglab.ui.tile_bridge import TileBridge
TileBridge.answer = lambda self, number, path: None
"""
"""Messages that bring no tile."""
QUICK = """() => {
    const timeout = window.setTimeout;
    window.setTimeout = (act, ms, ...given) => timeout(act, Math.min(ms, 4000), ...given);
}"""
"""The page gives up sooner."""


def block_addresses(page: Page) -> list[str]:
    """Let no tile come by HTTP; returns the addresses that were tried."""
    tried: list[str] = []

    def abort(route: Route) -> None:
        tried.append(route.request.url)
        route.abort()

    page.route(TILE, abort)
    return tried


def open_with(page: Page, lab: Lab, *first: str) -> None:
    open_labeler(page, lab, NOTEBOOK, *first, CELL)


def route(lab: Lab) -> str:
    return lab.run("print(labeler.connection.probe.route, labeler.connection.probe.answered)", NOTEBOOK).strip()


def zoom_in(page: Page, lab: Lab) -> None:
    """Turn the wheel until the map is a level deeper; its tiles may still be on their way."""
    level = "print(labeler.view.map.zoom)"
    before = lab.run(level)
    page.mouse.wheel(0, -60)
    wait_for(lambda: lab.run(level) != before, "a deeper zoom", page)


def reload(page: Page) -> None:
    """Load the page anew until its widgets are back.

    Once, on a busy machine, the page showed "Loading widget..." for two minutes: JupyterLab's widget manager gives the
    kernel 4 s to send their states, which may be why.
    """
    for patience in (40, 40, TIMEOUT):
        page.reload()
        with suppress(TimeoutError):
            page.locator(".seglab-toolbar").wait_for(timeout=patience * 1000)
            return
    raise AssertionError(f"no widget came back: {page.console}")


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_tiles_come_by_message_where_the_addresses_are_blocked(page: Page, jupyter: Lab) -> None:
    tried = block_addresses(page)
    open_with(page, jupyter)
    wait_for(lambda: route(jupyter) == "comm True", "the bridge", page)
    wait_for_tiles(page, least=4)
    sources = page.locator(".seglab-mapbox img.leaflet-tile").evaluate_all("tiles => tiles.map(tile => tile.src)")
    assert {source.split(":")[0] for source in sources} == {"blob"}
    assert_scene_is_seen(page)
    assert_click_gives_a_mask(page)

    # another zoom level, by way of levels whose tiles nobody waits for any more
    before = len(tried)
    page.mouse.move(*middle(page))
    for _ in range(3):
        zoom_in(page, jupyter)
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)
    assert len(tried) == before, "an address was asked although none works"

    page.locator(".seglab-connection-button").click()
    panel = page.locator(".seglab-connection")
    panel.wait_for()
    wait_for(lambda: "the kernel sends each tile by message" in panel.inner_text(), "the way in use", page)
    fails, works = panel.locator(".seglab-fails"), panel.locator(".seglab-works")
    wait_for(lambda: fails.count() >= 2 and works.count() == 1, "what was tried", page)
    screenshot(page, "connection_panel")
    page.unroute(TILE)  # the way is free again
    panel.get_by_role("button", name="Try again").click()
    wait_for(lambda: route(jupyter) == "server True", "the notebook server's proxy", page)
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)

    # and blocked again: tiles that do not come make the page look for another way, once some time has passed
    block_addresses(page)
    page.evaluate("() => { const now = performance.now; performance.now = () => now.call(performance) + 120000; }")
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, 60)
    wait_for(lambda: route(jupyter) == "comm True", "the bridge", page)
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_pictures_of_the_view_where_messages_bring_no_tiles(page: Page, jupyter: Lab) -> None:
    block_addresses(page)
    page.add_init_script(f"({QUICK})()")
    open_with(page, jupyter, NO_BRIDGE)
    wait_for(lambda: route(jupyter) == "bytes True", "pictures of the view", page)
    picture = page.locator(".seglab-mapbox .leaflet-imagery-pane img.leaflet-image-layer")
    picture.wait_for()
    page.wait_for_function("picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle())
    assert_scene_is_seen(page)
    message_says(page, "pictures of the view")
    assert_click_gives_a_mask(page)

    before = picture.get_attribute("src")
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, -60)
    wait_for(lambda: picture.get_attribute("src") != before, "a picture of the new view", page)
    assert_scene_is_seen(page)


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_bridge_serves_while_the_first_address_is_slow(page: Page, jupyter: Lab) -> None:
    held: list[Route] = []
    is_slow = True
    page.route(TILE, lambda route: held.append(route) if is_slow else route.continue_())
    open_with(page, jupyter)
    wait_for(lambda: route(jupyter) == "comm False", "the bridge, for the time being", page)
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)
    assert page.locator(".seglab-error, .seglab-warning").count() == 0
    is_slow = False
    for waiting in held:
        waiting.continue_()
    wait_for(lambda: route(jupyter) == "server True", "the notebook server's proxy", page)
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)
    assert page.console == []


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_reloaded_page_gets_its_tiles_by_message_again(page: Page, jupyter: Lab) -> None:
    block_addresses(page)
    open_with(page, jupyter)
    wait_for(lambda: route(jupyter) == "comm True", "the bridge", page)
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    reload(page)
    wait_for_tiles(page, least=4)
    page.locator(".seglab-toolbar").evaluate("bar => bar.scrollIntoView()")
    tile = page.locator(".seglab-mapbox img.leaflet-tile").first
    wait_for(lambda: (tile.get_attribute("src") or "").startswith("blob:"), "tiles by message", page)
    assert_scene_is_seen(page)
