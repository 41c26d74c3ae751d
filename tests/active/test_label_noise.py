"""Which labels rounds contradict, by their opinions alone."""

from __future__ import annotations

import pytest

from seglab.active.label_noise import BACKGROUND, FEW, Opinion, contradictions


def opinion(number: int, learned: bool = False, **shares: float) -> Opinion:
    return Opinion(number, {BACKGROUND: round(1 - sum(shares.values()), 6), **shares}, learned)


WATER, FIELD = {"water": 0.9, "field": 0.05}, {"water": 0.05, "field": 0.9}


def found(*opinions: Opinion, label: str = "field"):
    return contradictions({7: label}, {7: opinions}).get(7)


def test_two_rounds_that_say_the_same_contradict() -> None:
    one = found(opinion(2, **WATER), opinion(1, **WATER))
    assert one.instead == "water" and one.sure == pytest.approx(0.85)
    assert [o.round for o in one.opinions] == [1, 2] and one.unheeded == ()


def test_one_round_is_not_enough_nor_are_two_that_differ() -> None:
    assert found(opinion(1, **WATER)) is None
    assert found(opinion(1, **WATER), opinion(2, water=0.02, field=0.02)) is None
    assert contradictions({7: "field"}, {}) == {}


def test_a_round_that_has_learned_from_it_counts_only_where_it_contradicts() -> None:
    before = (opinion(1, **WATER), opinion(2, **WATER))
    agreeing = found(*before, opinion(3, learned=True, **FIELD))
    assert agreeing.sure == pytest.approx(0.85) and agreeing.unheeded == (3,)
    assert found(*before, opinion(3, **FIELD)) is None  # it had not learned from it, and sees what the label says
    assert found(opinion(1, learned=True, **WATER), opinion(2, learned=True, **WATER)).instead == "water"


def test_what_the_model_had_missed_is_no_error() -> None:
    """A person labels what is not on the map yet: earlier rounds say background, the next one has learned."""
    missed = (opinion(1, water=0.05, field=0.05), opinion(2, water=0.05, field=0.05))
    assert found(*missed, opinion(3, learned=True, **FIELD)) is None
    assert found(*missed, opinion(3, learned=True, water=0.1, field=0.1)).instead == BACKGROUND


def test_doubtful_rounds_say_nothing() -> None:
    assert found(opinion(1, water=0.45, field=0.3), opinion(2, water=0.45, field=0.3)) is None


def test_a_third_class_makes_it_less_sure() -> None:
    said = (opinion(1, **WATER), opinion(2, **WATER), opinion(3, water=0.05, field=0.05, road=0.9))
    assert found(*said).sure == pytest.approx(0.85 * 2 / 3)


def test_what_is_usual_for_a_class_is_its_threshold() -> None:
    """A class of which rounds are never sure is believed at a lower probability than half."""
    labels = {**dict.fromkeys(range(FEW), "water"), 99: "field"}
    usual = {i: [opinion(1, water=0.4, field=0.2), opinion(2, water=0.4, field=0.2)] for i in range(FEW)}
    said = {99: [opinion(1, water=0.45, field=0.2), opinion(2, water=0.45, field=0.2)]}
    assert list(contradictions(labels, usual | said)) == [99]
    assert contradictions(labels, {0: usual[0]} | said) == {}  # one object says nothing of what is usual


def test_learned_objects_set_no_threshold_where_there_are_others() -> None:
    learned = {i: [opinion(n, learned=True, water=0.99, field=0.0) for n in (1, 2)] for i in range(20)}
    others = {i: [opinion(n, water=0.6, field=0.1) for n in (1, 2)] for i in range(20, 20 + FEW)}
    said = {99: [opinion(n, water=0.7, field=0.2) for n in (1, 2)]}
    labels = {**dict.fromkeys([*learned, *others], "water"), 99: "field"}
    assert list(contradictions(labels, learned | others | said)) == [99]
    del others[20]
    assert contradictions(labels, learned | others | said) == {}


def test_the_surest_come_first() -> None:
    said = {
        1: [opinion(n, water=0.6, field=0.3) for n in (1, 2)],
        2: [opinion(n, **WATER) for n in (1, 2)],
    }
    assert list(contradictions({1: "field", 2: "field"}, said)) == [2, 1]
