"""A project as Python calls: running them makes the same labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

import seglab
from seglab.app.history.as_code import accepted_objects, as_code
from seglab.app.history.redraw import redraw, redraw_all
from seglab.app.history.state import history
from seglab.errors import UnknownRoundError
from seglab.store.events import Event
from tests.conftest import LAKES


@pytest.fixture
def labelled(open_lakes):
    """A session with a box, corrections, another candidate, a coarse object, an undone one, areas and a class."""
    session = open_lakes()
    col, row = LAKES[1][:2]
    session.click(col, row, crs="pixel")
    session.click(col + 60, row, positive=False, crs="pixel")
    session.choose(1)
    session.accept("water")
    session.scale = 2
    session.click(*LAKES[2][:2], crs="pixel")
    session.choose(2)
    session.box(300, 210, 362, 271, crs="pixel")
    session.accept("water")
    session.click(*LAKES[3][:2], crs="pixel")
    session.accept("field")
    session.undo()
    session.scale = 1
    session.add_class("pond", "#123456")
    session.click(*LAKES[3][:2], crs="pixel")
    session.accept("pond")
    session.review(shapely.box(0, 0, 50, 50), crs="pixel")
    session.never_train(shapely.box(400, 300, 500, 380), crs="pixel")
    return session


def code_of(session, **changes) -> str:
    return as_code(session.project.events(), session.project.manifest, **changes)


def run(code: str):
    names: dict[str, object] = {}
    exec(compile(code, "as_code", "exec"), names)
    return names["session"]


def test_the_code_makes_the_same_labels(labelled, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = code_of(labelled, load=lambda number: labelled._learner.load(number))
    assert "do not give" not in code and "paint" not in code and "does not tell" not in code
    again = run(code)
    try:
        assert again.project.folder.name == "lakes_again.seglab"
        assert again.classes == labelled.classes
        assert [o.class_name for o in again.objects] == ["water", "water", "pond"]
        for one, other in zip(again.objects, labelled.objects, strict=True):
            assert one.geometry.equals(other.geometry)
            assert one.prompts == other.prompts and one.window == other.window and one.iou == other.iou
        assert shapely.equals(again.reviewed, labelled.reviewed).all()
        assert shapely.equals(again.state.never_train, labelled.state.never_train).all()
    finally:
        again.close()


def test_without_a_model_the_code_says_what_the_log_does_not_tell(labelled) -> None:
    """Logs of before candidates were recorded."""
    events = [
        Event(e.id, e.time, e.author, e.kind, {k: v for k, v in e.data.items() if k != "candidate"})
        for e in labelled.project.events()
    ]
    code = as_code(events, labelled.project.manifest, project="other.seglab")
    assert "does not tell which of the three masks" in code
    assert "project='other.seglab'" in code
    assert code.count("session.accept(") == 3  # the undone one is left out
    assert "session.choose" not in code
    assert code.index("session.box(300.0, 210.0, 362.0, 271.0") < code.index(f"session.click({float(LAKES[2][0])!r}")
    assert "session.add_class('pond', '#123456')" in code
    compile(code, "as_code", "exec")


def test_a_recorded_candidate_is_chosen(labelled) -> None:
    events = [
        Event(e.id, e.time, e.author, e.kind, e.data | ({"candidate": 2} if e.kind == "accept" else {}))
        for e in labelled.project.events()
    ]
    code = as_code(events, labelled.project.manifest)
    assert code.count("session.choose(2)") == 3
    assert "does not tell" not in code


def test_rounds_are_comments_and_what_they_drew_is_painted(labelled) -> None:
    events = labelled.project.events()
    last = next(e for e in reversed(events) if e.kind == "accept")
    for kind, data in (("round", {"number": 1}), ("rollback", {"number": 0}), ("accept", last.data | {"round": 1})):
        events.append(Event(events[-1].id + 1, "", "", kind, data))
    code = as_code(events, labelled.project.manifest)
    assert "# session.retrain().result()" in code and "# session.rollback(0)" in code
    assert not any(line.startswith(("session.retrain", "session.rollback")) for line in code.splitlines())
    assert code.count("# round 1 is not in the new project") == code.count("session.paint(outline, ") == 1
    compile(code, "as_code", "exec")


def test_objects_are_drawn_again_or_it_is_said_why_not(labelled) -> None:
    made = [o for _, o in accepted_objects(history(labelled.project.events())[0])]
    found = redraw(labelled._learner.load(0), replace(made[0], geometry=shapely.box(0, 0, 9, 9)))
    assert not found.exact and found.iou < 0.5

    def missing(number: int):
        raise UnknownRoundError("there is no round 0")

    lost = redraw_all(made, missing)
    assert {r.iou for r in lost.values()} == {None}
    assert {r.problem for r in lost.values()} == {"there is no round 0"}
    code = code_of(labelled, load=missing)
    assert code.count("do not give its outline (there is no round 0)") == 3


def test_edits_and_hand_drawn_outlines_are_calls_too(open_lakes, tmp_path: Path, monkeypatch) -> None:
    session = open_lakes()
    for lake in LAKES[:4]:
        session.click(*lake[:2], crs="pixel")
        session.accept("water")
    first, second, third, fourth = (o.id for o in session.objects)
    session.paint(shapely.box(5, 300, 30, 340), crs="pixel")
    drawn = session.accept("field").id
    session.click(*LAKES[4][:2], crs="pixel")
    session.paint(shapely.box(400, 20, 470, 60), crs="pixel")
    session.paint(shapely.box(430, 20, 440, 100), positive=False, crs="pixel")
    mixed = session.accept("field").id
    session.edit(first, mixed, unsure=True, note='it\'s "wet"')
    session.delete(third)
    session.merge(first, second, class_name="water")
    for part in session.split(session.objects[-1].id)[:1]:
        session.edit(part.id, class_name="field")
    session.split(drawn, shapely.LineString([(0, 320), (60, 320)]), crs="pixel")
    session.refine(fourth)
    session.click(LAKES[3][0] + 5, LAKES[3][1], crs="pixel")
    session.accept("water")
    session.rename_class("field", "acre")
    session.recolour_class("acre", "#101010")
    session.add_class("pond")
    session.merge_classes("pond", "water")
    monkeypatch.chdir(tmp_path)
    code = code_of(session, load=lambda number: session._learner.load(number))
    assert "has no call here" not in code
    again = run(code)
    try:
        assert again.classes == session.classes
        one, other = ({_facts(o) for o in s.objects} for s in (again, session))
        assert one == other
    finally:
        again.close()


def _facts(obj) -> tuple[object, ...]:
    prompts = obj.prompts
    return obj.class_name, shapely.normalize(obj.geometry).wkt, prompts.points, prompts.box, obj.unsure, obj.note


def test_an_object_is_found_whatever_was_chosen(open_lakes) -> None:
    session = open_lakes()
    exact = []
    for choice in range(3):
        session.click(*LAKES[4][:2], crs="pixel")
        session.choose(choice)
        if not session.mask.array.any():
            session.reject()
            continue
        made = session.accept("water")
        found = redraw(session._learner.load(0), accepted_objects([session.project.events()[-1]])[0][1])
        assert made.id == session.project.events()[-1].id
        exact.append((found.choices[-1], found.exact))
    assert exact and all(is_exact for _, is_exact in exact)
    assert np.unique([candidate for candidate, _ in exact]).size == len(exact)


def test_the_program_needs_shapely_only_for_areas(open_lakes) -> None:
    session = open_lakes()
    assert "shapely" not in code_of(session)
    assert seglab.__name__ in code_of(session)
