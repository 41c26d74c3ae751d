"""The keyboard, the help, strokes and the list of objects, in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.lab import Lab, ink, wait_for, wait_for_tiles
from tests.browser.seen import message_says, middle, open_labeler, wait_for_rest

NOTEBOOK = "app.ipynb"
CELL = """
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="app.seglab", device="cpu")
session = labeler.session
labeler
"""
PONDS = ((744.5, 271.5), (600.5, 420.5), (1150.5, 400.5))
"""(col, row) of places to accept an object at."""

DRAWN = """() => {
    const canvas = document.querySelector(".seglab-canvas");
    return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0);
}"""


@pytest.fixture
def app(page: Page, jupyter: Lab) -> Lab:
    """The labeler alone in a notebook, with its imagery."""
    open_labeler(page, jupyter, NOTEBOOK, CELL, "# a second cell")
    wait_for_tiles(page, least=4)
    return jupyter


def accept_some(lab: Lab, page: Page) -> None:
    """Accept three objects by code, the last one as a field."""
    for place, name in zip(PONDS, ("water", "water", "field"), strict=True):
        lab.run(f"session.click(*{place}, crs='pixel'); session.accept({name!r})", NOTEBOOK)
    page.locator(".seglab-tab", has_text="Objects (3)").wait_for()


def focus_map(page: Page) -> None:
    page.locator(".seglab-mapbox .leaflet-container").focus()


def tool(page: Page) -> str:
    """The tools in hand: one, but for the moment in which the page follows a change."""
    return " ".join(page.locator(".seglab-toolbar .widget-toggle-button.mod-active").all_inner_texts()).strip()


def press(page: Page, key: str, wanted: str) -> None:
    page.keyboard.press(key)
    wait_for(lambda: tool(page) == wanted, f"the tool {wanted!r} after the key {key!r}", page)


def assert_help_opens_and_closes(page: Page) -> None:
    focus_map(page)
    page.keyboard.press("?")
    panel = page.locator(".seglab-help")
    panel.wait_for()
    for words in ("Accept the mask", "Undo", "Right click", "Ctrl+Z"):
        panel.get_by_text(words, exact=False).first.wait_for()
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    page.get_by_title("Keys and mouse").click()
    panel.wait_for()
    page.keyboard.press("?")
    panel.wait_for(state="hidden")


def test_keys_are_the_labelers_and_not_the_notebooks(page: Page, app: Lab) -> None:
    cells = page.locator(".jp-Notebook .jp-Cell")
    count = cells.count()
    page.mouse.click(*middle(page))  # a click on the map brings the keys here
    message_says(page, "Accept it as 'water'")
    assert page.evaluate("document.activeElement.classList.contains('leaflet-container')")
    press(page, "b", "Box")  # in command mode "b" and "a" insert cells, "x" cuts one, "d", "d" deletes one
    for key in ("x", "d", "d"):
        page.keyboard.press(key)
    page.keyboard.press("2")
    page.locator(".seglab-class.mod-active", has_text="field").wait_for()
    page.keyboard.press("a")
    message_says(page, "Accepted as 'field' and saved")
    page.keyboard.press("Control+z")
    message_says(page, "Undone: accept field")
    page.keyboard.press("Control+Shift+Z")
    message_says(page, "Redone: accept field")
    for key, name in (("m", "Minus"), ("c", "Scribble"), ("t", "Brush"), ("e", "Eraser"), ("g", "Polygon")):
        press(page, key, name)
    assert cells.count() == count

    # the arrow keys are Leaflet's: they move the map, and not from cell to cell
    center = lambda: app.run("print(labeler.view.map.center)", NOTEBOOK)  # noqa: E731
    before, active = center(), "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    cell = page.evaluate(active)
    page.keyboard.press("ArrowRight")
    wait_for(lambda: center() != before, "the map to move", page)
    assert page.evaluate(active) == cell

    # still here after a press on a button that its own action disables
    press(page, "p", "Plus")
    page.mouse.click(*middle(page))
    page.locator(".seglab-toolbar button[title^='Drop the mask']:enabled").click()
    page.locator(".seglab-toolbar button[title^='Drop the mask']:disabled").wait_for()
    press(page, "b", "Box")
    assert_help_opens_and_closes(page)
    assert cells.count() == count
    assert page.console == []


def test_typing_in_a_text_field_is_no_command(page: Page, app: Lab) -> None:
    field = page.get_by_placeholder("New class")
    field.click()
    page.keyboard.type("bapm?")
    assert field.input_value() == "bapm?"
    page.keyboard.press("Enter")
    page.locator(".seglab-class.mod-active", has_text="bapm?").wait_for()
    assert tool(page) == "Plus"
    assert page.locator(".seglab-help:visible").count() == 0
    assert app.run("print(len(session.objects), session.mask)", NOTEBOOK) == "0 None\n"

    # saving, which has Ctrl, goes on working from the map
    focus_map(page)
    dirty = "() => window.jupyterapp.shell.currentWidget.context.model.dirty"
    wait_for(lambda: page.evaluate(dirty), "a notebook with changes", page)
    page.keyboard.press("Control+s")
    wait_for(lambda: not page.evaluate(dirty), "the notebook to be saved", page)


def ready_to_draw(page: Page, key: str, name: str) -> tuple[float, float]:
    focus_map(page)
    press(page, key, name)
    page.locator(f"[data-seglab-tool={name.lower()}] .leaflet-container[data-seglab-ready]").wait_for()
    return middle(page)


def test_strokes(page: Page, app: Lab) -> None:
    x, y = ready_to_draw(page, "t", "Brush")
    wait_for_rest(page, app, NOTEBOOK)
    center = "print(labeler.view.map.center, labeler.view.map.zoom)"
    before = app.run(center, NOTEBOOK)
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    wait_for(lambda: page.evaluate(DRAWN), "the stroke to be drawn live", page)
    assert app.run("print(session.mask)", NOTEBOOK) == "None\n"  # nothing reaches the kernel meanwhile
    page.mouse.wheel(0, -300)  # the map stands still
    page.mouse.up()
    page.locator(".seglab-mapbox img.leaflet-image-layer").wait_for()
    assert app.run(center, NOTEBOOK) == before
    painted = """
col, row = session.grid.to_pixel(*labeler.frame.to_crs(*labeler.view.map.center), labeler.frame.crs)
print(session.mask.full()[int(row), int(col)])"""
    assert app.run(painted, NOTEBOOK) == "True\n"

    # a polygon, corner by corner
    page.keyboard.press("r")
    page.locator(".seglab-mapbox img.leaflet-image-layer").wait_for(state="detached")
    x, y = ready_to_draw(page, "g", "Polygon")
    corners = [(x - 60, y - 50), (x + 60, y - 50), (x + 60, y + 50), (x - 60, y + 50)]
    page.mouse.click(*corners[0])
    page.mouse.click(*corners[1])
    page.keyboard.press("Escape")  # drops it
    assert page.locator(".seglab-labeler[data-seglab-drawing]").count() == 0
    for corner in corners:
        page.mouse.click(*corner)
    page.keyboard.press("Enter")
    page.locator(".seglab-mapbox img.leaflet-image-layer").wait_for()
    assert page.locator(".seglab-mapbox .leaflet-marker-icon").count() == 0, "a corner was taken for a click"
    assert page.console == []


def test_objects_fly_to_and_delete(page: Page, app: Lab) -> None:
    accept_some(app, page)
    focus_map(page)
    page.keyboard.press("i")
    rows = page.locator(".seglab-object")
    wait_for(lambda: rows.count() == 3, "three rows", page)
    assert "field" in rows.nth(0).inner_text() and "water" in rows.nth(2).inner_text()  # the newest first
    rows.nth(2).click()
    wait_for(lambda: ink(page, "selected"), "the outline of the object", page)
    oldest = "o = session.objects[0].geometry.centroid; print(*labeler.frame.to_map(o.x, o.y))"
    lat, lon = (float(v) for v in app.run(oldest, NOTEBOOK).split())
    at = "print(*labeler.view.map.center)"
    near = lambda: all(  # noqa: E731
        abs(float(a) - b) < 0.02 for a, b in zip(app.run(at, NOTEBOOK).split(), (lat, lon), strict=True)
    )
    wait_for(near, "the map to go to the object", page)
    page.keyboard.press("Delete")
    wait_for(lambda: rows.count() == 2, "two rows", page)
    message_says(page, "Deleted the object")
    wait_for(lambda: not ink(page, "selected"), "no outline of it", page)
    assert app.run("print(len(session.objects))", NOTEBOOK) == "2\n"
    page.locator(".seglab-objects").get_by_text("field").click()
    page.get_by_role("button", name="Unsure").click()
    page.locator(".seglab-object .seglab-flag", has_text="unsure").wait_for()
    assert_ten_thousand_rows_scroll(page, app)
    assert page.console == []


MANY = """
from dataclasses import replace
one = session.objects[0]
labeler.objects.show([replace(one, id=1000 + i, note=f"number {i}") for i in range(10_000)], list(session.classes))
"""


def assert_ten_thousand_rows_scroll(page: Page, app: Lab) -> None:
    """Only rows near the view are in the page, wherever it is scrolled to."""
    app.run(MANY, NOTEBOOK)
    rows = page.locator(".seglab-object")
    rows.filter(has_text="number 9999").wait_for()
    page.locator(".seglab-objects-list").evaluate("list => { list.scrollTop = list.scrollHeight / 2; }")
    middle_row = rows.filter(has_text="number 4999")
    middle_row.wait_for()
    assert rows.count() <= 80
    middle_row.click()
    page.locator(".seglab-object.seglab-selected", has_text="number 4999").wait_for()
    page.keyboard.press("ArrowDown")
    page.locator(".seglab-object.seglab-selected", has_text="number 4998").wait_for()
