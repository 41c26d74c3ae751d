"""The second look as a person meets it: labels in doubt one by one, by keys."""

from __future__ import annotations

import pytest
from shapely.geometry import box

from seglab.app.labels.doubts import Doubt
from seglab.ui.objects_panel import SECOND_LOOK
from tests.ui.conftest import LAND

PLACES = ((40, 40, 80, 80), (180, 60, 240, 120), (300, 200, 360, 260), (400, 300, 440, 340))


@pytest.fixture
def labeler(labeler):
    """With four objects, of which rounds contradict three."""
    session = labeler.session
    for place in PLACES:
        session.paint(box(*place), crs="pixel")
        session.accept("water")
    said = zip(session.objects[1:], ("field", "background", "field"), (0.5, 0.9, 0.7), strict=True)
    found = [Doubt(o, instead, sure, (1, 2), f"Rounds 1 and 2 see {instead!r}") for o, instead, sure in said]
    session._doubts = tuple(sorted(found, key=lambda one: -one.sure))
    return labeler


def shown(labeler) -> list[int]:
    return [row[0] for row in labeler.objects.list.rows]


def progress(labeler) -> str:
    return labeler.second_look.panel.progress.value.replace("<b>", "").replace("</b>", "")


def hidden(part) -> bool:
    return "seglab-hidden" in part._dom_classes


def test_labels_in_doubt_are_ranked_and_said_in_words(labeler) -> None:
    _, first, second, third = [o.id for o in labeler.session.objects]
    assert hidden(labeler.second_look.panel)
    labeler.command("second_look")
    assert labeler.tabs.chosen == "Objects" and shown(labeler) == [second, third, first]
    assert labeler.objects.selected == (second,) and progress(labeler) == "1 of 3"
    panel = labeler.second_look.panel
    assert not hidden(panel) and not hidden(labeler.objects._actions)
    assert "see &#x27;background&#x27;." in panel.words.value and panel.agree.description == "Delete it"
    assert "3 of 4 objects" in labeler.objects.count.value
    labeler.command("candidate")
    assert progress(labeler) == "2 of 3" and panel.agree.description == "Make it 'field'"
    labeler.command("review:back")
    assert progress(labeler) == "1 of 3"
    labeler.command("escape")
    assert hidden(panel) and len(shown(labeler)) == 4


def test_answers_by_keys_and_undo(labeler) -> None:
    session = labeler.session
    _, first, second, third = [o.id for o in session.objects]
    labeler.command("second_look")
    labeler.command("accept")
    assert session.state.undoable.kind == "keep" and "Kept; undo" in labeler.messages.text
    assert progress(labeler) == "2 of 3" and labeler.objects.selected == (third,)
    labeler.command("class:2")
    assert next(o for o in session.objects if o.id == third).class_name == "field"
    assert progress(labeler) == "3 of 3" and "1 left" in labeler.messages.text
    labeler.command("delete")
    assert [o.id for o in session.objects if o.id == first] == [] and progress(labeler).endswith("all 3 done</span>")
    assert shown(labeler) == [] and hidden(labeler.second_look.panel.answers)
    for place in ("3 of 3", "2 of 3", "1 of 3"):
        labeler.command("undo")
        assert progress(labeler) == place
    assert [o.id for o in session.objects if o.kept] == []
    assert labeler.objects.selected == (second,)


def test_the_rounds_are_right_by_one_button(labeler) -> None:
    session = labeler.session
    _, first, second, third = [o.id for o in session.objects]
    labeler.command("second_look")
    labeler.second_look.panel.agree.click()
    assert [o.id for o in session.objects if o.id == second] == []
    labeler.second_look.panel.agree.click()
    assert {o.id: o.class_name for o in session.objects}[third] == "field"
    assert labeler.objects.selected == (first,)


def test_a_row_that_is_picked_is_looked_at_and_several_are_kept_at_once(labeler) -> None:
    _, first, second, third = [o.id for o in labeler.session.objects]
    labeler.command("second_look")
    labeler.objects.list._on_pick(first, "one")
    assert progress(labeler) == "3 of 3"
    labeler.objects.list._on_pick(third, "toggle")
    labeler.command("accept")
    assert {o.id for o in labeler.session.objects if o.kept} == {first, third}
    assert labeler.objects.selected == (second,) and "for 2 objects" in labeler.messages.text


def test_keys_go_to_a_mask_that_is_being_drawn(labeler, hand) -> None:
    labeler.command("second_look")
    hand.click(*LAND)
    labeler.command("accept")
    assert len(labeler.session.objects) == 5 and not any(o.kept for o in labeler.session.objects)


def test_without_rounds_it_says_what_is_missing(labeler, hand) -> None:
    labeler.session._doubts = ()
    labeler.objects.by_state.value = SECOND_LOOK
    hand.rest()
    assert "two rounds" in labeler.messages.text and shown(labeler) == [] and hidden(labeler.second_look.panel.answers)
    assert not labeler.second_look.panel.ask.disabled
