"""How quick and how large the main path is, on the packaged Landsat scene: `make bench` prints the table."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import seglab
from seglab.core.overlay import overlay_png
from tests.bench.timing import milliseconds

FLOORS = {
    "warm click to overlay bytes, median": "120 ms",
    "cold click to overlay bytes, median": "1000 ms",
    "round on 5 objects": "60 s",
    "peak memory of the demo's process": "2048 MB",
    "p95 of a warm click while a round trains": "1.5 x idle",
}
"""What is asked for, on two cores."""


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, str]]:
    """Rows that tests fill in; printed at the end."""
    rows: dict[str, str] = {}
    yield rows
    lines = [f"{name:<40} {value:>12}   (asked: under {FLOORS[name]})" for name, value in rows.items()]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[seglab.LabelSession]:
    torch.set_num_threads(2)
    session = seglab.open(
        seglab.example("landsat"), classes=["water"], project=tmp_path / "bench.seglab", bands=(5, 4, 2), device="cpu"
    )
    yield session
    session.close()


def click_to_bytes(session: seglab.LabelSession, col: float, row: float) -> None:
    proposal = session.click(col, row, crs="pixel")
    overlay_png(proposal.array, proposal.window, session.grid, "#0072b2", 0.5)


def test_clicks(session: seglab.LabelSession, table: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    places = [(c * 224 + 112, r * 224 + 112) for c in range(6) for r in range(6)]
    cold, warm = [], []
    for i in rng.permutation(len(places))[:12]:
        col, row = places[i]
        session.reject()
        cold.append(milliseconds(partial(click_to_bytes, session, col, row)))
        for _ in range(4):
            session.reject()
            near = np.array([col, row]) + rng.uniform(-30, 30, 2)
            warm.append(milliseconds(partial(click_to_bytes, session, *near)))
    table["warm click to overlay bytes, median"] = f"{statistics.median(warm):.0f} ms"
    table["cold click to overlay bytes, median"] = f"{statistics.median(cold):.0f} ms"


def warm_clicks(session: seglab.LabelSession, until: Callable[[list[float]], bool]) -> list[float]:
    """Milliseconds of clicks near one place, as fast as a hasty person, until told to stop."""
    rng = np.random.default_rng(0)
    found: list[float] = []
    while not until(found):
        session.reject()
        found.append(milliseconds(partial(click_to_bytes, session, *(rng.uniform(-30, 30, 2) + np.array([700, 300])))))
        time.sleep(0.05)
    return found


def test_clicks_while_a_round_trains(session: seglab.LabelSession, table: dict[str, str]) -> None:
    for i in range(5):
        session.click(300 + 224 * i, 900, crs="pixel")
        session.accept("water")
    warm_clicks(session, lambda found: len(found) >= 10)
    idle = warm_clicks(session, lambda found: len(found) >= 150)
    job = session.retrain()
    busy = warm_clicks(session, lambda found: job.finished)
    first, second = np.percentile(idle, 95), np.percentile(busy, 95)
    table["p95 of a warm click while a round trains"] = f"{second:.0f}/{first:.0f} ms = {second / first:.2f} x"


def test_round_on_five_objects(session: seglab.LabelSession, table: dict[str, str]) -> None:
    for i in range(5):
        session.click(300 + 224 * i, 900, crs="pixel")
        session.accept("water")
    seconds = milliseconds(lambda: session.retrain().result()) / 1000
    table["round on 5 objects"] = f"{seconds:.1f} s"


def test_memory_of_the_demo(tmp_path: Path, table: dict[str, str]) -> None:
    command = [sys.executable, "-m", "seglab", "demo", "--out", str(tmp_path / "demo.seglab")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    finished = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not finished.wait(0.05):
            try:
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    finished.set()
    watcher.join()
    assert process.returncode == 0
    sys.stdout.write("\ndemo: " + json.dumps(json.loads(output.splitlines()[-1])) + "\n")
    table["peak memory of the demo's process"] = f"{peak / 2**20:.0f} MB"
