"""A notebook with a labeler in it, and what its page must show."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Page

from tests.browser.lab import Lab, open_notebook, pixels, run_all, wait_for, write_notebook


def open_labeler(page: Page, lab: Lab, notebook: str, *cells: str) -> None:
    """Write a notebook of these cells, run it, and scroll to the labeler; its imagery may still be on its way."""
    write_notebook(lab.root / notebook, cells)
    open_notebook(page, lab, notebook)
    run_all(page)
    page.locator(".seglab-toolbar").evaluate("bar => bar.scrollIntoView()")


def middle(page: Page) -> tuple[float, float]:
    """(x, y) of the middle of the map on the screen."""
    box = page.locator(".seglab-mapbox .leaflet-container").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def assert_scene_is_seen(page: Page) -> None:
    """The middle of the map shows colours, not its grey ground."""
    x, y = middle(page)
    seen = pixels(page, {"x": x - 150, "y": y - 150, "width": 300, "height": 300})
    assert (np.ptp(seen, axis=2) > 20).mean() > 0.5, "the imagery is grey"


def assert_click_gives_a_mask(page: Page) -> None:
    """A click in the middle of the map brings a mask and the words that go with it."""
    page.mouse.click(*middle(page))
    page.locator(".seglab-mapbox .leaflet-mask-pane img.leaflet-image-layer").wait_for()
    wait_for(lambda: "Accept it as" in page.locator(".seglab-message").inner_text(), "the mask's message", page)
