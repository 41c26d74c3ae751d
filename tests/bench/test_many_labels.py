"""How quick the map and the session stay with ten thousand accepted objects: `make bench` prints the table."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import shapely
from playwright.sync_api import Page
from shapely.geometry import box

import seglab
from tests.bench.timing import milliseconds
from tests.browser.lab import Lab, screenshot, wait_for_tiles
from tests.browser.seen import open_labeler

FEW, MANY = 10, 10_000
SPACING = 14
"""Scene pixels from one object to the next: ten thousand fill the packaged scene."""
NOTEBOOK = "many.ipynb"
CELL = """
import seglab
from seglab.datasets.examples import example

session = seglab.open(example("landsat"), classes=["water", "field"], project="many.seglab", device="cpu")
session.import_labels("many.gpkg")
session.prefetches = False
labeler = seglab.Labeler(session)
labeler
"""

WATCH = """() => {
    const seen = { frames: [], tasks: [], on: true };
    window.seen = seen;
    let last = performance.now();
    const look = now => { seen.frames.push(now - last); last = now; if (seen.on) requestAnimationFrame(look); };
    requestAnimationFrame(look);
    seen.observer = new PerformanceObserver(list => list.getEntries().forEach(e => seen.tasks.push(e.duration)));
    seen.observer.observe({ type: "longtask" });
}"""
"""Note the time between frames, and tasks that take over 50 ms."""
WATCHED = "() => { window.seen.on = false; window.seen.observer.disconnect(); return window.seen; }"


def write_labels(path: Path, count: int) -> None:
    """A GeoPackage of round objects in two classes, spread over the packaged scene."""
    with rasterio.open(seglab.example("landsat")) as scene:
        transform, crs = scene.transform, scene.crs
    side = int(MANY**0.5)
    step = side * side // count
    places = [(i % side, i // side) for i in range(0, step * count, step)]
    discs = [shapely.Point(SPACING * c + 8, SPACING * r + 8).buffer(5, quad_segs=4) for c, r in places]
    a, b, c, d, e, f = transform[:6]
    ground = [shapely.affinity.affine_transform(disc, (a, b, d, e, c, f)) for disc in discs]
    names = ["water" if i % 2 else "field" for i in range(count)]
    gpd.GeoDataFrame({"class": names}, geometry=ground, crs=crs).to_file(path, layer="labels")


def actions(folder: Path, count: int) -> dict[str, float]:
    """Milliseconds of a session's actions with so many objects; medians."""
    labels, found = folder / "in.gpkg", {}
    write_labels(labels, count)
    project = folder / f"{count}.seglab"
    session = seglab.open(seglab.example("landsat"), classes=["water"], project=project, device="cpu")
    found["import"] = milliseconds(lambda: session.import_labels(labels))
    accepts = []
    for i in range(20):
        session.paint(box(70 * i, 200, 70 * i + 9, 209), crs="pixel")
        accepts.append(milliseconds(partial(session.accept, "water")))
    found["accept"] = statistics.median(accepts)
    found["undo"] = statistics.median(milliseconds(session.undo) for _ in range(10))
    ids = iter([o.id for o in session.objects])
    found["edit"] = statistics.median(milliseconds(lambda: session.edit(next(ids), note="x")) for _ in range(5))
    found["delete"] = statistics.median(milliseconds(lambda: session.delete(next(ids))) for _ in range(5))
    found["areas"] = milliseconds(lambda: session.areas)
    session.close()
    return found


def test_session(tmp_path: Path, table: list[str]) -> None:
    few, many = (actions(tmp_path, count) for count in (FEW, MANY))
    for name, time_of_few in few.items():
        table.append(f"{name:<10} {time_of_few:8.0f} ms with {FEW}, {many[name]:8.0f} ms with {MANY}")


@pytest.mark.parametrize("count", [FEW, MANY])
def test_panning(page: Page, jupyter: Lab, table: list[str], count: int) -> None:
    write_labels(jupyter.root / "many.gpkg", count)
    open_labeler(page, jupyter, NOTEBOOK, CELL)
    wait_for_tiles(page, least=4)
    page.locator(".seglab-tab", has_text=f"Objects ({count})").wait_for()
    for steps, zoom in ((0, "the whole scene"), (2, "two steps closer")):
        if steps:
            jupyter.run(f"labeler.view.map.zoom += {steps}", NOTEBOOK)
            page.wait_for_timeout(2000)  # the tiles of the closer view
        found = drag_about(page)
        frames, tasks = sorted(found["frames"]), found["tasks"]
        table.append(
            f"panning over {zoom} with {count:>6}: frame {statistics.median(frames):.0f} ms, 95th percentile "
            f"{frames[int(0.95 * len(frames))]:.0f} ms, longest {frames[-1]:.0f} ms; {len(tasks)} tasks of over 50 ms, "
            f"{sum(tasks):.0f} ms in all"
        )
        screenshot(page, f"panned_{count}_{steps}")


def drag_about(page: Page) -> dict[str, list[float]]:
    """Drag the map to and fro, without a swing, so that it ends where it began.

    Returns:
        "frames": milliseconds between them; "tasks": those of over 50 ms.
    """
    frame = page.locator(".seglab-mapbox .leaflet-container").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.evaluate(WATCH)
    for turn in range(6):
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(25):
            page.mouse.move(x + (1 if turn % 2 else -1) * 6 * step, y + (1 if turn % 2 else -1) * 3 * step)
            page.wait_for_timeout(8)
        page.wait_for_timeout(250)  # a hand that rests gives the map no swing
        page.mouse.up()
    page.wait_for_timeout(300)  # what a drag sets off belongs to it
    return page.evaluate(WATCHED)
