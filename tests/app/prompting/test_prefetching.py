"""A session that is told where a person looks has the windows there encoded before they are clicked in."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from shapely.geometry import box

from seglab.app.session import LabelSession
from seglab.core.windows import lattice_window

ALL = (0, 0, 512, 384)
"""A view of the whole scene, pixels."""
LAKE = (180, 70, 220, 110)
"""A view of one lake: there is less to encode."""
SECONDS = 120.0


def settled(session: LabelSession) -> None:
    assert session._ahead.worker.wait(SECONDS)


def test_clicks_in_view_find_their_window(open_lakes: Callable[..., LabelSession]) -> None:
    session, told = open_lakes(), []
    session.subscribe(lambda _, what: told.append(what))
    assert session.encoded_windows == ()
    session.look_at(*ALL, crs="pixel")
    settled(session)
    held = set(session.encoded_windows)
    for col, row in np.random.default_rng(0).uniform((0, 0), (512, 384), (50, 2)):
        assert lattice_window(col, row, session.model_size, 1, session.shape) in held
    assert any(window.scale == 2 for window in held)
    assert told[-1] == "encoded" and set(told) == {"encoded"}


def test_a_mask_is_the_same_with_and_without(open_lakes: Callable[..., LabelSession], tmp_path) -> None:
    plain, ahead = open_lakes(), open_lakes(project=tmp_path / "ahead.seglab")
    ahead.look_at(*LAKE, crs="pixel")
    settled(ahead)
    for session in (plain, ahead):
        session.click(200, 90, crs="pixel")
    assert np.array_equal(plain.mask.full(), ahead.mask.full()) and plain.mask.iou == ahead.mask.iou


def test_longitudes_and_places_beyond_the_scene(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    west, south, east, north = session.grid.bounds("EPSG:4326")
    session.look_at(west + 1, south, east + 1, north)  # beside the scene
    session.point_at(west + 1, south)
    assert session.encoded_windows == ()
    session.look_at(west - 0.01, south - 0.01, east + 0.01, north + 0.01)
    settled(session)
    assert lattice_window(256, 192, session.model_size, 1, session.shape) in session.encoded_windows


def test_it_can_be_switched_off(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    session.prefetches = False
    session.look_at(*LAKE, crs="pixel")
    session.click(200, 90, crs="pixel")
    assert len(session.encoded_windows) == 1
    session.prefetches = True  # what is in view is known
    settled(session)
    assert len(session.encoded_windows) > 1


def test_suggestions_are_encoded(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    place = session.suggest(1)[0].window.center
    settled(session)
    assert lattice_window(*place, session.model_size, 1, session.shape) in session.encoded_windows


def test_proposed_objects_are_encoded(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    (proposed,) = session.propose_objects([box(430, 300, 450, 320)], ["water"], origin="a test", crs="pixel")
    settled(session)
    assert proposed.window in session.encoded_windows


def test_the_pointer_comes_first(open_lakes: Callable[..., LabelSession]) -> None:
    session, planned = open_lakes(), []
    session._ahead.worker.encode = lambda windows: planned.append(list(windows))
    session.look_at(*ALL, crs="pixel")
    session.point_at(500, 370, crs="pixel")
    session.point_at(501, 371, crs="pixel")  # the same window: nothing new
    assert len(planned) == 2
    assert planned[1][0] == lattice_window(500, 370, session.model_size, 1, session.shape)


def test_a_round_is_encoded_anew(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    for col, row in ((200, 90), (330, 240), (110, 300)):
        session.click(col, row, crs="pixel")
        session.accept("water")
    session.look_at(*LAKE, crs="pixel")
    settled(session)
    before = session.encoded_windows
    session.retrain(steps=2).result()
    settled(session)
    assert session.round == 1 and set(session.encoded_windows) >= set(before)
    session.rollback(0)
    assert set(session.encoded_windows) >= set(before)  # they are still there


def test_a_click_does_not_wait_for_it(open_lakes: Callable[..., LabelSession], monkeypatch: pytest.MonkeyPatch) -> None:
    """A click in another window goes through while one is being encoded; the next one waits for the click."""
    session = open_lakes()
    encoder = session._learner.current.encoder
    begun, go_on, plain = threading.Event(), threading.Event(), type(encoder).encode_ahead

    def slow(self, window):
        begun.set()
        assert go_on.wait(SECONDS)
        return plain(self, window)

    monkeypatch.setattr(type(encoder), "encode_ahead", slow)
    session.look_at(*ALL, crs="pixel")
    assert begun.wait(SECONDS)
    assert session.click(200, 90, crs="pixel").array.any()
    with session._ledger.acting():
        go_on.set()
        count = len(session.encoded_windows)
        while len(session.encoded_windows) == count:  # the one at hand
            assert not session._ahead.worker.wait(0.01)
        begun.clear()
        assert not begun.wait(0.2)  # no other one begins
    settled(session)


def test_closing_ends_the_thread(open_lakes: Callable[..., LabelSession]) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    session = open_lakes()
    session.look_at(*ALL, crs="pixel")
    session.close()
    left = [t for t in threading.enumerate() if t.ident not in before and t.name == "seglab prefetch"]
    assert left == []
    session.look_at(*ALL, crs="pixel")
    assert [t for t in threading.enumerate() if t.name == "seglab prefetch" and t.ident not in before] == []
