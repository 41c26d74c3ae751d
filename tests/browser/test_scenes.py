"""Several scenes in one labeler, in a real page: the chooser, the keys, and clicks that go on after a change."""

from __future__ import annotations

import numpy as np
import rasterio
from playwright.sync_api import Page

from seglab.datasets.examples import example
from tests.browser.lab import Lab, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import message_says, open_labeler

NOTEBOOK = "scenes.ipynb"
CELL = """
import seglab

labeler = seglab.label(["north.tif", "south.tif"], classes=["water"], project="p.seglab", device="cpu")
labeler.session.click(450, 150, crs="pixel"); labeler.session.accept("water")
labeler
"""


def test_scenes(page: Page, jupyter: Lab) -> None:
    with rasterio.open(example("landsat")) as source:
        half = source.height // 2
        for name, row in (("north", 0), ("south", half)):
            window = rasterio.windows.Window(0, row, source.width, half)
            place = source.window_transform(window)
            profile = source.profile | {"height": half, "transform": place, "compress": "deflate"}
            with rasterio.open(jupyter.root / f"{name}.tif", "w", **profile) as target:
                target.write(np.ascontiguousarray(source.read(window=window)))
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=2)
    chosen = page.locator(".seglab-scenes select")
    words = lambda: chosen.evaluate("s => s.selectedOptions[0].text.replaceAll('\\u00a0', ' ')")  # noqa: E731
    wait_for(lambda: words() == "north (1)", "the chooser", page)
    screenshot(page, "scenes_north")

    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("PageDown")
    wait_for(lambda: words() == "south (0)", "the other scene", page)
    wait_for_tiles(page, least=2)
    assert page.locator(".leaflet-container").count() == 1
    focused = lambda: page.evaluate("document.activeElement.classList.contains('leaflet-container')")  # noqa: E731
    wait_for(focused, "the keys at the new map", page)
    frame = page.locator(".leaflet-container").bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    wait_for(lambda: page.locator(".leaflet-mask-pane img, .leaflet-image-layer").count() > 0, "the mask", page)
    page.keyboard.press("a")
    wait_for(lambda: words() == "south (1)", "the count", page)
    screenshot(page, "scenes_south")

    chosen.select_option(index=0)
    message_says(page, "north: 1 object")
    page.get_by_role("button", name="Project").click()
    page.locator("input[placeholder='next.tif']:visible").scroll_into_view_if_needed()
    screenshot(page, "scenes_project")
    assert page.console == []
