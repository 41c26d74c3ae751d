"""Classes are renamed, recoloured and merged; rounds and maps know them still."""

from __future__ import annotations

import pytest
import torch
from shapely.geometry import box

from seglab import errors
from seglab.app.maps.mapping import map_colours
from seglab.app.session import LabelSession
from tests.conftest import LAKES


@pytest.fixture
def session(open_lakes) -> LabelSession:
    session = open_lakes()
    session.add_class("road", "#123456")
    session.click(*LAKES[1][:2], crs="pixel")
    session.accept("water")
    session.paint(box(300, 300, 320, 310), crs="pixel")
    session.accept("road")
    return session


def test_a_renamed_class_keeps_objects_colour_and_place(session: LabelSession) -> None:
    before = dict(session.classes)
    session.rename_class("water", " lake ")
    assert list(session.classes) == ["lake", "field", "road"] and session.classes["lake"] == before["water"]
    assert [o.class_name for o in session.objects] == ["lake", "road"]
    assert session.undo() == "rename class water to lake" and session.classes == before


def test_names_are_unique_and_not_those_that_rounds_know(session: LabelSession) -> None:
    session.rename_class("water", "lake")
    with pytest.raises(errors.UnknownClassError, match="lake"):
        session.add_class("water")
    with pytest.raises(errors.UnknownClassError):
        session.rename_class("road", "lake")
    session.rename_class("lake", "water")
    assert session.state.renamed == {"lake": "water"}


def test_a_class_is_recoloured(session: LabelSession) -> None:
    session.recolour_class("road", "#abcdef")
    assert session.classes["road"] == "#abcdef"
    with pytest.raises(errors.WriteError):
        session.recolour_class("road", "red")
    assert session.undo() == "recolour class road" and session.classes["road"] == "#123456"


def test_merged_classes_share_objects(session: LabelSession) -> None:
    session.merge_classes("road", "water")
    assert list(session.classes) == ["water", "field"] and {o.class_name for o in session.objects} == {"water"}
    session.undo()
    assert [o.class_name for o in session.objects] == ["water", "road"]
    with pytest.raises(errors.UnknownClassError, match="itself"):
        session.merge_classes("road", "road")


def test_a_round_knows_a_class_by_its_old_name(session: LabelSession) -> None:
    session.retrain(steps=1).result()
    current = session._learner.current
    trained = current.trained["water"]
    session.rename_class("water", "lake")
    prompts = session._learner.current.class_prompts(session.state)
    assert set(prompts) == {"lake", "road"}
    torch.testing.assert_close(prompts["lake"], trained)
    session.merge_classes("road", "lake")
    merged = session._learner.current.class_prompts(session.state)
    assert set(merged) == {"lake"}


def test_a_map_made_before_keeps_its_colours(session: LabelSession) -> None:
    session.predict().result()
    assert map_colours(session.state) == {1: session.classes["water"], 2: session.classes["field"], 3: "#123456"}
    session.rename_class("water", "lake")
    session.recolour_class("road", "#abcdef")
    assert map_colours(session.state) == {1: session.classes["lake"], 2: session.classes["field"], 3: "#abcdef"}
    session.merge_classes("lake", "road")
    assert map_colours(session.state) == {1: "#abcdef", 2: session.classes["field"], 3: "#abcdef"}


def test_a_project_reopens_with_the_classes_it_was_made_with(session: LabelSession, open_lakes) -> None:
    session.rename_class("water", "lake")
    session.merge_classes("road", "field")
    assert list(open_lakes(classes=["water", "field", "road"]).classes) == ["lake", "field"]


def test_a_class_keeps_its_own_prompt_when_another_went_into_it(session: LabelSession) -> None:
    session.retrain(steps=1).result()
    trained = session._learner.current.trained
    session.merge_classes("water", "road")
    session.rename_class("road", "lane")
    prompts = session._learner.current.class_prompts(session.state)
    torch.testing.assert_close(prompts["lane"], trained["road"])
    with pytest.raises(errors.UnknownClassError, match="lane"):
        session.rename_class("lane", "water")


def test_a_project_takes_its_own_round_back_after_a_rename(session: LabelSession, tmp_path) -> None:
    session.retrain(steps=1).result()
    path = session.export_round(1, tmp_path / "round.safetensors")
    session.rename_class("water", "lake")
    session.import_round(path)
    assert list(session.classes) == ["lake", "field", "road"]
