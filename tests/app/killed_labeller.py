"""Labels without end until it is killed; run by test_killed.py.

    python killed_labeller.py SCENE PROJECT

For every line on standard input a process is forked that opens the project and labels. What is printed: "pid N", then
"kept ID" after each accept that has returned, and "gone ID" after each undo.
"""

from __future__ import annotations

import os
import random
import signal
import sys

import torch
from shapely.geometry import box

import seglab


def say(what: str, number: int) -> None:
    """One line, at once: it must not wait in a buffer when the process is killed."""
    os.write(1, f"{what} {number}\n".encode())


def label(scene: str, project: str) -> None:
    """Paint, accept, and at times undo, for ever."""
    session = seglab.open(scene, classes=["water", "field"], project=project, device="cpu", isolate=False)
    rng = random.Random()
    while True:
        col, row = rng.randrange(470), rng.randrange(340)
        session.paint(box(col, row, col + 1 + rng.randrange(9), row + 1 + rng.randrange(9)), crs="pixel")
        accepted = session.accept(rng.choice(["water", "field"])).id
        say("kept", accepted)
        if rng.random() < 0.2:
            say("going", accepted)
            session.undo()


def main() -> None:
    """Fork a labeller for every line that comes in."""
    torch.set_num_threads(1)
    for _ in sys.stdin:
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            label(*sys.argv[1:])
        say("pid", process)
        os.waitpid(process, 0)
        say("dead", process)


if __name__ == "__main__":
    main()
