"""A notebook with a labeler in it, and what its page must show."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Page

from tests.browser.lab import TIMEOUT, Lab, open_notebook, pixels, run_all, wait_for, write_notebook

STANDS_STILL = "() => !document.querySelector('.leaflet-zoom-anim, .leaflet-pan-anim')"
AT_REST = """
shown = labeler.view.map
(south, west), (north, east) = shown.bounds or ((0, 0), (0, 0))
pixel = 360 / 256 / 2**shown.zoom  # degrees of longitude; the page answers with whole pixels
is_wide = abs((east - west) / pixel - {width}) < 2
print(is_wide and abs((west + east) / 2 - shown.center[1]) < 2 * pixel and south < shown.center[0] < north)
"""
"""Whether the view that the page has told is that of the map's centre and zoom; `labeler` is the app."""


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
    """The middle of the map comes to show colours, not its grey ground (as for a moment when its tiles change)."""

    def is_coloured() -> bool:
        x, y = middle(page)
        seen = pixels(page, {"x": x - 150, "y": y - 150, "width": 300, "height": 300})
        return bool((np.ptp(seen, axis=2) > 20).mean() > 0.5)

    wait_for(is_coloured, "imagery that is not grey", page)


def message_says(page: Page, text: str, timeout: float = TIMEOUT) -> None:
    """Wait until the line below the map says something."""
    said = page.locator(".seglab-message")
    wait_for(lambda: text in said.inner_text(), f"the message {text!r}", page, timeout)


def wait_for_rest(page: Page, lab: Lab, notebook: str) -> None:
    """Wait until the map moves no more and the kernel knows the view that the page shows."""
    width = page.locator(".seglab-mapbox .leaflet-container").evaluate("map => map.clientWidth")
    asked = AT_REST.format(width=width)
    wait_for(lambda: lab.run(asked, notebook) == "True\n", "the kernel to know the view", page)
    page.wait_for_function(STANDS_STILL)


def assert_click_gives_a_mask(page: Page) -> None:
    """A click in the middle of the map brings a mask and the words that go with it."""
    page.mouse.click(*middle(page))
    page.locator(".seglab-mapbox .leaflet-mask-pane img.leaflet-image-layer").wait_for()
    message_says(page, "Accept it as")


def theme(page: Page, name: str) -> None:
    """Change JupyterLab's theme, "Dark" or "Light", and wait until it is seen."""
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {name}'}})")
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{str(name == 'Light').lower()}'")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
