"""Notebook 7 and Voila: the labeler shows its scene there and answers a click."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page

from seglab.app.launch import Launch, prepare, voila_command
from seglab.datasets.examples import example
from seglab.ui.connection import WAYS
from tests.browser.lab import TIMEOUT, Lab, Notebook, wait_for, wait_for_tiles
from tests.browser.seen import assert_click_gives_a_mask, assert_scene_is_seen, message_says, open_labeler
from tests.browser.server import Server

NOTEBOOK = "app.ipynb"
CELL = """
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water"], project="app.seglab", device="cpu")
labeler
"""


@pytest.mark.parametrize("jupyter", [{"kind": Notebook, "base_url": "/base/"}], indirect=True, ids=["base_url"])
def test_notebook_7(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)
    route = "print(labeler.connection.probe.route)"
    wait_for(lambda: jupyter.run(route, NOTEBOOK) == "server\n", "the notebook server's proxy", page)
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    assert_click_gives_a_mask(page)
    page.keyboard.press("b")  # the box; in command mode a new cell
    page.locator(".seglab-toolbar .mod-active", has_text="Box").wait_for()
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells


class Dashboard(Server):
    """What `seglab label --voila` starts."""

    def __init__(self, home: Path) -> None:
        self.launch: Launch = prepare([str(example("landsat"))], {"classes": ["water"]}, home / "app.seglab")
        super().__init__(home, {})

    def command(self) -> Sequence[str]:
        return voila_command(self.launch.notebook, self.port, browser=False)

    def address(self) -> str:
        """The page with its token, as printed."""
        found = wait_for(lambda: re.search(r"http://localhost(:\d+/\S*token=\w+)", self.said()), "voila's address")
        return f"http://127.0.0.1{found[1]}"


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    server = Dashboard(tmp_path)
    yield server
    server.stop()


def test_voila(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.address())
    page.locator(".seglab-mapbox .leaflet-container").wait_for(timeout=TIMEOUT * 1000)
    wait_for_tiles(page, least=4)
    assert_scene_is_seen(page)
    assert page.get_by_text("seglab.label(").count() == 0, "the dashboard shows code"
    # Voila by itself loads no extension of the notebook server, and so has no proxy: on this machine the port itself is
    # the way, elsewhere the widgets' messages
    page.locator(".seglab-connection-button").click()
    used = page.locator(".seglab-connection p", has_text="In use:")
    wait_for(lambda: WAYS["direct"] in used.inner_text(), "the port itself to be in use", page)
    page.keyboard.press("Escape")
    used.wait_for(state="hidden")
    sources = page.locator(".seglab-mapbox img.leaflet-tile").evaluate_all("tiles => tiles.map(tile => tile.src)")
    assert sources and all(source.startswith("http://127.0.0.1:") for source in sources)
    assert_click_gives_a_mask(page)
    page.get_by_role("button", name="Accept").click()
    message_says(page, "saved")
    assert (dashboard.launch.project / "labels.gpkg").exists()
