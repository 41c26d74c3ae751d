"""The project's tab in a real page: a place is gone to by keys, code is shown, and the view comes back."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.lab import Lab, run_all, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import message_says, middle, open_labeler, wait_for_rest

NOTEBOOK = "project.ipynb"
CELL = """
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="p.seglab", device="cpu")
session = labeler.session
labeler
"""


def center(lab: Lab) -> str:
    return lab.run("print([round(v, 4) for v in labeler.view.map.center], labeler.view.map.zoom)", NOTEBOOK)


def test_project_tab(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    jupyter.run("session.click(744.5, 271.5, crs='pixel'); session.accept('water')", NOTEBOOK)

    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("/")
    field = page.locator(".seglab-side input[placeholder^='48.137']")
    wait_for(lambda: field.evaluate("f => f === document.activeElement"), "the cursor in the field", page)
    before = center(jupyter)
    page.keyboard.type("pixel 300 300")
    page.keyboard.press("Enter")
    wait_for(lambda: center(jupyter) != before, "the map at the place", page)
    count = page.locator(".seglab-areas td").nth(1)
    wait_for(lambda: count.inner_text() == "1", "the object in the table", page)
    wait_for_rest(page, jupyter, NOTEBOOK)
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("Shift+A")
    page.locator("[data-seglab-tool=area] .leaflet-container[data-seglab-ready]").wait_for()
    x, y = middle(page)
    for corner in ((x - 150, y - 120), (x + 150, y - 120), (x + 100, y + 120)):
        page.mouse.click(*corner)
    screenshot(page, "project_area_drawn")
    page.keyboard.press("Enter")
    message_says(page, "stay within this area")
    drawn = "print(len(session.state.area_of_interest.geoms[0].exterior.coords), session.mask)"
    assert jupyter.run(drawn, NOTEBOOK) == "4 None\n"
    page.get_by_title("Maps and suggestions of the whole scene again").click()
    message_says(page, "whole scene again")
    page.get_by_title("Keep maps and suggestions to what is seen now").click()
    wait_for(lambda: "None" not in jupyter.run("print(session.area_of_interest)", NOTEBOOK), "the area", page)
    screenshot(page, "project_tab")

    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("Shift+P")
    code = page.locator(".seglab-code textarea")
    code.wait_for()
    wait_for(lambda: "session.accept" in code.input_value(), "the code", page)
    screenshot(page, "project_code")
    page.keyboard.press("Escape")
    code.wait_for(state="hidden")

    left = center(jupyter)
    jupyter.run("session.close(); labeler.close()", NOTEBOOK)
    run_all(page)
    wait_for_tiles(page, least=4)
    wait_for(lambda: center(jupyter) == left, "the view that was left", page)
    assert page.console == []
