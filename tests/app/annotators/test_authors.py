"""Several authors in one project: each one's labels are what there would be without the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shapely.geometry import box

from seglab import errors
from seglab.app.session import LabelSession


@pytest.fixture
def two(open_lakes, tmp_path: Path) -> Callable[[str], LabelSession]:
    """Opens sessions on one project, by author."""
    return lambda author: open_lakes(project=tmp_path / "shared.seglab", author=author)


def paint(session: LabelSession, class_name: str, *corners: float) -> int:
    session.paint(box(*corners), crs="pixel")
    return session.accept(class_name).id


def boxes(session: LabelSession, author: str) -> list[tuple[str, tuple[float, ...]]]:
    return [(o.class_name, o.geometry.bounds) for o in session.author(author).objects]


def test_ground_that_others_took_is_still_theirs(two) -> None:
    alice, bob = two("alice"), two("bob")
    number = paint(alice, "water", 10, 10, 60, 60)
    paint(bob, "field", 40, 10, 90, 60)
    bob.review(box(0, 0, 100, 100), crs="pixel")
    assert alice.objects[0].geometry.area == 50 * 50 and bob.objects[0].geometry.area == 30 * 50
    assert bob.authors == ("alice", "bob")
    assert boxes(bob, "alice") == [("water", (10, 10, 60, 60))] and boxes(bob, "bob") == [("field", (40, 10, 90, 60))]
    assert bob.author("alice").objects[0].id == number
    assert bob.author("alice").reviewed == () and len(bob.author("bob").reviewed) == 1
    bob.undo(), bob.undo()
    assert bob.authors == ("alice",)
    with pytest.raises(errors.AgreementError, match="its authors are alice"):
        bob.author("bob")


def test_what_an_author_says_of_an_object_of_another_is_the_authors_own(two) -> None:
    alice, bob = two("alice"), two("bob")
    first = paint(alice, "water", 10, 10, 60, 60)
    other = paint(alice, "water", 100, 10, 160, 60)
    paint(alice, "water", 200, 10, 260, 60)
    bob.edit(first, class_name="field")
    bob.edit(other, note="a note says nothing of what is there")
    paint(bob, "water", 300, 10, 310, 20)
    bob.delete(other)
    assert boxes(bob, "alice") == [
        ("water", (10, 10, 60, 60)),
        ("water", (100, 10, 160, 60)),
        ("water", (200, 10, 260, 60)),
    ]
    assert boxes(bob, "bob") == [("field", (10, 10, 60, 60)), ("water", (300, 10, 310, 20))]
    assert {o.author for o in bob.author("bob").objects} == {"bob"}


def test_who_merges_objects_has_them_too(two) -> None:
    alice, bob = two("alice"), two("bob")
    ids = [paint(alice, "water", *corners) for corners in ((10, 10, 60, 60), (70, 10, 90, 60), (200, 10, 260, 60))]
    bob.merge(*ids[:2])
    assert boxes(bob, "bob") == [("water", (10, 10, 90, 60))] and len(boxes(bob, "alice")) == 3


def test_classes_that_are_renamed_are_renamed_for_all(two) -> None:
    alice, bob = two("alice"), two("bob")
    paint(alice, "water", 10, 10, 60, 60)
    bob.rename_class("water", "lake")
    assert boxes(bob, "alice") == [("lake", (10, 10, 60, 60))]


def test_imported_labels_belong_to_who_made_them(two, open_lakes, tmp_path: Path) -> None:
    carol = open_lakes(project=tmp_path / "carol.seglab", author="carol")
    paint(carol, "water", 10, 10, 60, 60)
    paint(carol, "field", 100, 10, 160, 60)
    alice, bob = two("alice"), two("bob")
    paint(alice, "water", 10, 10, 60, 58)
    alice.merge_from(carol)
    paint(bob, "water", 300, 10, 310, 20)
    assert bob.authors == ("alice", "carol", "bob")
    assert boxes(bob, "carol") == [("field", (100, 10, 160, 60))]
    assert bob.author("carol").objects[0].id in {o.id for o in bob.objects}
    assert boxes(bob, "alice") == [("water", (10, 10, 60, 58))]


def test_both_confirm_what_a_machine_proposed(two) -> None:
    alice, bob = two("alice"), two("bob")
    proposed = alice.propose_objects(
        [box(10, 10, 60, 60), box(100, 10, 160, 60)], ["water"] * 2, origin="a model", crs="pixel"
    )
    alice.confirm(proposed[0].id)
    bob.dismiss(proposed[1].id)
    bob.undo()
    bob.confirm(proposed[1].id, class_name="field")
    assert boxes(bob, "alice") == [("water", (10, 10, 60, 60))] and boxes(bob, "bob") == [("field", (100, 10, 160, 60))]


def test_agreement_of_two_authors(two) -> None:
    alice, bob = two("alice"), two("bob")
    paint(alice, "water", 10, 10, 60, 60)
    paint(bob, "water", 10, 10, 60, 50)  # her lake, smaller: it takes all but a rim of hers
    found = bob.agreement(bob.author("bob"), bob.author("alice"))
    assert found.counts == (1, 1) and found.iou == {"water": pytest.approx(0.8)}
    assert len(found.agreed) == 1 and not found.disagreements
