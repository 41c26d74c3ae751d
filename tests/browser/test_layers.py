"""What the map shows: looks of the imagery, layers one by one, and two of them beside a divider."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

from tests.browser.lab import Lab, pixels, screenshot, wait_for, wait_for_tiles
from tests.browser.seen import open_labeler

NOTEBOOK = "layers.ipynb"
TILES = """
import seglab
from seglab.datasets.examples import example

labeler = seglab.label(example("landsat"), classes={"water": "#d55e00"}, project="layers.seglab", device="cpu")
session = labeler.session
labeler
"""
PLAIN = """
import numpy as np
import seglab

photo = np.zeros((300, 400, 3), "uint8")
photo[:, :, 0], photo[:, :, 2] = 220, np.linspace(0, 255, 400)
labeler = seglab.label(photo, classes={"thing": "#ffffff"}, project="plain.seglab", device="cpu")
session = labeler.session
labeler
"""
DATED = """
import rasterio
import seglab
from seglab.datasets.examples import example

latest = example("landsat")
with rasterio.open(latest) as source:
    profile, image = source.profile, source.read()
with rasterio.open("earlier.tif", "w", **profile) as target:
    target.write(image[:, ::-1])
labeler = seglab.label({"2000-08-01": "earlier.tif", "2002-07-21": latest}, project="dated.seglab", device="cpu")
session = labeler.session
labeler
"""
MAPPED = """
import shapely

session.paint(shapely.box(700, 60, 1250, 480), crs="pixel")  # large enough to be seen, whatever the model maps
session.accept("water")
session.predict().result()
"""
PAINTED = """
import shapely

session.paint(shapely.box(20, 20, 380, 280), crs="pixel")
session.accept("thing")
"""
DARK = """() => window.jupyterapp.commands.execute("apputils:change-theme", {theme: "JupyterLab Dark"})"""
DRAWN_ON = """name => [...document.querySelectorAll(`.leaflet-${name}-pane canvas`)].some(canvas =>
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0))"""
LOADED = """() => {
    const pictures = [...document.querySelectorAll(".leaflet-imagery-pane img")]; // none for a moment, at another look
    return pictures.length > 0 && [...pictures, ...document.querySelectorAll("img.leaflet-tile")].every(picture =>
        picture.complete && picture.naturalWidth > 0 && getComputedStyle(picture).opacity === "1");
}"""
PANE = """name => {
    const style = getComputedStyle(document.querySelector(`.leaflet-${name}-pane`));
    return [style.display, Number(style.opacity)];
}"""


def open_app(page: Page, lab: Lab, cell: str) -> None:
    """A labeler alone in a notebook, with its imagery and the tab of its layers."""
    open_labeler(page, lab, NOTEBOOK, cell)
    page.locator(".leaflet-container[data-seglab-panes]").wait_for()
    page.locator(".seglab-tab", has_text="Layers").click()


@pytest.fixture
def app(page: Page, jupyter: Lab) -> Lab:
    """The labeler on tiles."""
    open_app(page, jupyter, TILES)
    wait_for_tiles(page, least=4)
    return jupyter


def the_map(page: Page) -> np.ndarray:
    """What is seen of the map's middle, without its controls: (rows, cols, 3)."""
    page.mouse.move(5, 5)  # the pointer's place is written over the map
    box = page.locator(".seglab-mapbox .leaflet-container").bounding_box()
    clip = {"x": box["x"] + 160, "y": box["y"] + 90, "width": box["width"] - 320, "height": box["height"] - 180}
    return pixels(page, clip).astype(int)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Grey levels that two pictures differ by, on average."""
    return float(np.abs(first - second).mean())


def until(page: Page, seen: Callable[[np.ndarray], bool], what: str) -> np.ndarray:
    """Wait until the map has all its tiles, stands still and looks as it should, and return how it looks."""
    last = [the_map(page)]

    def looks_so() -> bool:
        last.append(the_map(page))
        return bool(page.evaluate(LOADED)) and difference(last[-1], last[-2]) == 0 and seen(last[-1])

    wait_for(looks_so, what, page)
    return last[-1]


def at_rest(page: Page) -> np.ndarray:
    """How the map looks once it stands still."""
    return until(page, lambda seen: True, "the map to stand still")


def control(page: Page, tooltip: str) -> Locator:
    """A list of the panel, by the beginning of its tooltip."""
    return page.locator(f".seglab-layers select[title^='{tooltip}'], .seglab-layers [title^='{tooltip}'] select").first


def eye(page: Page, pane: str) -> Locator:
    return page.locator(f".seglab-layer-{pane} .seglab-eye")


def halves(picture: np.ndarray, margin: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """What is seen well to the left and well to the right of the middle."""
    middle = picture.shape[1] // 2
    return picture[:, : middle - margin], picture[:, middle + margin :]


def test_looks_of_the_imagery(page: Page, app: Lab) -> None:
    model = at_rest(page)
    screenshot(page, "layers_light")
    control(page, "Bands and colours").select_option("NDVI")
    ndvi = until(page, lambda seen: difference(seen, model) > 30, "the NDVI")
    greens = ndvi[..., 1] - ndvi[..., 2]  # its ramp goes from pale yellow to green, where the scene is grey and brown
    assert (greens > 20).mean() > 3 * (model[..., 1] - model[..., 2] > 20).mean()
    page.locator(".seglab-look .seglab-ramp").wait_for()
    screenshot(page, "layers_ndvi")

    page.locator(".seglab-mapbox .leaflet-container").focus()
    for _ in range(2):  # past the last look comes the first
        page.keyboard.press("w")
    back = until(page, lambda seen: difference(seen, model) < 2, "the model's look again")
    control(page, "Bands and colours").select_option("Bands by hand")
    control(page, "Band shown as: red").select_option("5: B5")
    until(page, lambda seen: difference(seen, back) > 10, "other bands")
    assert app.run("print(session.scene.bands)", NOTEBOOK) == "(3, 2, 1)\n"

    page.evaluate(DARK)
    wait_for(lambda: page.evaluate("document.body.dataset.jpThemeLight") == "false", "the dark theme", page)
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    screenshot(page, "layers_dark")
    assert page.console == []


def test_layers_are_shown_hidden_and_faded(page: Page, app: Lab) -> None:
    before = at_rest(page)
    app.run(MAPPED, NOTEBOOK)
    mapped = until(page, lambda seen: difference(seen, before) > 5, "the class map")
    wait_for_tiles(page, least=8)
    wait_for(lambda: page.evaluate(PANE, "prediction") == ["block", 0.6], "a faint class map", page)
    eye(page, "prediction").click()
    wait_for(lambda: page.evaluate(PANE, "prediction")[0] == "none", "the class map to be hidden", page)
    eye(page, "labels").click()
    until(page, lambda seen: difference(seen, before) < 1, "the imagery alone")
    pressed = lambda: eye(page, "prediction").get_attribute("aria-pressed")  # noqa: E731
    wait_for(lambda: pressed() == "false", "a button that says it is hidden", page)

    eye(page, "prediction").click()
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("Shift+L")
    until(page, lambda seen: difference(seen, mapped) < 1, "all of it again")
    page.locator(".seglab-layer-prediction [role=slider], .seglab-layer-prediction .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: page.evaluate(PANE, "prediction")[1] > 0.6, "a stronger class map", page)

    eye(page, "confidence").click()
    until(page, lambda seen: difference(seen, mapped) > 10, "the confidence")
    screenshot(page, "layers_confidence")
    eye(page, "encoded").click()
    page.wait_for_function(DRAWN_ON, arg="encoded")
    assert page.console == []


def test_divider_between_two_looks(page: Page, app: Lab) -> None:
    model = at_rest(page)
    control(page, "Bands and colours").select_option("NDVI")
    ndvi = until(page, lambda seen: difference(seen, model) > 30, "the NDVI")
    page.locator(".seglab-layers button", has_text="Swipe").click()
    divider = page.locator(".seglab-divider")
    divider.wait_for()
    control(page, "Only seen on the right").select_option("Imagery: As the model sees it")
    named = "Divider: NDVI on the left, As the model sees it on the right"
    wait_for(lambda: divider.get_attribute("aria-label") == named, "the model's look beside it", page)

    def is_divided(seen: np.ndarray) -> bool:
        (left, right), (first, _), (_, second) = halves(seen), halves(ndvi), halves(model)
        return difference(left, first) < 1 and difference(right, second) < 1

    until(page, is_divided, "each look on its side")
    screenshot(page, "layers_divided")

    # dragged, and nothing of it reaches the map
    place = divider.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + 200
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 5, steps=5)
    page.mouse.up()
    wait_for(lambda: abs(divider.bounding_box()["x"] - place["x"] - 120) < 2, "the divider to follow", page)
    page.mouse.click(x + 120, y)
    page.mouse.dblclick(x + 120, y)
    assert app.run("print(session.mask, labeler.view.map.zoom)", NOTEBOOK).startswith("None")

    # by the keyboard, to the end: the left look fills the map
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    center = app.run("print(labeler.view.map.center)", NOTEBOOK)
    divider.focus()
    for key in ("ArrowLeft", "ArrowRight", "End"):
        page.keyboard.press(key)
    until(page, lambda seen: difference(seen, ndvi) < 1, "the left look alone")
    assert divider.get_attribute("aria-valuenow") == "100"
    wait_for(lambda: app.run("print(labeler.panes.position)", NOTEBOOK) == "1.0\n", "the kernel to know", page)
    assert app.run("print(labeler.view.map.center)", NOTEBOOK) == center
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells

    # what is cut stays cut while the map moves
    page.keyboard.press("Home")
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: app.run("print(labeler.view.map.center)", NOTEBOOK) != center, "the map to move", page)
    wait_for_tiles(page, least=8)
    page.keyboard.press("Shift+W")
    divider.wait_for(state="detached")
    moved = at_rest(page)
    page.keyboard.press("Shift+W")
    divider.wait_for()
    until(page, lambda seen: difference(seen, moved) > 30, "the right look alone")
    assert page.console == []


def test_dates_are_seen_one_by_one_and_clicks_follow_when_told(page: Page, jupyter: Lab) -> None:
    open_app(page, jupyter, DATED)
    wait_for_tiles(page, least=4)
    latest = the_map(page)
    bar = page.locator(".seglab-dates")
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press(",")
    bar.get_by_text("Viewing 2000-08-01; clicks are answered on 2002-07-21.").wait_for()
    until(page, lambda seen: difference(seen, latest) > 10, "the earlier date")
    screenshot(page, "dates_apart")
    bar.get_by_role("button", name="Use this date").click()
    bar.get_by_text("Clicks are answered on this date.").wait_for()
    assert jupyter.run("print(session.date, len(session.labels))", NOTEBOOK) == "2000-08-01 0\n"

    bar.locator(".noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    bar.get_by_text("Viewing 2002-07-21; clicks are answered on 2000-08-01.").wait_for()
    until(page, lambda seen: difference(seen, latest) < 1, "the latest date, and no tile of the other")
    assert page.console == []


def test_divider_cuts_outlines_and_images(page: Page, jupyter: Lab) -> None:
    open_app(page, jupyter, PLAIN)
    page.locator(".leaflet-imagery-pane img").wait_for()
    bare = at_rest(page)
    jupyter.run(PAINTED, NOTEBOOK)
    outlined = until(page, lambda seen: difference(seen, bare) > 5, "the object")
    page.locator(".seglab-layers button", has_text="Swipe").click()
    page.locator(".seglab-divider").wait_for()
    control(page, "Only seen on the left").select_option("Nothing")
    control(page, "Only seen on the right").select_option("Labels")

    def is_divided(seen: np.ndarray) -> bool:
        (left, right), (first, _), (_, second) = halves(seen), halves(bare), halves(outlined)
        return difference(left, first) < 1 and difference(right, second) < 1

    until(page, is_divided, "labels on the right only")
    control(page, "Only seen on the left").select_option("Imagery")
    until(page, lambda seen: difference(halves(seen)[1], halves(outlined)[1]) > 10, "imagery on the left only")
    assert page.console == []
