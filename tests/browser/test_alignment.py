"""The mask's overlay lies on the imagery to the screen pixel, whatever the CRS of the scene and the zoom."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from playwright.sync_api import Page
from scipy import ndimage

from tests.browser.lab import TIMEOUT, Lab, pixels, wait_for_tiles
from tests.browser.seen import middle, open_labeler
from tests.rasters import make_raster

SIDE = 1024
"""Scene pixels."""
SHAPE = ((480, 490, 540, 514), (500, 514, 522, 546))
"""(left, top, right, bottom) of the parts of a T with sharp edges, scene pixels."""
SCENES = {
    # far from the zone's meridian, where the grid is turned by 2 degrees against the map's
    "EPSG:32632": Affine(10, 0, 780_000, 0, -10, 5_000_000),
    "EPSG:4326": Affine(0.00012, 0, 12.5, 0, -0.0001, 45.1),
    "EPSG:3857": Affine(14, 0, 1_400_000, 0, -14, 5_640_000),
}
"""Geotransforms of pixels of about 10 m, by CRS."""
ZOOMS = {12: 280, 14: 400, 16: 400}
"""Screen pixels of a square around the shape, all of it inside the scene, by zoom: at 12 a scene pixel is a third of a
screen pixel, at 16 six."""

NOTEBOOK = "alignment.ipynb"
CELL = """
import seglab
from shapely.geometry import box
from shapely import union_all

labeler = seglab.label("scene.tif", classes=["shape"], project="alignment.seglab", device="cpu")
labeler.session.paint(union_all([box(*part) for part in {parts}]), crs="pixel")
labeler
"""
LOOK = """
place = labeler.frame.to_map({col}, {row})
with labeler.view.map.hold_sync():
    labeler.view.map.center, labeler.view.map.zoom = place, {zoom}
"""
AT_ZOOM = """zoom => {
    const tiles = [...document.querySelectorAll(".seglab-mapbox img.leaflet-tile")];
    return tiles.length && tiles.every(tile => tile.src.includes(`/${zoom}/`))
        && !document.querySelector(".leaflet-zoom-anim, .leaflet-pan-anim");
}"""
HIDDEN = {"tiles": "img.leaflet-tile { visibility: hidden }", "mask": ".leaflet-mask-pane { display: none }"}


def scene() -> np.ndarray:
    """(3, SIDE, SIDE) uint8: a light shape on dark ground."""
    image = np.full((3, SIDE, SIDE), 60, np.uint8)
    for left, top, right, bottom in SHAPE:
        image[:, top:bottom, left:right] = 200
    return image


def seen_without(page: Page, side: int, *hidden: str) -> np.ndarray:
    """A square of the screen around the middle of the map, (side, side, 3) int, without some of HIDDEN."""
    x, y = (round(v) for v in middle(page))
    styles = [page.add_style_tag(content=HIDDEN[name]) for name in hidden]
    clip = {"x": x - side // 2, "y": y - side // 2, "width": side, "height": side}
    image = pixels(page, clip).astype(int)
    for style in styles:
        style.evaluate("style => style.remove()")
    return image


def most_apart(first: np.ndarray, second: np.ndarray) -> float:
    """How far a pixel of one shape is from the other at most, screen pixels along the worse axis."""
    reach = [ndimage.distance_transform_cdt(~shape, "chessboard") for shape in (first, second)]
    return max(reach[1][first].max(), reach[0][second].max())


@pytest.mark.parametrize("crs", SCENES)
@pytest.mark.parametrize("jupyter", [{}], indirect=True, ids=["root"])
def test_overlay_lies_on_the_imagery(page: Page, jupyter: Lab, crs: str) -> None:
    make_raster(jupyter.root / "scene.tif", data=scene(), crs=crs, transform=SCENES[crs], tiled=True)
    open_labeler(page, jupyter, NOTEBOOK, CELL.format(parts=SHAPE))
    page.locator(".seglab-mapbox .leaflet-mask-pane img").wait_for()
    found = {}
    for zoom, side in ZOOMS.items():
        jupyter.run(LOOK.format(col=510, row=518, zoom=zoom), NOTEBOOK)
        page.wait_for_function(AT_ZOOM, arg=zoom, timeout=TIMEOUT * 1000)
        wait_for_tiles(page)
        light = seen_without(page, side, "mask").max(axis=2)
        imagery = light > (light.min() + light.max()) / 2
        ground = seen_without(page, side, "tiles", "mask")
        mask = np.abs(seen_without(page, side, "tiles") - ground).max(axis=2) > 20
        assert 100 < imagery.sum() < 0.6 * side**2 and light.max() - light.min() > 60
        assert not (imagery[[0, -1]].any() or imagery[:, [0, -1]].any()), "the shape is not all in view"
        found[zoom] = most_apart(imagery, mask)
    assert max(found.values()) <= 1, f"screen pixels apart by zoom: {found}"
