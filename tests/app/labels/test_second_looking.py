"""The second look: labels that rounds contradict, and what a person's answer to it changes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from shapely.geometry import MultiPolygon, Point, box

import seglab
from seglab import errors
from seglab.app.history.replay import replay
from seglab.app.labels import second_looking
from seglab.app.session import LabelSession
from seglab.core.windows import Window
from seglab.jobs import SilentReporter
from tests.conftest import LAKES

FIELDS = ((144, 144, 192, 192), (240, 144, 288, 192), (48, 144, 96, 192))


def put(session: LabelSession, place: int, class_name: str) -> int:
    """Draw a lake of the scene and give it a class."""
    col, row, radius = LAKES[place]
    session.paint(Point(col, row).buffer(radius), crs="pixel")
    return session.accept(class_name).id


@pytest.fixture(scope="module")
def trained(lakes_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two rounds on three lakes, three fields and a lake that is labelled as a field."""
    folder = tmp_path_factory.mktemp("trained") / "lakes.seglab"
    session = seglab.open(lakes_path, classes=["water", "field"], project=folder, device="cpu", isolate=False)
    for place in range(3):
        put(session, place, "water")
    for bounds in FIELDS:
        session.paint(box(*bounds), crs="pixel")
        session.accept("field")
    put(session, 3, "field")
    for _ in range(2):
        session.retrain(steps=1).result()
    session.close()
    return folder


@pytest.fixture
def session(trained: Path, tmp_path: Path, open_lakes) -> LabelSession:
    folder = shutil.copytree(trained, tmp_path / "lakes.seglab", ignore=shutil.ignore_patterns("*.lock"))
    return open_lakes(project=folder)


@pytest.fixture
def wrong(session: LabelSession) -> int:
    """The number of the object whose label is wrong."""
    return session.objects[-1].id


def test_a_wrong_label_is_found_and_said_in_words(session: LabelSession, wrong: int) -> None:
    heard, told = [], []
    session.subscribe(lambda _, what: heard.append(what))

    class Reporter(SilentReporter):
        def update(self, done, total=None, message=None, **values) -> None:
            told.append((done, total))

    (one,) = session.second_look(reporter=Reporter())
    assert (one.id, one.class_name, one.instead, one.rounds) == (wrong, "field", "water", (1, 2))
    assert one.sure > 0.5 and one.words.startswith("Rounds 1 and 2 see 'water' on 9")
    assert session.doubts == (one,) and heard == ["doubts"]
    assert told[-1][0] == told[-1][1] == len(told)


def test_the_report_counts_them(session: LabelSession, wrong: int, tmp_path: Path) -> None:
    def written() -> str:
        return session.report(tmp_path / "report.html").read_text(encoding="utf-8")

    assert "contradict" not in written()
    session.second_look()
    assert "labels that rounds contradict: 1" in written() and "second look" not in written()
    session.keep(wrong)
    assert "labels that rounds contradict: 0; labels kept after a second look: 1" in written()


def test_a_kept_label_is_not_asked_again_until_its_class_changes(session: LabelSession, wrong: int) -> None:
    session.second_look()
    session.keep(wrong)
    assert session.doubts == () and session.second_look() == [] and session.objects[-1].kept
    assert f"session.keep(o{wrong})" in session.as_code(check=False)
    assert session.undo() == "keep an object as labelled"
    assert [one.id for one in session.second_look()] == [wrong]
    session.redo()
    again = replay(SilentReporter(), session.project.folder)
    assert again.equal
    session.edit(wrong, class_name="water")
    assert not session.objects[-1].kept
    with pytest.raises(errors.UnknownObjectError):
        session.keep(wrong + 1000)


def test_what_is_corrected_or_deleted_is_doubted_no_more(session: LabelSession, wrong: int) -> None:
    session.second_look()
    session.edit(wrong, class_name="water")
    assert session.doubts == ()
    session.undo()
    assert len(session.doubts) == 1  # undo brings the doubt back
    session.edit(wrong, unsure=True)
    assert session.doubts == ()
    session.undo()
    session.delete(wrong)
    assert session.doubts == ()


def test_rounds_that_learned_another_label_of_that_ground_do_not_count(session: LabelSession) -> None:
    """Else every corrected label would be contradicted by the rounds that had learned it wrong."""
    card = session.rounds[-1].card
    learned = next(o for o in session.objects if o.id in card["labels"] and o.class_name == "water")
    session.edit(learned.id, class_name="field")  # it is water: all rounds see that, and have learned it
    assert learned.id not in [one.id for one in session.second_look()]
    session.undo()
    session.refine(learned.id)
    drawn = session.accept("field")
    assert drawn.id not in [one.id for one in session.second_look()]


def test_it_needs_two_rounds(session: LabelSession) -> None:
    session.rollback(1)
    with pytest.raises(errors.SecondLookError, match="two rounds"):
        session.second_look()
    session.undo()
    assert len(session.second_look(rounds=1)) == 1  # never fewer than two


def test_an_object_smaller_than_a_cell_has_a_share(session: LabelSession) -> None:
    """The window is four times as coarse as the scene; the object's middle is in no cell's middle."""
    model = session._learner.current
    small = session.objects[0]
    made = replace(small, geometry=MultiPolygon([box(60, 60, 61, 61)]), window=Window(0, 0, 896, 896, 4))
    prompts = model.class_prompts(session.state)
    (shares,) = second_looking._shares(model, "", made.window, [made], prompts)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4) and set(shares) == {"background", "water", "field"}
