"""A labelling process that is killed at any moment loses nothing that was accepted, and leaves a project that opens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pytest

from seglab.app.history.state import history, reduce
from seglab.store.project import Project

LABELLER = Path(__file__).with_name("killed_labeller.py")


@contextmanager
def labeller(scene: Path, project: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, str(LABELLER), str(scene), str(project)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


def one_life(process: subprocess.Popen, rng: random.Random) -> tuple[set[int], set[int]]:
    """Let it label until it is killed at a random moment: ids that were accepted, and that were being taken back."""
    process.stdin.write("go\n")
    kept, going, killer, labeller_pid = set(), set(), None, 0
    # Mostly while it labels; at times while it opens the project.
    early = rng.random() < 0.2

    def kill_within(seconds: float) -> threading.Timer:
        timer = threading.Timer(rng.uniform(0, seconds), os.kill, (labeller_pid, signal.SIGKILL))
        timer.start()
        return timer

    for line in process.stdout:
        what, number = line.split()
        if what == "dead":
            break
        if what == "pid":
            labeller_pid = int(number)
        else:
            (kept if what == "kept" else going).add(int(number))
        if killer is None and labeller_pid and (early or what != "pid"):
            killer = kill_within(1.0 if early else 0.2)
    killer.join()
    return kept, going


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="labellers are forked: loading PyTorch 200 times would take an hour"
)
def test_two_hundred_deaths_lose_nothing(lakes_path: Path, tmp_path: Path) -> None:
    rng, folder = random.Random(7), tmp_path / "lakes.seglab"
    kept: set[int] = set()
    lives = 0
    with labeller(lakes_path, folder) as process:
        while lives < 200:
            accepted, going = one_life(process, rng)
            lives += 1
            kept = (kept | accepted) - going
            if not (folder / "project.json").is_file():
                continue  # killed before there was a project
            project = Project.open(folder)
            done = {event.id for event in history(project.events())[0]}
            assert kept <= done, f"life {lives} lost {sorted(kept - done)}"
    state = reduce(Project.open(folder).events())
    assert len(kept) > 200  # most lives were long enough to label
    # One more action writes what the last death may have kept from labels.gpkg.
    import seglab

    session = seglab.open(lakes_path, project=folder, device="cpu")
    session.add_class("last")
    assert session.state.objects == state.objects
    saved = gpd.read_file(folder / "labels.gpkg", layer="labels")
    assert sorted(saved["id"]) == sorted(o.id for o in state.objects)
    session.close()
