"""Two annotators of one scene: their agreement, and one's labels merged into the other's project."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely
from shapely.geometry import box

import seglab
from seglab import errors
from seglab.app.session import LabelSession


def paint(session: LabelSession, class_name: str, *corners: float) -> int:
    session.paint(box(*corners), crs="pixel")
    return session.accept(class_name).id


@pytest.fixture
def alice(open_lakes) -> LabelSession:
    """A lake, a field and a pond; she has reviewed the lower right corner."""
    session = open_lakes(author="alice")
    paint(session, "water", 10, 10, 60, 60)
    paint(session, "field", 100, 10, 160, 60)
    paint(session, "water", 10, 100, 30, 120)
    session.review(box(300, 200, 512, 384), crs="pixel")
    return session


@pytest.fixture
def bob(open_lakes, tmp_path: Path) -> LabelSession:
    """The lake as she has it, her field as bare ground, and objects of his own, one where she sees nothing."""
    session = open_lakes(project=tmp_path / "bob.seglab", author="bob", classes=["water", "bare"])
    paint(session, "water", 10, 10, 60, 58)
    paint(session, "bare", 100, 10, 160, 60)
    paint(session, "water", 200, 100, 260, 160)
    paint(session, "bare", 320, 220, 360, 260)
    return session


def test_agreement_with_a_session_and_with_its_folder(alice: LabelSession, bob: LabelSession) -> None:
    found = alice.agreement(bob)
    assert found.counts == (3, 4) and len(found.agreed) == 1
    assert [d.kind for d in found.disagreements] == ["class", "alone", "alone", "denied"]
    assert found.iou["water"] == pytest.approx(50 * 48 / (50 * 50 + 400 + 3600))
    assert alice.agreement(bob.project.folder).to_json() == found.to_json()


def test_agreement_with_a_file(alice: LabelSession, bob: LabelSession, tmp_path: Path) -> None:
    bob.export(tmp_path / "bob.geojson")
    found = alice.agreement(tmp_path / "bob.geojson")
    assert found.counts == (3, 4) and len(found.agreed) == 1 and found.disagreements[0].kind == "class"


def test_renamed_classes_are_still_the_same(alice: LabelSession, bob: LabelSession) -> None:
    alice.rename_class("water", "lake")
    assert alice.agreement(bob).iou["lake"] == pytest.approx(50 * 48 / (50 * 50 + 400 + 3600))
    assert len(alice.agreement(bob).agreed) == 1


def test_both_keeps_all_and_says_who_says_what(alice: LabelSession, bob: LabelSession) -> None:
    before = alice.objects
    done = alice.merge_from(bob)
    assert (done.added, done.marked, done.removed) == (2, 1, 0)
    lake, field, pond, his, denied = alice.objects
    assert (lake, pond) == (before[0], before[2])
    assert field.unsure and field.note == "bob calls it 'bare'" and field.class_name == "field"
    assert (his.class_name, his.author, his.unsure, his.note) == ("water", "bob", False, "")
    assert denied.unsure and denied.note == "alice sees nothing here" and denied.class_name == "bare"
    assert list(alice.classes) == ["water", "field", "bare"]
    assert his.window.polygon.covers(his.geometry)


def test_it_is_one_action(alice: LabelSession, bob: LabelSession) -> None:
    before, classes = alice.objects, dict(alice.classes)
    alice.merge_from(bob)
    merged = alice.objects
    assert alice.undo() == "merge the labels of bob"
    assert alice.objects == before and alice.classes == classes
    alice.redo()
    assert alice.objects == merged


def test_again_changes_nothing(alice: LabelSession, bob: LabelSession) -> None:
    alice.merge_from(bob)
    events = len(alice.project.events())
    again = alice.merge_from(bob)
    assert (again.added, again.marked, again.removed) == (0, 0, 0) and len(alice.project.events()) == events


def test_agreed_trusts_only_what_both_have(alice: LabelSession, bob: LabelSession) -> None:
    done = alice.merge_from(bob, keep="agreed")
    assert (done.added, done.marked) == (0, 2)
    assert [o.unsure for o in alice.objects] == [False, True, True]
    assert alice.objects[2].note == "bob has not labelled it"


def test_theirs_replaces_what_differs(alice: LabelSession, bob: LabelSession) -> None:
    done = alice.merge_from(bob, keep="theirs")
    assert (done.added, done.marked, done.removed) == (3, 0, 1)
    assert [(o.class_name, o.author) for o in alice.objects] == [
        ("water", "alice"),
        ("water", "alice"),
        ("bare", "bob"),
        ("water", "bob"),
        ("bare", "bob"),
    ]


def test_a_thing_drawn_otherwise_is_not_there_twice(open_lakes, tmp_path: Path) -> None:
    alice = open_lakes(author="alice")
    bob = open_lakes(project=tmp_path / "bob.seglab", author="bob")
    paint(alice, "water", 10, 10, 60, 60)
    paint(bob, "water", 10, 10, 60, 30)
    paint(bob, "water", 40, 40, 100, 100)  # the larger part of it lies beside hers
    alice.merge_from(bob)
    hers, his = alice.objects
    assert hers.unsure and hers.note == "bob draws it otherwise (IoU 0.40)"
    assert hers.geometry.equals(box(10, 10, 60, 60))
    assert his.unsure and his.geometry.equals(box(40, 40, 100, 100) - box(10, 10, 60, 60))


def test_unknown_ways_are_refused(alice: LabelSession, bob: LabelSession) -> None:
    with pytest.raises(errors.AgreementError, match="both"):
        alice.merge_from(bob, keep="mine")


@pytest.mark.parametrize("keep", ["both", "theirs", "agreed"])
def test_as_code(alice: LabelSession, bob: LabelSession, tmp_path: Path, monkeypatch, keep: str) -> None:
    alice.merge_from(bob, keep=keep)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(alice.as_code(check=False), "as_code", "exec"), names)
    again = names["session"]
    try:
        assert [(o.class_name, o.unsure, o.note) for o in again.objects] == [
            (o.class_name, o.unsure, o.note) for o in alice.objects
        ]
        assert shapely.equals([o.geometry for o in again.objects], [o.geometry for o in alice.objects]).all()
    finally:
        again.close()


def test_replay(alice: LabelSession, bob: LabelSession) -> None:
    from seglab.app.history.replay import replay
    from seglab.jobs import SilentReporter

    alice.merge_from(bob)
    assert replay(SilentReporter(), alice.project.folder).equal


def test_another_place_is_refused(alice: LabelSession, tmp_path: Path) -> None:
    import numpy as np

    away = seglab.open(np.zeros((99, 99, 3), np.uint8), classes=["a"], project=tmp_path / "away.seglab")
    away.paint(box(10, 10, 40, 30))
    away.accept("a")
    away.export(tmp_path / "away.gpkg")
    away.close()
    alice.project.folder.joinpath("x").mkdir()
    with pytest.raises(errors.LabelsFileError):
        alice.agreement(tmp_path / "nothing.gpkg")
