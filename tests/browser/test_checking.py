"""The check of a map in a real page: asked without the map in sight, answered by keys, and summed up."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.lab import Lab, ink, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import open_labeler

NOTEBOOK = "check.ipynb"
CELL = """
import numpy as np
import rasterio
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="check.seglab", device="cpu")
session = labeler.session
labeler
"""
MAP = """
grid, folder = session.grid, session.project.folder / "maps"
folder.mkdir(exist_ok=True)
rows, cols = np.indices(grid.shape)
found = np.where((cols // 40 + rows // 40) % 5 == 0, 1, np.where(rows > grid.height // 2, 2, 0)).astype(np.uint8)
with rasterio.open(folder / "map_001.tif", "w", driver="GTiff", width=grid.width, height=grid.height, count=1,
                   dtype="uint8", crs=grid.crs.to_wkt(), transform=grid.transform, nodata=255) as file:
    file.write(found, 1)
data = {"round": 0, "classes": ["water", "field"], "path": "maps/map_001.tif", "confidence": "maps/map_001.tif"}
session._ledger.record("prediction", data, "prediction")
"""
"""Has a map of the scene, as if a model had made it."""


def place_is(page: Page, text: str) -> None:
    shown = page.locator(".seglab-check .seglab-progress")
    wait_for(lambda: shown.inner_text().strip() == text, f"place {text!r}", page)


def pane_is_shown(page: Page, name: str) -> bool:
    pane = page.locator(f".leaflet-{name}-pane")
    return pane.evaluate("pane => getComputedStyle(pane).display") != "none"


def test_check_by_keys(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    jupyter.run(MAP, NOTEBOOK)
    wait_for(lambda: pane_is_shown(page, "prediction"), "the map", page)
    size = page.get_by_role("spinbutton", name="Places of the map")
    size.fill("12")
    size.press("Tab")
    page.get_by_title("Draw places and be asked about them").click()
    place_is(page, "1 of 12")
    wait_for(lambda: not pane_is_shown(page, "prediction"), "the map to be hidden", page)
    wait_for(lambda: ink(page, "selected"), "the outline of the pixel", page)
    assert page.locator(".seglab-tabs").is_hidden() and page.locator(".seglab-check").is_visible()
    wait_for_tiles(page)
    screenshot(page, "check_question")
    page.locator(".seglab-mapbox .leaflet-container").focus()
    for key, after in (("1", "2 of 12"), ("2", "3 of 12"), ("0", "4 of 12"), ("u", "5 of 12"), ("Shift+N", "4 of 12")):
        page.keyboard.press(key)
        place_is(page, after)
    chosen = page.locator(".seglab-check .seglab-class:has(i.fa-check)")
    wait_for(lambda: chosen.count() == 1 and "Cannot tell" in chosen.inner_text(), "the answer that was given", page)
    screenshot(page, "check_answered")
    page.keyboard.press("z")
    said = "print(len(session.check.answers), labeler.checking._number)"
    wait_for(lambda: jupyter.run(said, NOTEBOOK) == "3 3\n", "the answer to be taken back", page)
    jupyter.run("[session.answer_check(['water', 'field', 'background'][i % 3], i) for i in range(11)]", NOTEBOOK)
    page.keyboard.press("n")
    place_is(page, "12 of 12")
    page.keyboard.press("1")
    results = page.locator(".seglab-results")
    results.wait_for()
    assert "Overall accuracy" in results.inner_text() and results.locator("table").count() == 2
    screenshot(page, "check_results")
    page.keyboard.press("Escape")
    results.wait_for(state="hidden")
    wait_for(lambda: pane_is_shown(page, "prediction"), "the map again", page)
    assert page.console == []
