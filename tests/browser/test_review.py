"""The review, selecting by a click and the preview under the pointer, in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.lab import Lab, ink, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import open_labeler, theme, wait_for_rest

NOTEBOOK = "review.ipynb"
CELL = """
import seglab
from shapely.geometry import box
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes=["water", "field"], project="review.seglab", device="cpu")
session = labeler.session
labeler
"""
PROPOSE = """
places = [(100, 100, 160, 150), (220, 110, 300, 170), (120, 240, 190, 300), *((400 + 12 * i, 60, 408 + 12 * i, 66)
          for i in range(20))]
session.propose_objects([box(*p) for p in places], ["water"] * 23, [0.95, 0.9, 0.85, *[0.4] * 20],
                        origin="class map of round 2", crs="pixel")
"""
DIRTY = "() => window.jupyterapp.shell.currentWidget.context.model.dirty"
DOUBT = """
from seglab.app.labels.doubts import Doubt
for place in ((100, 100, 160, 150), (220, 110, 300, 170), (120, 240, 190, 300)):
    session.paint(box(*place), crs="pixel"); session.accept("water")
words = "Rounds 2 and 3 see 'field' on 88% of it, 'water' on 7%; round 3 has learned from it"
session._doubts = tuple(Doubt(o, "field", 0.8, (2, 3), words) for o in session.objects[:2])
"""
ON_SCREEN = """
lat, lon = labeler.frame.to_map({0}, {1})
(s, w), (n, e) = labeler.view.view
import math
y = lambda v: math.asinh(math.tan(math.radians(v)))
print((lon - w) / (e - w), (y(n) - y(lat)) / (y(n) - y(s)))
"""


@pytest.fixture
def app(page: Page, jupyter: Lab) -> Lab:
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    return jupyter


def on_screen(lab: Lab, page: Page, col: float, row: float) -> tuple[float, float]:
    """Where a scene pixel is in the page, once the map rests."""
    wait_for_rest(page, lab, NOTEBOOK)
    across, down = (float(v) for v in lab.run(ON_SCREEN.format(col, row), NOTEBOOK).split())
    frame = page.locator(".seglab-mapbox .leaflet-container").bounding_box()
    return frame["x"] + across * frame["width"], frame["y"] + down * frame["height"]


def progress_is(page: Page, text: str) -> None:
    shown = page.locator(".seglab-review:not(.seglab-hidden) .seglab-progress")
    wait_for(lambda: shown.inner_text().strip() == text, f"the progress {text!r}", page)


def test_review_by_keys(page: Page, app: Lab) -> None:
    app.run(PROPOSE, NOTEBOOK)
    page.locator(".seglab-mapbox .leaflet-container").focus()
    assert ink(page, "proposed") == 0
    page.keyboard.press("q")
    progress_is(page, "1 of 23")
    wait_for(lambda: ink(page, "proposed"), "the outlines", page)
    assert app.run("print(len(labeler.view.proposed.features))", NOTEBOOK) == "23\n"
    wait_for_tiles(page, least=4)
    for name in ("Dark", "Light"):
        theme(page, name)
        screenshot(page, f"review_{name.lower()}")
    page.keyboard.press("a")
    progress_is(page, "2 of 23")
    page.keyboard.press("2")
    chosen = page.locator(".seglab-review select[title^='The class'], .seglab-review [title^='The class'] select").first
    wait_for(lambda: chosen.input_value() == "field", "another class", page)
    page.keyboard.press("Enter")
    progress_is(page, "3 of 23")
    page.keyboard.press("r")
    progress_is(page, "4 of 23")
    said = "print(*[o.class_name for o in session.objects], len(session.proposals), len(session.state.dismissed))"
    assert app.run(said, NOTEBOOK) == "water field 20 1\n"
    page.keyboard.press("n")
    progress_is(page, "5 of 23")
    page.keyboard.press("Shift+N")
    progress_is(page, "4 of 23")
    page.keyboard.press("z")
    progress_is(page, "3 of 23")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    wait_for(lambda: not page.evaluate(DIRTY), "the notebook to be saved", page)
    page.reload()  # the kernel goes on, and with it the place
    page.locator(".seglab-toolbar").wait_for()
    progress_is(page, "3 of 23")
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("Escape")
    wait_for(lambda: ink(page, "proposed") == 0, "the end of the review", page)
    assert page.console == []


def test_a_second_look_by_keys(page: Page, app: Lab) -> None:
    app.run(DOUBT, NOTEBOOK)
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("Shift+U")
    progress_is(page, "1 of 2")
    page.locator(".seglab-doubt [role=status]", has_text="Rounds 2 and 3 see 'field'").wait_for()
    pictures = page.locator(".seglab-object img[src^='data:image/jpeg']")
    wait_for(lambda: pictures.count() == 2, "two thumbnails", page)
    wait_for_rest(page, app, NOTEBOOK)
    for name in ("Dark", "Light"):
        theme(page, name)
        screenshot(page, f"second_look_{name.lower()}")
    page.keyboard.press("a")
    progress_is(page, "2 of 2")
    page.keyboard.press("2")
    progress_is(page, "all 2 done")
    said = "print(*[(o.class_name, o.kept) for o in session.objects])"
    assert app.run(said, NOTEBOOK) == "('water', True) ('field', False) ('water', False)\n"
    page.keyboard.press("z")
    progress_is(page, "2 of 2")
    page.keyboard.press("Escape")
    wait_for(lambda: page.locator(".seglab-object").count() == 3, "all objects", page)
    assert page.console == []


def test_select_by_click_and_preview(page: Page, app: Lab) -> None:
    for place, name in (((100, 100, 200, 200), "water"), ((260, 100, 360, 200), "field")):
        app.run(f"session.paint(box{place}, crs='pixel'); session.accept({name!r})", NOTEBOOK)
    app.run("labeler.view.fly_to(box(100, 100, 360, 200))", NOTEBOOK)
    wait_for_tiles(page, least=4)
    wait_for(lambda: ink(page, "labels"), "the objects", page)
    page.keyboard.down("Control")
    page.mouse.click(*on_screen(app, page, 150, 150))
    page.mouse.click(*on_screen(app, page, 310, 150))
    page.keyboard.up("Control")
    rows = page.locator(".seglab-object.seglab-selected")
    wait_for(lambda: rows.count() == 2, "two selected rows", page)
    page.keyboard.press("x")
    page.mouse.click(*on_screen(app, page, 150, 150))
    wait_for(lambda: rows.count() == 1 and "water" in rows.inner_text(), "the lake alone", page)
    assert app.run("print(session.mask, len(session.prompts.points))", NOTEBOOK) == "None 0\n"
    pictures = page.locator(".seglab-object img[src^='data:image/jpeg']")
    wait_for(lambda: pictures.count() == 2, "two thumbnails", page)
    before = pictures.nth(1).get_attribute("src")
    page.keyboard.press("f")  # refine: the object changes, and with it its picture
    page.locator(".seglab-mapbox img.leaflet-image-layer").wait_for()
    app.run("session.paint(box(200, 100, 230, 200), crs='pixel'); session.accept('water')", NOTEBOOK)

    def is_redrawn() -> bool:
        sources = pictures.evaluate_all("pictures => pictures.map(picture => picture.src)")
        return len(sources) == 2 and before not in sources

    wait_for(is_redrawn, "another picture of the object", page)
    for name in ("Dark", "Light"):
        theme(page, name)
        screenshot(page, f"selected_{name.lower()}")

    # the preview
    page.keyboard.press("p")
    page.mouse.click(*on_screen(app, page, 230, 250))
    page.locator(".seglab-mapbox img.leaflet-image-layer").wait_for()
    page.keyboard.press("r")
    page.locator(".seglab-mapbox img.leaflet-image-layer").wait_for(state="detached")
    x, y = on_screen(app, page, 232, 252)
    page.mouse.move(x, y, steps=8)
    wait_for(lambda: ink(page, "preview"), "a preview", page)
    screenshot(page, "preview")
    assert app.run("print(session.mask, len(session.objects))", NOTEBOOK) == "None 2\n"
    page.mouse.move(x, page.locator(".seglab-toolbar").bounding_box()["y"] + 5, steps=4)
    page.locator(".seglab-place").wait_for(state="detached")
    wait_for(lambda: ink(page, "preview") == 0, "no preview outside the map", page)
    page.keyboard.press("d")
    page.locator(".seglab-toolbar [aria-pressed=false][title^='Preview']").wait_for()
    page.mouse.move(x, y, steps=8)
    page.locator(".seglab-place", has_text="°").wait_for()
    assert app.run("print(labeler.hover.is_on)", NOTEBOOK) == "False\n"
    assert ink(page, "preview") == 0
    assert page.console == []
