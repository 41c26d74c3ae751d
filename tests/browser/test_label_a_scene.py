"""The first notebook in a real JupyterLab: open, click a lake, accept, retrain, map."""

from __future__ import annotations

import io
import math
import re
import shutil
from dataclasses import dataclass

import geopandas as gpd
import httpx
import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import Page
from scipy import ndimage
from shapely.geometry import Point

from seglab.core.annotator import mndwi, otsu
from seglab.datasets.examples import example
from tests.browser.lab import (
    HUB,
    Lab,
    ink,
    open_notebook,
    pixels,
    run_all,
    wait_for,
    wait_for_tiles,
)
from tests.browser.seen import assert_scene_is_seen, message_says
from tests.browser.server import ROOT

NOTEBOOK = "01_label_a_scene.ipynb"
POND = (744.5, 271.5)
"""(col, row) in a pond of 1343 pixels of the Landsat scene."""
GREEN, SWIR = 2, 5
COLOUR = (0x00, 0x72, 0xB2)
"""Of the first class."""
MARKER = 14
"""Screen pixels around a click that its marker may cover."""

TILES = """() => [...document.querySelectorAll(".seglab-mapbox img.leaflet-tile")].map(tile => {
    const box = tile.getBoundingClientRect();
    return {src: tile.src, left: box.left, top: box.top, size: box.width};
})"""


@dataclass(frozen=True)
class View:
    """Where the page shows what, worked out from the tiles that are in it."""

    zoom: int
    left: float
    """Screen x of the west edge of the Web Mercator world."""
    top: float
    """Screen y of its north edge."""

    @property
    def world(self) -> float:
        """Screen pixels once around the world."""
        return 256.0 * 2**self.zoom

    def to_screen(self, lon: float, lat: float) -> tuple[float, float]:
        y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
        return self.left + (lon + 180) / 360 * self.world, self.top + y * self.world

    def to_degrees(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lon = (x - self.left) / self.world * 360 - 180
        return lon, np.degrees(np.arctan(np.sinh(math.pi * (1 - 2 * (y - self.top) / self.world))))


def view_of(page: Page) -> View:
    """The view, from the tiles of the deepest level, once the map has stopped moving."""

    def look() -> View | None:
        found = []
        for tile in page.evaluate(TILES):
            z, x, y = (int(part) for part in re.search(r"/(\d+)/(\d+)/(\d+)\.png", tile["src"]).groups())
            if tile["size"] != 256:
                return None  # in the middle of zooming
            found.append(View(z, tile["left"] - 256 * x, tile["top"] - 256 * y))
        return max(found, key=lambda view: view.zoom) if found else None

    def rest() -> View | None:
        view = look()
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return view if view is not None and view == look() else None

    return wait_for(rest, "the map to come to rest", page)


def open_labeler(page: Page, lab: Lab) -> None:
    """Run the whole notebook afresh and wait for the imagery."""
    shutil.rmtree(lab.root / "landsat.seglab", ignore_errors=True)
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, lab.root / NOTEBOOK)
    open_notebook(page, lab, NOTEBOOK)
    run_all(page)
    page.locator(".seglab-toolbar").evaluate("bar => bar.scrollIntoView()")
    wait_for_tiles(page, least=4)


def wait_for_message(page: Page, text: str) -> None:
    message_says(page, text, timeout=240.0)


def map_box(page: Page) -> dict[str, float]:
    """The map on the screen, without its outermost pixels and the controls at its corners."""
    box = page.locator(".seglab-mapbox .leaflet-container").bounding_box()
    left, top = math.ceil(box["x"]) + 60, math.ceil(box["y"]) + 60  # whole pixels, as a screenshot has them
    return {"x": left, "y": top, "width": math.floor(box["width"]) - 122, "height": math.floor(box["height"]) - 122}


def zoom_to(page: Page, lab: Lab, lon: float, lat: float, zoom: int) -> View:
    """Turn the wheel over a place until it is seen at a zoom level."""
    while (view := view_of(page)).zoom < zoom:
        page.mouse.move(*view.to_screen(lon, lat))
        page.mouse.wheel(0, -60)
        wait_for(lambda now=view.zoom: view_of(page).zoom > now, "a deeper zoom", page)
    wait_for_tiles(page, least=4)
    return view_of(page)


def degrees_of(col: float, row: float) -> tuple[float, float]:
    with rasterio.open(example("landsat")) as source:
        a, _, c, _, e, f = source.transform[:6]
    return a * col + c, e * row + f


def water() -> np.ndarray:
    """(rows, cols) bool: water by MNDWI and Otsu's threshold, from the file itself."""
    with rasterio.open(example("landsat")) as source:
        index = mndwi(*source.read([GREEN, SWIR]).astype("float32"))
    return index > otsu(index)


def scene_values(view: View, clip: dict[str, float], values: np.ndarray) -> np.ndarray:
    """What a scene-sized array has below each screen pixel of a clip; the file is in degrees, north up."""
    x = clip["x"] + np.arange(clip["width"]) + 0.5
    y = clip["y"] + np.arange(clip["height"]) + 0.5
    lon, lat = view.to_degrees(*np.meshgrid(x, y))
    with rasterio.open(example("landsat")) as source:
        inverse = ~source.transform
    cols = np.floor(inverse.a * lon + inverse.c).astype(int)
    rows = np.floor(inverse.e * lat + inverse.f).astype(int)
    inside = (cols >= 0) & (rows >= 0) & (cols < values.shape[1]) & (rows < values.shape[0])
    found = np.zeros(lon.shape, dtype=values.dtype)
    found[inside] = values[rows[inside], cols[inside]]
    return found


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(before.astype(int) - after).max(axis=2) > 4


def assert_overlay_lies_on_the_mask(
    page: Page, lab: Lab, view: View, clip: dict[str, float], before: np.ndarray, click: tuple[float, float]
) -> None:
    """The overlay is where the session's mask is, to the screen pixel, and where the water is."""
    page.wait_for_function("document.querySelector('.seglab-mapbox img.leaflet-image-layer')?.complete")
    wait_for(lambda: ink(page, "preview") == 0, "no preview any more", page)
    after = pixels(page, clip)
    seen = changed(before, after)
    lab.run("import numpy; numpy.save('mask.npy', session.mask.full())", NOTEBOOK)
    expected = scene_values(view, clip, np.load(lab.root / "mask.npy"))
    rows, cols = np.mgrid[: seen.shape[0], : seen.shape[1]]
    marker = np.hypot(cols + clip["x"] - click[0], rows + clip["y"] - click[1]) < MARKER
    assert expected.sum() > 500, "the mask is hardly in view"
    # one screen pixel of tolerance, and what is just beyond the clip is not known
    touches = ndimage.binary_dilation(expected, np.ones((3, 3)), border_value=1)
    well_inside = ndimage.binary_erosion(expected, np.ones((3, 3)))
    tells = np.abs(before.astype(int) - COLOUR).max(axis=2) > 20  # where the imagery has another colour
    assert not (seen & ~touches & ~marker).any(), "the overlay covers what is not in the mask"
    assert seen[well_inside & tells & ~marker].all(), "the overlay leaves out what is in the mask"
    wet = scene_values(view, clip, water())
    assert (seen & wet & ~marker).sum() / (seen & ~marker).sum() > 0.6, "the overlay is not on the water"


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_label_retrain_map(page: Page, jupyter: Lab) -> None:
    answers: list[tuple[str, int]] = []
    page.on("response", lambda r: answers.append((r.url, r.status)) if "/localtileserver-proxy/" in r.url else None)
    open_labeler(page, jupyter)
    wait_for_message(page, "Choose a class, then click an object.")
    assert_scene_is_seen(page)
    assert {status for _, status in answers} == {200}

    # a known place
    lon, lat = degrees_of(*POND)
    view = zoom_to(page, jupyter, lon, lat, 13)
    wait_for(lambda: jupyter.run("print(session.scale)", NOTEBOOK) == "1\n", "the scale of the view")
    clip = map_box(page)
    x, y = (round(v) for v in view.to_screen(lon, lat))
    assert clip["x"] < x < clip["x"] + clip["width"] and clip["y"] < y < clip["y"] + clip["height"]
    page.mouse.move(5, 5)  # else a preview could be in the picture
    wait_for(lambda: ink(page, "preview") == 0, "no preview", page)
    before = pixels(page, clip)
    page.mouse.click(x, y)
    wait_for_message(page, "Accept it as 'water'")
    assert_overlay_lies_on_the_mask(page, jupyter, view, clip, before, (x, y))

    # accept: on disk, and drawn
    page.get_by_role("button", name="Accept").click()
    wait_for_message(page, "Accepted as 'water' and saved")
    table = gpd.read_file(jupyter.root / "landsat.seglab" / "labels.gpkg", layer="labels")
    assert len(table) == 1
    row = table.to_crs("EPSG:4326").iloc[0]
    assert "water" in row.drop("geometry").tolist()
    assert row.geometry.contains(Point(lon, lat))
    wait_for(lambda: ink(page, "labels"), "the outline of the object", page)
    page.get_by_role("button", name="water (1)").wait_for()

    # retrain: live figures, then the round is in use
    page.get_by_role("button", name="Retrain").click()
    row = page.locator(".seglab-job")
    row.locator("text=/loss .* IoU /").wait_for()
    assert row.get_by_role("button", name="Cancel").is_enabled()
    wait_for_message(page, "Round 1 is in use")
    assert jupyter.run("print(session.round, len(session.rounds))", NOTEBOOK) == "1 1\n"

    # the map of the rest, as a layer
    known = {layer_of(url) for url, _ in answers}
    clip_before = pixels(page, clip)
    page.get_by_role("button", name="Map the scene").click()
    wait_for_message(page, "The class map is in")
    wait_for(lambda: {layer_of(u) for u, _ in answers} - known, "tiles of the class map", page)
    wait_for_tiles(page, least=8)
    fresh = [(u, s) for u, s in answers if layer_of(u) not in known]
    assert {status for _, status in fresh} == {200}
    assert any((tile_image(url) == (*COLOUR, 255)).all(axis=2).any() for url, _ in fresh), "the class map is empty"
    wait_for(lambda: changed(clip_before, pixels(page, clip)).any(), "the class map to be seen", page)
    assert page.console == []


def tile_image(url: str) -> np.ndarray:
    """(rows, cols, 4) uint8: a tile as it is served."""
    png = httpx.get(url, timeout=60, trust_env=False).content
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def layer_of(url: str) -> str:
    """The tile server's name of the layer that a tile belongs to."""
    return url.split("/")[-4]


@pytest.mark.parametrize("jupyter", [HUB], indirect=True, ids=["hub"])
def test_map_and_click(page: Page, jupyter: Lab) -> None:
    answers: list[int] = []
    page.on("response", lambda r: answers.append(r.status) if "/localtileserver-proxy/" in r.url else None)
    open_labeler(page, jupyter)
    assert set(answers) == {200}
    lon, lat = degrees_of(*POND)
    view = zoom_to(page, jupyter, lon, lat, 13)
    wait_for(lambda: jupyter.run("print(session.scale)", NOTEBOOK) == "1\n", "the scale of the view")
    clip = map_box(page)
    x, y = (round(v) for v in view.to_screen(lon, lat))
    page.mouse.move(5, 5)  # else a preview could be in the picture
    wait_for(lambda: ink(page, "preview") == 0, "no preview", page)
    before = pixels(page, clip)
    page.mouse.click(x, y)
    wait_for_message(page, "Accept it as 'water'")
    assert_overlay_lies_on_the_mask(page, jupyter, view, clip, before, (x, y))


def points(lab: Lab) -> list[bool]:
    return eval(lab.run("print([p.positive for p in session.prompts.points])", NOTEBOOK))


@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_what_is_a_click_and_what_is_not(page: Page, jupyter: Lab) -> None:
    open_labeler(page, jupyter)
    box = page.locator(".seglab-mapbox .leaflet-container").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # neither a drag, nor the map's own buttons, nor a drag on the panel beside it
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=4)
    page.mouse.up()
    zoom = view_of(page).zoom
    page.locator(".leaflet-control-zoom-in").click()
    wait_for(lambda: view_of(page).zoom == zoom + 1, "a deeper zoom", page)
    page.locator(".leaflet-control-scale").first.click(force=True)
    assert points(jupyter) == []

    # plus; minus by the right button, with no menu of JupyterLab over the map; minus with Alt
    markers = page.locator(".seglab-mapbox .leaflet-marker-icon")
    page.mouse.click(x, y)
    wait_for(lambda: markers.count() == 1, "the first marker", page)
    page.mouse.click(x + 50, y, button="right")
    wait_for(lambda: markers.count() == 2, "the second marker", page)
    assert page.locator(".lm-Menu").count() == 0
    page.keyboard.down("Alt")
    page.mouse.click(x, y + 50)
    page.keyboard.up("Alt")
    wait_for(lambda: markers.count() == 3, "the third marker", page)
    assert points(jupyter) == [True, False, False]

    # keys pressed over the map are no commands of the notebook ("d", "d" deletes a cell)
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.locator(".seglab-mapbox .leaflet-container").focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells

    # a box, once the map no longer pans
    page.get_by_role("button", name="Reject").click()
    wait_for(lambda: markers.count() == 0, "no marker", page)
    page.get_by_role("button", name="Box").click()
    page.locator(".seglab-mapbox .leaflet-container:not(.leaflet-grab)").wait_for()
    page.mouse.move(x - 40, y - 40)
    page.mouse.down()
    page.mouse.move(x + 40, y + 40, steps=4)
    band = page.locator(".seglab-band").bounding_box()
    assert (round(band["width"]), round(band["height"])) == (80, 80)
    page.mouse.up()
    wait_for_message(page, "Accept it as 'water'")
    assert page.locator(".seglab-band").count() == 0
    corners = jupyter.run("b = session.prompts.box; print(b.right - b.left, b.bottom - b.top)", NOTEBOOK)
    with rasterio.open(example("landsat")) as source:
        pixel = 360 / view_of(page).world / source.transform.a
    assert float(corners.split()[0]) == pytest.approx(80 * pixel, rel=0.03)

    # an error shows, and goes away with the next thing that works
    page.get_by_role("button", name="Plus").click()
    page.locator(".seglab-mapbox .leaflet-container.leaflet-grab").wait_for()
    page.get_by_title("Show the whole scene").click()
    wait_for(lambda: view_of(page).zoom == zoom, "the whole scene", page)
    page.mouse.click(box["x"] + box["width"] - 30, y)
    wait_for_message(page, "outside the scene")
    page.locator(".seglab-error[role=alert]").wait_for()
