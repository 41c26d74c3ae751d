"""What two annotators dispute, settled one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely.geometry import box

from seglab import errors
from seglab.app.annotators.disputes import Comparison, Dispute
from seglab.app.session import LabelSession

FIELD, LAKE, HERS, HIS = range(4)
"""Places of the disputes of `alice` and `bob`: another class, another outline, and what one of them alone has."""


def paint(session: LabelSession, class_name: str, *corners: float) -> int:
    session.paint(box(*corners), crs="pixel")
    return session.accept(class_name).id


@pytest.fixture
def alice(open_lakes) -> LabelSession:
    session = open_lakes(author="alice")
    paint(session, "field", 100, 10, 160, 60)
    paint(session, "water", 10, 100, 60, 150)
    paint(session, "water", 10, 200, 60, 250)
    paint(session, "water", 10, 10, 60, 60)
    return session


@pytest.fixture
def bob(open_lakes, tmp_path: Path) -> LabelSession:
    session = open_lakes(project=tmp_path / "bob.seglab", author="bob", classes=["water", "bare"])
    paint(session, "bare", 98, 8, 158, 58)
    paint(session, "water", 10, 100, 60, 120)
    paint(session, "water", 200, 200, 260, 260)
    paint(session, "water", 10, 10, 60, 58)
    return session


@pytest.fixture
def compared(alice: LabelSession, bob: LabelSession) -> Comparison:
    found = alice.compare_with(bob)
    assert [d.kind for d in found.disputes] == ["class", "outline", "alone", "alone"]
    return found


def said(session: LabelSession) -> list[tuple[str, str, tuple[float, ...], bool]]:
    return sorted((o.class_name, o.author, o.geometry.bounds, o.unsure) for o in session.objects)


def test_words(compared: Comparison) -> None:
    assert [d.words for d in compared.disputes] == [
        "'field' by alice; bob calls it 'bare'",
        "'water' by alice; bob draws it otherwise (IoU 0.40)",
        "'water' by alice; bob has not labelled it",
        "'water' by bob; alice has not labelled it",
    ]
    assert compared.disputes[FIELD].geometry.bounds == (98, 8, 160, 60)


def test_the_second_is_right_and_nothing_of_the_first_is_left(alice: LabelSession, compared: Comparison) -> None:
    before = said(alice)
    for dispute in compared.disputes:
        alice.settle(compared, dispute, "second")
    assert said(alice) == [
        ("bare", "bob", (98, 8, 158, 58), False),
        ("water", "alice", (10, 10, 60, 60), False),
        ("water", "bob", (10, 100, 60, 120), False),
        ("water", "bob", (200, 200, 260, 260), False),
    ]
    assert list(alice.classes) == ["water", "field", "bare"]
    assert alice.compare_with(compared.second).disputes == ()
    for _ in compared.disputes:
        assert alice.undo() == "settle a disagreement with bob"
    assert said(alice) == before and compared.open_disputes(alice.state) == compared.disputes


def test_the_first_is_right_and_is_not_asked_again(alice: LabelSession, compared: Comparison) -> None:
    before = said(alice)
    for dispute in compared.disputes:
        alice.settle(compared, dispute, "first")
    assert said(alice) == before
    assert compared.open_disputes(alice.state) == () == alice.compare_with(compared.second).open_disputes(alice.state)
    for keep in ("both", "theirs", "agreed"):
        plan = alice.plan_merge(compared.second, keep)
        assert (plan.added, plan.marked, plan.removed) == (0, 0, 0)


def test_nobody_knows(alice: LabelSession, compared: Comparison) -> None:
    for dispute in compared.disputes:
        alice.settle(compared, dispute, "unsure")
    notes = {o.geometry.bounds: o.note for o in alice.objects if o.unsure}
    assert notes == {
        (100, 10, 160, 60): "bob calls it 'bare'",
        (10, 100, 60, 150): "bob draws it otherwise (IoU 0.40)",
        (10, 200, 60, 250): "bob has not labelled it",
        (200, 200, 260, 260): "alice has not labelled it",
    }


def test_who_is_right_after_a_merge_is_no_longer_doubtful(alice: LabelSession, bob: LabelSession) -> None:
    alice.merge_from(bob)
    field = alice.objects[0]
    alice.edit(field.id, note=f"{field.note}; ask the farmer")
    compared = alice.compare_with(bob)
    by_kind: dict[str, Dispute] = {d.kind: d for d in compared.open_disputes(alice.state)}
    alice.settle(compared, by_kind["outline"], "first")
    alice.settle(compared, by_kind["class"], "first")
    lake, field = (next(o for o in alice.objects if o.id == by_kind[k].first.id) for k in ("outline", "class"))
    assert (lake.unsure, lake.note) == (False, "")
    assert (field.unsure, field.note) == (True, "ask the farmer")  # a doubt of another kind


def test_an_object_that_both_have_stays_whatever_lies_there_besides(open_lakes, tmp_path: Path) -> None:
    alice, bob = open_lakes(author="alice"), open_lakes(project=tmp_path / "bob.seglab", author="bob")
    paint(alice, "water", 10, 10, 60, 60)
    bob.overlaps = "allowed"
    paint(bob, "water", 10, 10, 60, 60)
    paint(bob, "field", 40, 10, 80, 60)
    compared = alice.compare_with(bob)
    (dispute,) = compared.disputes
    assert dispute.kind == "outline" and dispute.shared
    alice.settle(compared, dispute, "second")
    assert said(alice) == [("field", "bob", (40, 10, 80, 60), False), ("water", "alice", (10, 10, 40, 60), False)]


def test_an_answer_is_given_once_and_is_one_of_three(alice: LabelSession, compared: Comparison) -> None:
    with pytest.raises(errors.AgreementError, match="'second'"):
        alice.settle(compared, compared.disputes[0], "bob")
    alice.settle(compared, compared.disputes[0], "first")
    with pytest.raises(errors.AgreementError, match="settled already"):
        alice.settle(compared, compared.disputes[0], "second")


def test_another_notebook_sees_what_is_settled(alice: LabelSession, compared: Comparison, open_lakes) -> None:
    beside = open_lakes(author="alice")
    alice.settle(compared, compared.disputes[FIELD], "second")
    assert len(beside.compare_with(compared.second).open_disputes(beside.state)) == 3
    assert said(beside) == said(alice)
    beside.settle(compared, compared.disputes[HIS], "second")
    assert len(alice.compare_with(compared.second).open_disputes(alice.state)) == 2
    assert said(beside) == said(alice)


def test_authors_of_one_project(open_lakes) -> None:
    alice, bob = open_lakes(author="alice"), open_lakes(author="bob")
    paint(alice, "water", 10, 10, 60, 60)
    paint(alice, "water", 10, 100, 60, 150)
    paint(bob, "field", 10, 10, 60, 60)
    paint(bob, "field", 40, 100, 80, 150)  # takes a part of her lake
    compared = bob.compare_with(bob.author("bob"), bob.author("alice"))
    assert compared.within and [d.kind for d in compared.disputes] == ["class", "outline"]
    bob.settle(compared, compared.disputes[0], "first")
    bob.settle(compared, compared.disputes[1], "first")
    assert said(bob) == [("water", "alice", (10, 10, 60, 60), False), ("water", "alice", (10, 100, 60, 150), False)]
    again = bob.compare_with(bob.author("bob"), bob.author("alice"))
    assert len(again.disputes) == 2 and again.open_disputes(bob.state) == ()
    bob.undo()
    bob.settle(compared, compared.disputes[1], "second")
    assert said(bob) == [("field", "bob", (40, 100, 80, 150), False), ("water", "alice", (10, 10, 60, 60), False)]
    with pytest.raises(errors.AgreementError, match="in this project already"):
        bob.merge_from(bob.author("alice"))


def test_hectares(compared: Comparison) -> None:
    first, second, both = compared.hectares["water"]  # pixels of 10 m
    assert [first, second, both] == pytest.approx([75.0, 24 + 10 + 36, 24 + 10], rel=2e-3)
    assert compared.hectares["bare"][2] == 0 and compared.hectares["bare"][0] == 0


@pytest.mark.parametrize("answer", ["first", "second", "unsure"])
def test_as_code_and_replay(alice: LabelSession, compared: Comparison, tmp_path: Path, monkeypatch, answer) -> None:
    from seglab.app.history.replay import replay
    from seglab.jobs import SilentReporter

    for dispute in compared.disputes:
        alice.settle(compared, dispute, answer)
    assert replay(SilentReporter(), alice.project.folder).equal
    monkeypatch.chdir(tmp_path)
    names: dict[str, LabelSession] = {}
    exec(compile(alice.as_code(check=False), "as_code", "exec"), names)
    try:
        there = [(o.class_name, o.geometry.bounds, o.unsure, o.note) for o in names["session"].objects]
        assert sorted(there) == sorted((o.class_name, o.geometry.bounds, o.unsure, o.note) for o in alice.objects)
    finally:
        names["session"].close()
