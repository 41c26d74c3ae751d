"""Going through proposed objects: the place is kept, whatever is answered, undone or proposed meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from seglab.app.labels.proposed import ProposedObject
from seglab.app.labels.review import ORDERS, ReviewQueue
from seglab.core.windows import Window


def proposed(number: int, score: float, name: str = "water") -> ProposedObject:
    return ProposedObject(number, name, box(10 * number, 0, 10 * number + 5, 5), Window(0, 0, 9, 9), score, "a test", 0)


FIVE = [proposed(n, score) for n, score in ((1, 0.5), (2, 0.9), (3, 0.7), (4, 0.6), (5, 0.8))]


@pytest.fixture
def queue() -> ReviewQueue:
    made = ReviewQueue()
    made.follow(FIVE)
    return made


def left(queue: ReviewQueue) -> list[int]:
    return [p.id for p in queue.waiting]


def test_the_likeliest_comes_first_and_an_answer_leads_to_the_next(queue: ReviewQueue) -> None:
    assert left(queue) == [2, 5, 3, 4, 1] and (queue.current, queue.place, queue.total) == (2, 1, 5)
    queue.follow([p for p in FIVE if p.id != 2])
    assert (queue.current, queue.place, queue.total) == (5, 2, 5)
    queue.step(1)
    queue.step(1)
    assert queue.current == 4
    queue.follow([p for p in FIVE if p.id in (5, 1)])  # answered from another place: on to what is left after it
    assert (queue.current, queue.place) == (1, 5)
    queue.step(1)
    assert queue.current == 5  # around
    queue.follow([])
    assert (queue.current, queue.object, queue.place, queue.total) == (None, None, 0, 5)


def test_undo_leads_back(queue: ReviewQueue) -> None:
    queue.step(1)
    queue.follow([p for p in FIVE if p.id != 5])
    assert queue.current == 3
    queue.follow(FIVE)
    assert (queue.current, queue.place) == (5, 2)


def test_new_proposals_and_another_order_leave_the_one_looked_at(queue: ReviewQueue) -> None:
    queue.go(3)
    queue.follow([*FIVE, proposed(6, 1.0)])
    assert (queue.current, queue.place, queue.total) == (3, 4, 6)
    queue.order = "Nearest"
    assert queue.current == 3 and sorted(left(queue)) == [1, 2, 3, 4, 5, 6]
    assert left(queue) in ([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1])  # they lie in a row


def test_what_is_answered_is_forgotten_when_a_review_begins(queue: ReviewQueue) -> None:
    queue.follow(FIVE[2:])
    assert (queue.place, queue.total) == (2, 5)
    queue.begin()
    assert (queue.current, queue.place, queue.total) == (5, 1, 3)


def test_only_one_class(queue: ReviewQueue) -> None:
    some = [*FIVE, proposed(7, 0.95, "field"), proposed(8, 0.1, "field")]
    queue.follow(some, "field")
    assert left(queue) == [7, 8] and (queue.current, queue.total) == (7, 2)
    queue.follow(some[:-2], "field")
    assert (queue.current, queue.total) == (None, 2)
    queue.follow(some, "water")
    assert queue.total == 7 - 2 and left(queue) == [2, 5, 3, 4, 1]


def test_all_from_a_score_on(queue: ReviewQueue) -> None:
    assert queue.likely(0.7) == [2, 5, 3] and queue.likely(1.0) == []


@given(st.lists(st.sets(st.integers(1, 5)), max_size=8), st.sampled_from(sorted(ORDERS)))
def test_the_one_looked_at_always_waits(steps: list[set[int]], order: str) -> None:
    queue = ReviewQueue()
    queue.order = order
    for waiting in steps:
        queue.follow([p for p in FIVE if p.id in waiting])
        assert (queue.current in waiting) == bool(waiting) and set(left(queue)) == waiting
        assert 0 <= queue.place <= queue.total
        queue.step(-1)
        assert (queue.current in waiting) == bool(waiting)
