"""Two sessions on one project: each knows what the other did before it acts, and a late event harms nothing."""

from __future__ import annotations

import pytest
from shapely.geometry import LineString, box

from seglab import errors
from seglab.app.history.state import reduce
from seglab.app.session import LabelSession


@pytest.fixture
def pair(open_lakes) -> tuple[LabelSession, LabelSession]:
    return open_lakes(), open_lakes()


def draw(session: LabelSession, *bounds: int, name: str = "water") -> int:
    session.paint(box(*bounds), crs="pixel")
    return session.accept(name).id


def test_a_class_that_the_other_renamed_is_not_accepted_into(pair) -> None:
    one, two = pair
    two.paint(box(10, 10, 30, 30), crs="pixel")
    one.rename_class("water", "lake")
    with pytest.raises(errors.UnknownClassError, match="lake"):
        two.accept("water")
    assert two.accept("lake").class_name == "lake"


def test_what_the_other_deleted_is_not_merged_and_what_it_undid_is_not_undone_twice(pair) -> None:
    one, two = pair
    ids = draw(one, 10, 10, 30, 30), draw(one, 50, 10, 70, 30)
    two.edit(ids[0], note="seen")
    one.undo()
    assert one.objects[0].note == ""
    assert two.undo() == "accept water" and [o.id for o in two.objects] == [ids[0]]
    one.delete(ids[0])
    with pytest.raises(errors.UnknownObjectError):
        two.merge(*ids)


def test_a_split_returns_its_own_parts(pair) -> None:
    one, two = pair
    whole = draw(one, 10, 10, 50, 30)
    two.edit(whole, note="two knows it")
    draw(one, 200, 200, 220, 220)
    parts = two.split(whole, LineString([(30, 0), (30, 50)]), crs="pixel")
    assert [o.geometry.area for o in parts] == [400, 400] and len(two.objects) == 3


def test_listeners_hear_of_what_the_other_did(pair) -> None:
    one, two = pair
    heard = []
    two.subscribe(lambda session, what: heard.append((what, len(session.objects))))
    draw(one, 10, 10, 30, 30)
    two.click(200, 200, crs="pixel")
    assert ("classes", 1) in heard


def test_events_that_crossed_leave_no_orphan_and_no_overlap(pair) -> None:
    """As if both had been written at the same moment, past the checks."""
    one, _ = pair
    whole = draw(one, 10, 10, 50, 30)
    log = one.project
    one.split(whole, LineString([(30, 0), (30, 50)]), crs="pixel")
    split = log.events()[-1]
    one.undo()
    draw(one, 10, 10, 20, 30, name="field")
    log.append("split", split.data)
    one.rename_class("water", "lake")
    late = next(e for e in log.events() if e.kind == "accept")
    log.append("accept", late.data | {"geometry": box(300, 300, 310, 310).wkb_hex})
    log.append("edit", {"objects": [whole], "class": "never"})
    state = reduce(log.events())
    assert {o.class_name for o in state.objects} <= set(state.classes)
    assert [o.class_name for o in state.objects][-1] == "lake"
    total = sum(o.geometry.area for o in state.objects)
    assert total == 40 * 20 + 100  # nothing counted twice


def test_an_older_copy_of_the_log_can_be_put_back(open_lakes, tmp_path) -> None:
    session = open_lakes()
    draw(session, 10, 10, 30, 30)
    log = tmp_path / "lakes.seglab" / "events.jsonl"
    copy = log.read_bytes()
    draw(session, 50, 10, 70, 30)
    log.write_bytes(copy)
    draw(session, 90, 10, 110, 30)
    assert session.state.objects == reduce(session.project.events()).objects and len(session.objects) == 2
