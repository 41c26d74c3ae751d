"""A labeler on the synthetic lakes, driven as the page drives it: by the messages that Leaflet and the buttons send."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from seglab.ui.labeler import Labeler

LAKE = (60.0, 70.0)
"""(col, row) in the middle of a lake."""
LAND = (270.0, 170.0)
"""(col, row) on dry ground."""


class Hand:
    """Does with a labeler what a person does with the mouse."""

    def __init__(self, labeler: Labeler) -> None:
        self.labeler = labeler

    def mouse(self, kind: str, col: float, row: float) -> None:
        """Send a mouse event of Leaflet at a scene pixel."""
        lat, lon = self.labeler.frame.to_map(col, row)
        content = {"event": "interaction", "type": kind, "coordinates": [lat, lon], "location": None}
        self.labeler.view.map._handle_leaflet_event(None, content, [])

    def click(self, col: float, row: float) -> None:
        """A click: the events that Leaflet sends for one."""
        for kind in ("mousedown", "mouseup", "preclick", "click"):
            self.mouse(kind, col, row)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A drag: Leaflet sends no click after it."""
        self.mouse("mousedown", *start)
        self.mouse("mousemove", *end)
        self.mouse("mouseup", *end)

    def until(self, condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
        """Wait for a job's thread to bring something about."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}: {self.labeler.messages.text!r}"
            time.sleep(0.01)

    def rest(self) -> None:
        """Wait until nothing runs, and what ran shows as ended everywhere."""
        self.until(lambda: self.labeler.work.idle, "the end of what runs")


@pytest.fixture
def make_labeler(open_lakes: Callable) -> Iterator[Callable[..., Labeler]]:
    """Makes labelers on sessions of the lakes; all are closed at the end."""
    made = []

    def make(session: object = None, **changes: object) -> Labeler:
        made.append(Labeler(session or open_lakes(**changes)))
        return made[-1]

    yield make
    for labeler in made:
        labeler.close()


@pytest.fixture
def labeler(make_labeler: Callable[..., Labeler]) -> Labeler:
    return make_labeler()


@pytest.fixture
def hand(labeler: Labeler) -> Hand:
    return Hand(labeler)


@pytest.fixture
def photo() -> np.ndarray:
    """A plain image, 200 x 300, with no place on the Earth: a bright disc on dark ground."""
    rows, cols = np.mgrid[:200, :300]
    disc = (cols - 90) ** 2 + (rows - 120) ** 2 < 40**2
    image = np.where(disc[..., None], (230, 220, 60), (40, 60, 50)).astype(np.uint8)
    return image
