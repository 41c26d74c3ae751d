"""The queue of suggested windows: gone through without a browser, answered in the log, and ranked anew in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from shapely.geometry import box

import seglab
from seglab.app.history.replay import replay
from seglab.app.session import LabelSession
from seglab.errors import JobRunningError, SuggestionError
from seglab.jobs import SilentReporter


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of four windows, with a bright square in the first one."""
    image = np.random.default_rng(0).integers(60, 120, (3, 448, 448), dtype=np.uint8)
    image[:, 42:98, 32:88] += 120
    path = tmp_path_factory.mktemp("ground") / "ground.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=448, height=448, count=3, dtype="uint8", crs="EPSG:32633",
        transform=from_origin(500_000, 5_000_000, 10, 10),
    ) as target:  # fmt: skip
        target.write(image)
    return path


@pytest.fixture
def session(open_lakes: Callable[..., LabelSession], ground: Path) -> LabelSession:
    """A session whose queue holds four windows."""
    session = open_lakes(source=ground)
    session.queue.fill(4, "uniform").result()
    return session


def waiting(session: LabelSession) -> list:
    return [one.window for one in session.queue.waiting]


def test_next_and_previous_go_around(session: LabelSession) -> None:
    queue = session.queue
    first = queue.current
    assert (queue.place, queue.total) == (1, 4) and first == queue.suggestions[0] and first.reason
    assert queue.next() == queue.suggestions[1] and queue.place == 2
    queue.previous()
    assert queue.previous() == queue.suggestions[3] and queue.place == 4
    assert queue.next() == first and repr(queue) == "<SuggestionQueue: 1 of 4, 4 left>"


def test_done_is_reviewed_and_skipped_is_not_suggested_again(session: LabelSession) -> None:
    queue = session.queue
    first, second, *_ = queue.suggestions
    assert queue.done() == second
    (reviewed,) = session.reviewed
    assert reviewed.equals(first.geometry) and session.state.never_suggest == ()
    queue.skip()
    assert session.state.never_suggest[0].equals(second.geometry) and len(session.reviewed) == 1
    assert queue.place == 3 and queue.total == 4 and len(queue.waiting) == 2
    asked_again = {one.window for one in session.suggest(9)}
    assert asked_again and not asked_again & {first.window, second.window}


def test_undo_brings_a_window_back_to_its_place(session: LabelSession) -> None:
    queue = session.queue
    queue.next()
    second = queue.current
    queue.skip()
    queue.next()
    assert session.undo() == "leave an area out of suggestions"
    assert queue.current == second and queue.place == 2 and len(queue.waiting) == 4
    session.redo()
    assert queue.current != second and len(queue.waiting) == 3


def test_ground_reviewed_by_hand_is_done(session: LabelSession) -> None:
    first = session.queue.current
    left, top, right, bottom = first.geometry.bounds
    session.review(box(left - 9, top - 9, right, bottom - 9), crs="pixel")
    assert session.queue.current == first
    session.review(box(left - 9, bottom - 9, right, bottom + 9), crs="pixel")
    assert session.queue.current == session.queue.suggestions[1]


def test_when_all_are_answered_nothing_is_left(session: LabelSession) -> None:
    queue = session.queue
    for _ in range(4):
        queue.skip()
    assert queue.current is None and queue.waiting == () and queue.place == 0 and queue.total == 4
    assert queue.next() is None and not queue.outdated
    for answer in (queue.done, queue.skip):
        with pytest.raises(SuggestionError, match=r"queue\.fill"):
            answer()
    assert queue.fill(4, "uniform").result() == () and queue.total == 0  # four windows have the whole scene


@pytest.mark.parametrize("answer", ["done", "skip"])
def test_an_answer_is_of_the_window_that_was_looked_at(session: LabelSession, open_lakes, ground: Path, answer) -> None:
    other = open_lakes(source=ground)
    other.queue.fill(4, "uniform").result()
    first, second, *_ = other.queue.suggestions
    session.queue.skip()
    heard = []
    other.subscribe(lambda told, what: heard.append(what))
    assert other.queue.current == first  # the other notebook has not looked into the log yet
    assert getattr(other.queue, answer)() == second and "classes" in heard
    assert [one.window for one in other.queue.waiting] == waiting(session)
    reviewed = [first.geometry] if answer == "done" else []  # nobody has seen the second one
    assert len(other.reviewed) == len(reviewed) and all(
        a.equals(b) for a, b in zip(other.reviewed, reviewed, strict=True)
    )


def test_the_log_tells_it_as_code_and_is_replayed(session: LabelSession, tmp_path: Path, monkeypatch) -> None:
    session.queue.done()
    session.queue.skip()
    assert replay(SilentReporter(), session.project.folder).equal
    code = session.as_code()
    assert "session.review(" in code and "session.never_suggest(" in code and "has no call here" not in code
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "as_code", "exec"), names)
    again = names["session"]
    try:
        assert shapely.equals(again.reviewed, session.reviewed).all()
        assert shapely.equals(again.state.never_suggest, session.state.never_suggest).all()
    finally:
        again.close()


def test_a_round_ranks_the_rest_anew_and_the_place_stays(open_lakes: Callable, ground: Path) -> None:
    session = open_lakes(source=ground)
    session.paint(box(32, 42, 88, 98), crs="pixel")
    session.accept("water")
    queue = session.queue
    queue.fill(4, "entropy").result()
    done = queue.current
    queue.done()
    current = queue.current
    assert not queue.outdated
    session.retrain(steps=2).result()
    assert queue.outdated
    queue.refresh().result()
    assert queue.current == current and queue.place == 2 and not queue.outdated
    assert queue.suggestions[:2] == (done, current) and queue.total <= 4
    windows = [one.window for one in queue.suggestions]
    assert len(set(windows)) == len(windows)


def test_what_a_person_does_meanwhile_counts(session: LabelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, suggested = session.queue, session._suggested
    all_of_them = queue.suggestions

    def slowly(*args, **options):
        found = suggested(*args, **options)
        queue.next()
        return found

    monkeypatch.setattr(session, "_suggested", slowly)
    queue.refresh().result()
    assert queue.current == all_of_them[1] and queue.place == 1
    assert len({one.window for one in queue.suggestions}) == queue.total == 4


def test_one_search_at_a_time_and_a_failed_one_changes_nothing(session: LabelSession, monkeypatch) -> None:
    before = session.queue.suggestions
    with pytest.raises(SuggestionError, match="needs a class map"):
        session.queue.fill(4, "entropy").result()
    assert session.queue.suggestions == before
    monkeypatch.setattr(session, "_suggested", _until_cancelled)
    job = session.queue.fill(2)
    with pytest.raises(JobRunningError, match="being looked for"):
        session.queue.refresh()
    job.cancel()
    job.wait()
    assert job.state == "cancelled" and session.queue.suggestions == before


def _until_cancelled(reporter, *rest) -> None:
    while True:
        reporter.check()


def test_a_search_that_fails_leaves_what_the_rest_is_ranked_by(session: LabelSession, monkeypatch) -> None:
    with pytest.raises(SuggestionError, match="needs a class map"):
        session.queue.fill(4, "entropy").result()
    asked, suggested = [], session._suggested

    def heard(reporter, count, name, *rest):
        asked.append(name)
        return suggested(reporter, count, name, *rest)

    monkeypatch.setattr(session, "_suggested", heard)
    session.queue.refresh().result()
    assert asked == ["uniform"]


def test_listeners_hear_of_it(session: LabelSession) -> None:
    heard = []
    session.subscribe(lambda told, what: heard.append(what))
    session.queue.next()
    session.queue.clear()
    assert heard == ["suggestions", "suggestions"] and session.queue.current is None


def test_a_small_image_is_done_with_one_window(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    session = seglab.open(image, classes=["a"], project=tmp_path / "small.seglab", device="cpu", isolate=False)
    try:
        session.queue.fill(3).result()
        assert session.queue.total == 1
        session.queue.done()
        assert session.queue.waiting == () and session.suggest(3) == []
    finally:
        session.close()
