"""How many clicks find their window encoded, and what encoding ahead costs: `make bench` prints the table."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

import seglab
from seglab.app.project.view import fit_scale
from seglab.app.prompting.proposals import window_for
from seglab.core.overlay import overlay_png
from seglab.core.prompts import Point
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from tests.bench.person import MAP, Act, person
from tests.bench.timing import milliseconds

SIDE = 10_000
"""Of the scene, pixels."""
ACTS = 200
"""Pans, zooms and clicks."""
BLOCK = 1000
"""Side of the pieces that the scene is made of, pixels."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 MB of ground with round and square things on it, the same every time."""
    path, rng = tmp_path_factory.mktemp("scene") / "large.tif", np.random.default_rng(0)
    rows, cols = np.mgrid[:BLOCK, :BLOCK]
    pieces = []
    for _ in range(6):
        piece = rng.integers(70, 130, 3)[:, None, None] + rng.normal(0, 8, (3, BLOCK, BLOCK))
        for _ in range(60):
            (col, row), half = rng.integers(0, BLOCK, 2), rng.integers(6, 70)
            across, down = np.abs(cols - col), np.abs(rows - row)
            inside = np.hypot(across, down) < half if rng.random() < 0.5 else np.maximum(across, down) < half
            piece[:, inside] = rng.integers(20, 235, 3)[:, None] + rng.normal(0, 8, (3, int(inside.sum())))
        pieces.append(np.clip(piece, 1, 255).astype(np.uint8))
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", crs="EPSG:32633",
        transform=from_origin(400_000, 5_100_000, 10, 10), photometric="RGB", tiled=True, interleave="pixel",
    ) as target:  # fmt: skip
        for top in range(0, SIDE, BLOCK):
            for left in range(0, SIDE, BLOCK):
                piece = np.rot90(pieces[rng.integers(len(pieces))], rng.integers(4), (1, 2))
                target.write(piece, window=rasterio.windows.Window(left, top, BLOCK, BLOCK))
    return path


@pytest.fixture
def session(scene: Path, tmp_path: Path) -> Iterator[seglab.LabelSession]:
    torch.set_num_threads(2)
    session = seglab.open(scene, classes=["thing"], project=tmp_path / "large.seglab", device="cpu")
    yield session
    session.close()


class Watch:
    """Looks over the shoulder of whoever clicks."""

    def __init__(self, session: seglab.LabelSession, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session = session
        self.ready: dict[str, list[bool]] = {"click": [], "correct": []}
        """Of each click: whether its window was encoded."""
        self.without: list[bool] = []
        """Whether it would have been, had only clicks encoded windows."""
        self.waited: list[bool] = []
        """Whether the click had to encode a window, be it for an object that was followed over its window's edge."""
        self.times: list[float] = []
        self.memory: list[int] = []
        self._asked: set[Window] = set()
        self._encoded_here = 0
        plain, here = WindowEncoder._checked, threading.get_ident()

        def counted(encoder, window, key, state, held, cache):
            if threading.get_ident() == here and held is None:
                self._encoded_here += 1
            return plain(encoder, window, key, state, held, cache)

        monkeypatch.setattr(WindowEncoder, "_checked", counted)

    def click(self, act: Act) -> None:
        session = self.session
        mask, prompts = session.mask, session.prompts.with_point(Point(*act.place, act.positive))
        current = None if mask is None else mask.window
        window = window_for(prompts, current, session.model_size, session.scale, session.shape)
        self.ready[act.kind].append(window in session.encoded_windows)
        self.without.append(window in self._asked)
        before = self._encoded_here
        self.times.append(milliseconds(lambda: session.click(*act.place, act.positive, crs="pixel")))
        self.waited.append(self._encoded_here > before)
        self._asked |= {window, session.mask.window}
        self.memory.append(psutil.Process().memory_info().rss)


def do(session: seglab.LabelSession, watch: Watch, act: Act) -> None:
    time.sleep(act.pause)
    if act.kind in ("pan", "zoom"):
        left, top, right, bottom = act.view
        session.scale = fit_scale(session, min(right - left, bottom - top))
        session.look_at(*act.view, crs="pixel")
    elif act.kind == "point":
        session.point_at(*act.place, crs="pixel")
    elif act.kind == "accept":
        if session.mask.array.any():
            session.accept("thing")
        else:
            session.reject()
    else:
        watch.click(act)


def share(found: list[bool]) -> str:
    return f"{np.mean(found):.0%} of {len(found)}"


@pytest.mark.parametrize("seed", [0])
def test_a_person_at_work(
    session: seglab.LabelSession, table: list[str], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, started = Watch(session, monkeypatch), time.monotonic()
    for act in person(ACTS, session.shape, seed):
        do(session, watch, act)
    clicks = [*watch.ready["click"], *watch.ready["correct"]]
    third = len(watch.memory) // 3
    median, p95 = np.percentile(watch.times, [50, 95])
    early, late = (statistics.median(part) / 2**20 for part in (watch.memory[:third], watch.memory[-third:]))
    table += [
        f"{ACTS} pans, zooms and clicks in {time.monotonic() - started:.0f} s, on a map of {MAP[0]} x {MAP[1]} pixels",
        f"window encoded before the click: {share(clicks)}; first clicks on objects: {share(watch.ready['click'])}",
        f"the same, had only clicks encoded windows: {share(watch.without)}",
        f"clicks that encoded no window at all, coarser ones of objects cut by theirs included: "
        f"{share([not waited for waited in watch.waited])}",
        f"a click: median {median:.0f} ms, 95th percentile {p95:.0f} ms",
        f"memory of the process: {early:.0f} MB in the first third, {late:.0f} MB in the last, "
        f"{max(watch.memory) / 2**20:.0f} MB at most",
    ]
    assert np.mean(clicks) >= 0.9


def warm_clicks(session: seglab.LabelSession, count: int, between: Callable[[int], None]) -> list[float]:
    """Milliseconds from clicks near one place to the bytes of their overlays."""
    rng, found = np.random.default_rng(0), []

    def click(col: float, row: float) -> None:
        proposal = session.click(col, row, crs="pixel")
        overlay_png(proposal.array, proposal.window, session.grid, "#0072b2", 0.5)

    for number in range(count):
        session.reject()
        between(number)
        time.sleep(0.05)
        found.append(milliseconds(partial(click, *(rng.uniform(-30, 30, 2) + 5000))))
    return found


def test_clicks_beside_it(session: seglab.LabelSession, table: list[str]) -> None:
    session.follows = False
    places = iter([(x, y) for y in range(500, 9500, 700) for x in range(500, 9500, 700)])

    def look_elsewhere(number: int) -> None:
        if number % 25 == 0:
            col, row = next(places)
            session.look_at(col - 350, row - 280, col + 350, row + 280, crs="pixel")

    warm_clicks(session, 10, lambda _: None)
    found: dict[str, list[float]] = {"idle": [], "busy": []}
    for _ in range(4):  # by turns: the machine may change its pace
        session.prefetches = False
        found["idle"] += warm_clicks(session, 75, lambda _: None)
        session.prefetches = True
        found["busy"] += warm_clicks(session, 75, look_elsewhere)
    figures = {name: np.percentile(times, [50, 95]) for name, times in found.items()}
    ratio = figures["busy"] / figures["idle"]
    table.append(
        "a warm click while windows are encoded ahead, against idle: "
        + ", ".join(
            f"{name} {figures['busy'][i]:.0f}/{figures['idle'][i]:.0f} ms = {ratio[i]:.2f} x"
            for i, name in enumerate(("median", "95th percentile"))
        )
    )
