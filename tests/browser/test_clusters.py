"""Clusters in a real page: found, chosen on the map, labelled, merged, and all of it taken back by a key."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.lab import Lab, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import message_says, middle, open_labeler, theme, wait_for_rest

NOTEBOOK = "clusters.ipynb"
CELL = """
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="clusters.seglab", device="cpu")
session = labeler.session
session.propose(4, steps=3, resolution=480).result()
labeler
"""


def test_clusters_by_clicks_and_keys(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    page.locator(".seglab-tab", has_text="Model").click()
    rows = page.locator(".seglab-clusters .seglab-classes button")
    wait_for(lambda: rows.count() > 1, "the clusters", page)
    count = rows.count()
    rows.first.scroll_into_view_if_needed()
    wait_for_rest(page, jupyter, NOTEBOOK)
    map_ = page.locator(".seglab-mapbox .leaflet-container")
    map_.focus()
    page.keyboard.press("Shift+K")
    message_says(page, "Click a colour on the map")
    page.mouse.click(*middle(page))
    message_says(page, "Take a class in hand")
    chosen = page.locator(".seglab-clusters .seglab-classes button.mod-active")
    wait_for(lambda: chosen.count() == 1, "the cluster in hand", page)
    assert jupyter.run("print(session.prompts.is_empty, session.mask)", NOTEBOOK) == "True None\n"
    for look in ("Dark", "Light"):
        theme(page, look)
        wait_for_tiles(page)
        screenshot(page, f"clusters_chosen_{look.lower()}")

    page.keyboard.press("a")
    message_says(page, "as 'water' and saved")
    named = rows.filter(has_text="water ✓")
    wait_for(lambda: named.count() == 1, "the name in the list", page)
    wait_for_tiles(page)
    screenshot(page, "clusters_named")
    page.keyboard.press("z")
    wait_for(lambda: named.count() == 0, "the name to be taken back", page)

    page.mouse.click(*middle(page))
    wait_for(lambda: chosen.count() == 1, "the cluster in hand again", page)
    page.get_by_role("button", name="Merge", exact=True).click()
    wait_for(lambda: rows.count() == count - 1, "one cluster less", page)
    map_.focus()
    page.keyboard.press("z")
    wait_for(lambda: rows.count() == count, "the merge to be taken back", page)
    page.keyboard.press("Escape")
    wait_for(lambda: chosen.count() == 0, "no cluster in hand", page)
    page.keyboard.press("Escape")
    picking = page.locator("button.mod-active", has_text="Choose on the map")
    wait_for(lambda: picking.count() == 0, "clicks to be prompts again", page)
    page.mouse.click(*middle(page))
    page.locator(".seglab-mapbox .leaflet-mask-pane img.leaflet-image-layer").wait_for()
    screenshot(page, "clusters_and_a_mask")
    assert page.console == []
