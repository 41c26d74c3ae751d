"""The project's tab in a real page: a place is gone to by keys, code is shown, and the view comes back."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.lab import Lab, ink, run_all, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import message_says, middle, open_labeler, theme, wait_for_rest

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


ANNOTATORS = """
import geopandas
import seglab
from shapely.geometry import box
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="p.seglab", author="alice", device="cpu")
session, grid = labeler.session, labeler.session.grid
for corners in ((704, 240, 780, 300), (496, 236, 576, 296)):
    session.paint(box(*corners), crs="pixel")
    session.accept("water")
his = [box(700, 240, 780, 300), box(500, 240, 580, 300), box(620, 100, 700, 150)]
his = geopandas.GeoSeries([grid.geometry_from_pixel(one, grid.crs) for one in his], crs=grid.crs)
geopandas.GeoDataFrame({"class": ["water", "field", "field"]}, geometry=his).to_file("bob.gpkg")
labeler
"""


def test_two_annotators(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter, "annotators.ipynb", ANNOTATORS)
    page.locator(".seglab-tab", has_text="Project").click()
    page.locator(".seglab-side input[placeholder='hers.seglab']").fill("bob.gpkg")
    page.keyboard.press("Enter")
    sheet = page.locator(".seglab-agreement-sheet")
    sheet.wait_for()
    assert "2 disputes, none settled" in sheet.inner_text() and "substantial" in sheet.inner_text()
    screenshot(page, "agreement_light")
    theme(page, "Dark")
    screenshot(page, "agreement_dark")
    sheet.get_by_text("Settle one by one").click()
    bar = page.locator(".seglab-settle:not(.seglab-suggest-bar)")
    wait_for(lambda: "1 of 2" in bar.inner_text(), "the first dispute", page)
    if "calls it" not in bar.inner_text():
        page.keyboard.press("n")
    wait_for(lambda: "bob calls it 'field'" in bar.inner_text(), "the dispute about a class", page)
    wait_for(lambda: ink(page, "selected"), "the two outlines", page)
    wait_for_tiles(page, least=4)
    page.get_by_title("Go through what they dispute, one by one").scroll_into_view_if_needed()
    screenshot(page, "settling_dark")
    theme(page, "Light")
    screenshot(page, "settling_light")
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("2")
    message_says(page, "bob is right")
    wait_for(lambda: "alice has not labelled it" in bar.inner_text(), "the other dispute", page)
    page.keyboard.press("1")
    wait_for(lambda: "All 2 are settled" in bar.inner_text(), "the end", page)
    page.keyboard.press("z")
    wait_for(lambda: "alice has not labelled it" in bar.inner_text(), "the dispute again", page)
    page.keyboard.press("Escape")
    bar.wait_for(state="hidden")
    said = "print(*[(o.class_name, o.author) for o in session.objects])"
    assert jupyter.run(said, "annotators.ipynb") == "('water', 'alice') ('field', 'bob')\n"

    page.get_by_title("Show how far they agree").click()
    sheet.get_by_text("Merge…").click()
    sheet.get_by_text("1 object of bob comes in, yours stay").wait_for()
    screenshot(page, "merge_asked")
    sheet.get_by_title("Do it; one undo takes it back").click()
    wait_for(lambda: "They dispute nothing." in sheet.inner_text(), "the comparison after the merge", page)
    assert page.console == []
