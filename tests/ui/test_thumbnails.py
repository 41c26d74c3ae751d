"""Thumbnails are made for what is in view, once, and again when the object changes."""

from __future__ import annotations

import threading

import pytest
from shapely.geometry import box

from seglab.errors import SceneClosedError
from seglab.ui import thumbnails
from seglab.ui.thumbnails import Thumbnails, stamps


@pytest.fixture
def made(monkeypatch) -> list:
    found = []
    monkeypatch.setattr(thumbnails, "thumbnail", lambda scene, outline: found.append(outline) or b"x")
    return found


def given(count: int):
    """A receiver, what it got, and an event that is set when it has got so many."""
    got, done = [], threading.Event()

    def give(number: int, stamp: int, url: str) -> None:
        got.append((number, stamp, url))
        if len(got) == count:
            done.set()

    return give, got, done


def test_each_once_until_it_changes(made) -> None:
    give, got, done = given(2)
    makes = Thumbnails(lambda date: None, give)
    one, other = box(0, 0, 1, 1), box(0, 0, 2, 2)
    makes.ask([(1, one, ""), (2, one, "")])
    assert done.wait(60) and [number for number, _, _ in got] == [1, 2]
    assert got[0][2] == "data:image/jpeg;base64,eA==" and got[0][1] == stamps([one])[0]
    give, again, done = given(2)
    makes._give = give
    makes.ask([(1, one, ""), (2, other, "")])
    assert done.wait(60) and made == [one, one, other]
    assert again[1][1] != got[1][1]


def test_what_is_no_longer_in_view_is_not_made(monkeypatch) -> None:
    started, go = threading.Event(), threading.Event()
    made = []

    def slow(scene, outline):
        made.append(outline)
        started.set()
        assert go.wait(60)
        return b"x"

    monkeypatch.setattr(thumbnails, "thumbnail", slow)
    give, got, done = given(2)
    makes = Thumbnails(lambda date: None, give)
    makes.ask([(i, box(0, 0, i, i), "") for i in range(1, 100)])
    assert started.wait(60)
    makes.ask([(500, box(0, 0, 5, 5), "")])
    go.set()
    assert done.wait(60) and [number for number, _, _ in got] == [1, 500] and len(made) == 2


def test_a_scene_that_cannot_be_read_ends_it_quietly(monkeypatch) -> None:
    tried = threading.Event()

    def closed(scene, outline):
        tried.set()
        raise SceneClosedError("closed")

    monkeypatch.setattr(thumbnails, "thumbnail", closed)
    makes = Thumbnails(lambda date: None, lambda *_: pytest.fail("nothing to give"))
    makes.ask([(1, box(0, 0, 1, 1), ""), (2, box(0, 0, 1, 1), "")])
    assert tried.wait(60)


def test_the_list_answers_for_rows_that_it_shows(labeler, hand, monkeypatch) -> None:
    for place in ((40, 40, 80, 80), (180, 60, 240, 120)):
        labeler.session.paint(box(*place), crs="pixel")
        labeler.session.accept("water")
    first, second = (o.id for o in labeler.session.objects)
    sent = []
    monkeypatch.setattr(labeler.objects.list, "send", sent.append)
    labeler.objects.list._handle_custom_msg({"bare": [first, second, 999]}, [])
    hand.until(lambda: len(sent) == 2, "two thumbnails")
    stamp = {row[0]: row[-1] for row in labeler.objects.list.rows}
    assert {m["thumbnail"][0]: m["thumbnail"][1] for m in sent} == stamp
    assert all(m["thumbnail"][2].startswith("data:image/jpeg") for m in sent)
