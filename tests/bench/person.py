"""A person who pans, zooms and clicks, for measuring what the session has ready: the same acts every time.

How long they take is a guess at somebody in no great hurry. The keystroke-level model (Card, Moran and Newell 1980) has
about 1.1 s to point with a mouse and 1.35 s to think; here a drag takes 0.3 to 0.6 s, a look at the new view 0.5 to
2 s, the way of the pointer to an object 0.4 to 1 s, a correcting click 0.4 to 1 s. The page tells the kernel of a new
view when the drag has ended, and where the pointer is at most twelve times a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MAP = (700, 560)
"""(width, height) of the map, screen pixels."""
ZOOMS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
"""Screen pixels per scene pixel."""
POINTER_STEPS = 5
"""Places that the kernel hears of while the pointer goes to an object."""


@dataclass(frozen=True)
class Act:
    """Something that a person does, after a pause."""

    kind: str
    """"pan", "zoom", "point" (the pointer moves), "click" (a new object), "correct" (another click on it), "accept"."""
    pause: float
    """Seconds before it."""
    place: tuple[float, float] = (0.0, 0.0)
    """(col, row) of pointer or click, scene pixels."""
    view: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """(left, top, right, bottom) of the new view, scene pixels."""
    positive: bool = True


def person(count: int, shape: tuple[int, int], seed: int) -> Iterator[Act]:
    """What a person does.

    Args:
        count: pans, zooms and clicks in all.
        shape: (rows, cols) of the scene.
        seed: another one is another person.
    """
    rng = np.random.default_rng(seed)
    middle, zoom, done = np.array([shape[1] / 2, shape[0] / 2]), 2, 0
    pointer = middle
    while done < count:
        size = np.array(MAP) / ZOOMS[zoom]
        kind = "pan" if done and rng.random() < 0.7 else "zoom"
        if kind == "pan":
            angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.8)
            middle = middle + share * size * (np.cos(angle), np.sin(angle))
        else:
            zoom = int(np.clip(zoom + rng.choice([-1, 1]), 0, len(ZOOMS) - 1))
            middle, size = pointer + (middle - pointer) / 2, np.array(MAP) / ZOOMS[zoom]
        middle = np.clip(middle, np.minimum(size / 2, shape[1] / 2), np.array(shape[::-1]) - size / 2)
        corner = middle - size / 2
        yield Act(kind, rng.uniform(0.3, 0.6), view=(*corner, *(corner + size)))
        done += 1
        look = rng.uniform(0.5, 2.0)
        for _ in range(rng.integers(1, 3)):
            # objects anywhere in the view, more often in the middle
            target = np.clip(middle + rng.normal(0, 0.22, 2) * size, corner + 2, corner + size - 2)
            way = rng.uniform(0.4, 1.0) / POINTER_STEPS
            for step in range(1, POINTER_STEPS + 1):
                place = pointer + (target - pointer) * step / POINTER_STEPS
                yield Act("point", look + way if step == 1 else way, tuple(place))
            pointer = target
            yield Act("click", 0.1, tuple(target))
            done += 1
            for _ in range(rng.integers(0, 3)):
                pointer = np.clip(target + rng.normal(0, 20, 2) / ZOOMS[zoom], corner + 2, corner + size - 2)
                yield Act("correct", rng.uniform(0.4, 1.0), tuple(pointer), positive=bool(rng.random() < 0.5))
                done += 1
            yield Act("accept", rng.uniform(0.3, 0.8))
            look = rng.uniform(0.5, 1.5)
