"""Windows that are encoded ahead: which, in which order, and by a thread that nobody notices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seglab.core.raster import Scene
from seglab.core.windows import Window, lattice_window
from seglab.encoding.encoder import WindowEncoder
from seglab.encoding.prefetch import MOST, Outlook, Prefetcher, around, windows_ahead
from seglab.errors import SceneChangedError
from seglab.models.device import BACKGROUND_NICENESS
from seglab.models.sam import AdaptedSam
from seglab.models.spec import SamSpec
from seglab.store.cache import ArrayCache

SPEC = SamSpec("small", 64, 8, 32, 4, 2, (1, 3), 4, 32, 64)
SIZE, SHAPE = 64, (900, 1200)
VIEW = (300.0, 200.0, 560.0, 400.0)
WINDOWS = [Window(0, 0, 64, 64), Window(32, 64, 64, 64), Window(0, 0, 128, 128, 2), Window(448, 320, 64, 64)]
SECONDS = 60.0


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([1, 2, 4]))
def test_no_click_in_the_view_is_forgotten(x: float, y: float, scale: int) -> None:
    planned = list(windows_ahead(Outlook(VIEW), scale, SIZE, SHAPE))
    col, row = VIEW[0] + x * (VIEW[2] - VIEW[0]), VIEW[1] + y * (VIEW[3] - VIEW[1])
    assert lattice_window(col, row, SIZE, scale, SHAPE) in planned


def test_the_likeliest_come_first() -> None:
    middle = lattice_window(430, 300, SIZE, 1, SHAPE)
    planned = list(windows_ahead(Outlook(VIEW), 1, SIZE, SHAPE))
    assert planned[0] == middle
    # what lies where the view moves comes before what lies where it came from
    planned = list(windows_ahead(Outlook(VIEW, moved=(120.0, 0.0)), 1, SIZE, SHAPE))
    ahead, behind = lattice_window(640, 300, SIZE, 1, SHAPE), lattice_window(220, 300, SIZE, 1, SHAPE)
    assert planned.index(ahead) < planned.index(behind)
    pointer = (320.0, 210.0)
    planned = list(windows_ahead(Outlook(VIEW, pointer=pointer), 1, SIZE, SHAPE))
    assert planned[0] == lattice_window(*pointer, SIZE, 1, SHAPE)


def test_the_next_scale_is_that_of_the_zoom() -> None:
    for zoomed_in, first in ((True, 1), (False, 4)):
        planned = windows_ahead(Outlook(VIEW, zoomed_in=zoomed_in), 2, SIZE, SHAPE)
        assert next(w.scale for w in planned if w.scale != 2) == first


def test_a_view_of_all_of_a_huge_scene_is_no_endless_plan() -> None:
    shape = (200_000, 200_000)
    planned = list(windows_ahead(Outlook((0.0, 0.0, 200_000.0, 200_000.0)), 1, SIZE, shape))
    assert MOST < len(set(planned)) < 3000
    assert all(abs(w.center[0] - 100_000) < 1000 for w in planned)


def test_around_an_expected_window() -> None:
    window = Window(128, 192, 64, 64)
    planned = list(around(window, SIZE, SHAPE))
    assert planned[0] == window and lattice_window(*window.center, SIZE, 1, SHAPE) in planned


# -- the thread


@pytest.fixture
def scene(lakes_path: Path) -> Iterator[Scene]:
    with Scene.open(lakes_path) as scene:
        yield scene


def new_encoder(scene: Scene, seed: int = 0, room: int = 2**24) -> WindowEncoder:
    torch.manual_seed(seed)
    model = AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)
    return WindowEncoder(scene, model, ArrayCache(2**24), ahead=ArrayCache(room))


@pytest.fixture
def make() -> Iterator[Callable[..., Prefetcher]]:
    made: list[Prefetcher] = []

    def make_(encoder: Callable[[], WindowEncoder], give_way=lambda: None, tell=lambda: None) -> Prefetcher:
        made.append(Prefetcher(encoder, give_way, tell))
        return made[-1]

    yield make_
    for prefetcher in made:
        prefetcher.close()


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "seglab prefetch"]


def test_what_was_encoded_ahead_is_what_a_click_gets(scene: Scene, make: Callable[..., Prefetcher]) -> None:
    encoder, told = new_encoder(scene), []
    expected = [WindowEncoder(scene, encoder.model, ArrayCache(2**24)).embedding(w) for w in WINDOWS]
    prefetcher = make(lambda: encoder, tell=lambda: told.append(encoder.encoded()))
    prefetcher.encode(iter(WINDOWS))
    assert prefetcher.wait(SECONDS)
    assert encoder.encoded() == tuple(sorted(WINDOWS)) == told[-1]
    assert encoder.visited(10) == []
    assert all(torch.equal(encoder.embedding(w), e) for w, e in zip(WINDOWS, expected, strict=True))


def test_it_waits_for_its_turn_before_every_window(scene: Scene, make: Callable[..., Prefetcher]) -> None:
    encoder, turn, asked = new_encoder(scene), threading.Semaphore(0), threading.Semaphore(0)

    def give_way() -> None:
        asked.release()
        turn.acquire()

    prefetcher = make(lambda: encoder, give_way)
    prefetcher.encode(WINDOWS)
    for count in range(len(WINDOWS)):
        assert asked.acquire(timeout=SECONDS)
        assert len(encoder.encoded()) == count
        turn.release()
    assert prefetcher.wait(SECONDS)


def test_a_new_round_starts_anew(scene: Scene, make: Callable[..., Prefetcher]) -> None:
    rounds = [new_encoder(scene, 0), new_encoder(scene, 1)]
    prefetcher = make(lambda: rounds[0])
    prefetcher.encode(WINDOWS)
    assert prefetcher.wait(SECONDS)
    rounds.reverse()
    assert rounds[0].encoded() == ()
    prefetcher.encode(WINDOWS)
    assert prefetcher.wait(SECONDS)
    assert rounds[0].encoded() == tuple(sorted(WINDOWS))


def test_no_more_than_there_is_room_for(scene: Scene, make: Callable[..., Prefetcher]) -> None:
    encoder = new_encoder(scene, room=2 * (2 * 32 * 8 * 8 + 300))
    assert encoder.room_ahead == 2
    clicked = Window(200, 200, 64, 64)
    encoder.embedding(clicked)
    prefetcher = make(lambda: encoder)
    prefetcher.encode(WINDOWS)
    assert prefetcher.wait(SECONDS)
    assert encoder.encoded() == tuple(sorted([clicked, *WINDOWS[:2]]))


def test_prefixes_are_kept_of_what_was_clicked_alone(
    scene: Scene, make: Callable[..., Prefetcher], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = AdaptedSam(SPEC, adapt_from=2).eval().requires_grad_(False)
    prefixes = ArrayCache(2**24, tmp_path)
    encoder = WindowEncoder(scene, model, ArrayCache(2**24), prefixes, ahead=ArrayCache(2**24))
    prefetcher = make(lambda: encoder)
    prefetcher.encode(WINDOWS)
    assert prefetcher.wait(SECONDS)
    assert len(prefixes) == 0
    encoder.embedding(WINDOWS[1])
    prefetcher.clicked()
    assert prefetcher.wait(SECONDS)
    assert prefixes.keys() == [encoder.prefix_key(WINDOWS[1])]


def test_a_failure_ends_the_plan_and_not_the_thread(
    scene: Scene, make: Callable[..., Prefetcher], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = new_encoder(scene)

    def changed(window: Window) -> None:
        raise SceneChangedError("the file has changed")

    caplog.set_level("INFO", logger="seglab")
    prefetcher = make(lambda: encoder)
    with monkeypatch.context() as patch:
        patch.setattr(scene, "rgb", changed)
        prefetcher.encode(WINDOWS)
        assert prefetcher.wait(SECONDS)
    assert encoder.encoded() == () and "the file has changed" in caplog.text
    prefetcher.encode(WINDOWS)
    assert prefetcher.wait(SECONDS)
    assert len(encoder.encoded()) == len(WINDOWS)


def test_it_is_modest_and_leaves_nothing_behind(scene: Scene, make: Callable[..., Prefetcher]) -> None:
    torch.set_num_threads(2)
    encoder, found = new_encoder(scene), {}

    def look() -> None:
        found["threads"] = torch.get_num_threads()
        if sys.platform == "linux":
            found["nice"] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = workers()
    prefetcher = make(lambda: encoder, look)
    assert workers() == before  # no thread before there is work
    prefetcher.encode(WINDOWS)
    assert prefetcher.wait(SECONDS)
    assert len(workers()) == len(before) + 1
    prefetcher.close()
    assert workers() == before
    assert found["threads"] == 1 and torch.get_num_threads() == 2
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [2]
    if sys.platform == "linux":
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        assert found["nice"] == min(19, nice + BACKGROUND_NICENESS)
        assert nice == os.getpriority(os.PRIO_PROCESS, os.getpid())
    prefetcher.encode(WINDOWS)  # closed: nothing happens
    assert workers() == before
    torch.set_num_threads(1)


LEFT_ALONE = """
import threading
import torch
from seglab.core.windows import Window
from seglab.encoding.prefetch import Prefetcher

class Encoder:
    room_ahead = 99
    begun = threading.Event()

    def encode_ahead(self, window):
        self.begun.set()
        for _ in range(20):
            torch.ones(300, 300) @ torch.ones(300, 300)  # without the interpreter's lock
        return True

worker = Prefetcher(Encoder, lambda: None, lambda: None)
worker.encode([Window(0, n, 8, 8) for n in range(99)])
Encoder.begun.wait(60)
"""


def test_the_interpreter_can_end_meanwhile() -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT_ALONE], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
