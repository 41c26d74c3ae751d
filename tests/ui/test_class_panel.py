"""The legend of classes and its editor; adding and choosing are tested with the labeler."""

from __future__ import annotations

from tests.ui.conftest import LAKE


def test_editor_opens_for_the_class_in_hand(labeler):
    panel = labeler.classes
    assert "seglab-hidden" in panel.editor._dom_classes
    panel.edit.value = True
    assert "seglab-hidden" not in panel.editor._dom_classes
    assert panel.new_name.value == "water" and panel.colour.value == labeler.session.classes["water"]
    assert list(panel.target.options) == ["field"]
    panel.choose("field")
    assert panel.new_name.value == "field" and list(panel.target.options) == ["water"]


def test_changes_reach_the_session(labeler, hand):
    panel, session = labeler.classes, labeler.session
    hand.click(*LAKE)
    panel.choose("field")
    labeler.command("accept")
    panel.new_name.value = " meadow "
    panel.rename.click()
    assert list(session.classes) == ["water", "meadow"] and panel.chosen == "meadow"
    panel.colour.value = "#123456"
    assert session.classes["meadow"] == labeler.strokes.colour == "#123456"
    assert "#123456" in panel._colours.value
    panel.merge.click()
    assert list(session.classes) == ["water"] and panel.chosen == "water"
    assert session.objects[0].class_name == "water" and "1 object" in labeler.messages.text
    assert panel.merge.disabled
    labeler.command("undo")
    assert list(session.classes) == ["water", "meadow"]


def test_enter_renames(labeler):
    labeler.classes.new_name.value = "lake"
    labeler.classes.new_name._handle_custom_msg({"event": "submit"}, [])
    assert list(labeler.session.classes) == ["lake", "field"]


def test_following_the_choice_is_no_change(labeler):
    for name in ("field", "water"):
        labeler.classes.choose(name)
    assert not labeler.session.can_undo


def test_refusal_shows(labeler):
    labeler.classes.new_name.value = "field"
    labeler.classes.rename.click()
    assert labeler.messages.kind == "error" and "'field'" in labeler.messages.text
    assert list(labeler.session.classes) == ["water", "field"]


def test_hiding_a_class_is_only_a_view(labeler, hand):
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    events = len(labeler.session.objects)
    eye = labeler.classes.eyes["water"]
    eye.value = False
    assert labeler.view.labels.features == [] and eye.icon == "eye-slash" and "Show" in eye.tooltip
    assert len(labeler.session.objects) == events and labeler.objects.list.total == 1
    eye.value = True
    assert len(labeler.view.labels.features) == 1


def test_digits_take_classes(labeler):
    labeler.command("class:2")
    assert labeler.classes.chosen == "field"
    assert labeler.classes.toggles["field"].tooltip.endswith("(2)")
