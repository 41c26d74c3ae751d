"""Suggested windows in a real page: asked for, gone through by keys, marked on the map, answered."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.lab import Lab, ink, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import message_says, open_labeler, theme, wait_for_rest

NOTEBOOK = "suggest.ipynb"
CELL = """
import seglab
from shapely.geometry import box
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="suggest.seglab", device="cpu")
session = labeler.session
labeler
"""
PROPOSE = """
left, top, *_ = session.queue.current.geometry.bounds
places = [(left + 20 + 60 * i, top + 30, left + 60 + 60 * i, top + 70) for i in range(3)]
session.propose_objects([box(*p) for p in places], ["water"] * 3, [0.9, 0.8, 0.7], origin="objects found", crs="pixel")
"""


def progress_is(page: Page, text: str) -> None:
    shown = page.locator(".seglab-suggest-bar .seglab-progress")
    wait_for(lambda: shown.inner_text().strip() == text, f"the progress {text!r}", page)


def seen_in_both_themes(page: Page, name: str) -> None:
    for look in ("Dark", "Light"):
        theme(page, look)
        screenshot(page, f"{name}_{look.lower()}")


def test_suggestions_by_keys(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    page.get_by_title("How windows are chosen, and how many").click()
    page.locator(".seglab-suggest-section [title^='The strategy'], .seglab-suggest-section select").first.wait_for()
    page.locator(".seglab-suggest-section").scroll_into_view_if_needed()
    seen_in_both_themes(page, "suggest_more")
    page.locator(".seglab-suggest-section input[type=number]").fill("4")
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("s")
    progress_is(page, "1 of 4")
    wait_for(lambda: ink(page, "suggestions"), "the outlines", page)
    message_says(page, "Label what is in the marked window")
    wait_for_rest(page, jupyter, NOTEBOOK)
    wait_for_tiles(page)
    seen_in_both_themes(page, "suggest_window")
    page.keyboard.press("]")
    progress_is(page, "2 of 4")
    page.keyboard.press("[")
    progress_is(page, "1 of 4")
    jupyter.run(PROPOSE, NOTEBOOK)
    page.keyboard.press("Shift+O")
    shown = page.locator(".seglab-review:visible .seglab-progress")
    wait_for(lambda: shown.inner_text().strip() == "1 of 3", "the review of the window", page)
    page.keyboard.press("a")
    wait_for(lambda: shown.inner_text().strip() == "2 of 3", "the next object", page)
    wait_for_tiles(page)
    seen_in_both_themes(page, "suggest_objects")
    page.keyboard.press("Shift+F")
    progress_is(page, "2 of 4")
    page.locator(".seglab-review:visible").wait_for(state="detached")
    message_says(page, "Done: what is not labelled there is background")
    page.keyboard.press("Shift+X")
    progress_is(page, "3 of 4")
    page.keyboard.press("z")
    progress_is(page, "2 of 4")
    page.keyboard.press("Shift+X")
    progress_is(page, "3 of 4")
    page.keyboard.press("Shift+X")
    progress_is(page, "4 of 4")
    page.keyboard.press("Shift+X")
    message_says(page, "That was the last one")
    seen_in_both_themes(page, "suggest_all_done")
    page.get_by_title("End; what is done or skipped stays so").click()
    page.locator(".seglab-suggest-bar").wait_for(state="hidden")
    said = "print(len(session.reviewed), len(session.state.never_suggest), len(session.objects))"
    assert jupyter.run(said, NOTEBOOK) == "1 3 1\n"
    assert page.console == []
