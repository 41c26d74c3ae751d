"""The list of objects: what it shows, what is selected, and what is done with it."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import ipywidgets as widgets
import pytest
from shapely.geometry import box

from seglab import jobs
from seglab.ui.objects_panel import ALL_CLASSES, PAGE, ObjectsPanel, area_text
from tests.ui.conftest import LAKE

CLASSES = ["water", "field"]


def no_scene(date):
    """Nobody asks for a thumbnail here."""
    raise AssertionError(date)


def objects(count: int) -> list[SimpleNamespace]:
    """Objects in a row, oldest first: every second one a field, every third unsure, every fifth with a note."""
    return [
        SimpleNamespace(
            id=10 + i,
            class_name=CLASSES[i % 2],
            geometry=box(10 * i, 0, 10 * i + 8, 8),
            iou=0.5,
            round=i % 3,
            author="ada",
            unsure=i % 3 == 0,
            note="look again" if i % 5 == 0 else "",
        )
        for i in range(count)
    ]


class Handlers:
    """Remembers what the panel sets off."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))

    def said(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def panel(handlers) -> ObjectsPanel:
    made = ObjectsPanel(handlers, 10.0, widgets.VBox(), widgets.VBox(), no_scene)
    made.show(objects(6), CLASSES)
    return made


def shown(panel: ObjectsPanel) -> list[int]:
    return [row[0] for row in panel.list.rows]


def pick(panel: ObjectsPanel, number: int, how: str = "one") -> None:
    panel.list._handle_custom_msg({"pick": number, "how": how}, [])


def test_newest_first_with_everything_a_row_needs(panel):
    assert shown(panel) == [15, 14, 13, 12, 11, 10]
    assert panel.list.rows[-1][:-1] == [10, 0, "water", "0.64 ha", "0.50", 0, "ada", True, "look again"]
    assert "6 objects" in panel.count.value
    json.dumps(panel.list.rows)


def test_areas():
    assert area_text(250, None) == "250 px"
    assert area_text(250, 10.0) == "2.50 ha"


def test_filters(panel):
    panel.by_class.value = "field"
    assert shown(panel) == [15, 13, 11]
    panel.by_state.value = "Unsure"
    assert shown(panel) == [13]
    assert "1 of 6" in panel.count.value
    panel.by_class.value = ALL_CLASSES
    panel.by_state.value = "With note"
    assert shown(panel) == [15, 10]


def test_empty_list_says_why(handlers):
    panel = ObjectsPanel(handlers, None, widgets.VBox(), widgets.VBox(), no_scene)
    panel.show([], CLASSES)
    assert panel.list.empty.startswith("Nothing is accepted yet. Click an object")
    panel.show(objects(1), CLASSES)
    panel.by_class.value = "field"
    assert panel.list.total == 0 and panel.list.empty == "No such objects."


def test_filter_by_a_class_that_is_gone_is_let_go(panel):
    panel.by_class.value = "field"
    panel.show(objects(6)[::2], ["water"])
    assert panel.by_class.value == ALL_CLASSES and shown(panel) == [14, 12, 10]


def test_click_selects_and_goes_there(panel, handlers):
    pick(panel, 12)
    assert panel.selected == (12,) and panel.list.selected == [12]
    assert handlers.said("go_to")[0][0].id == 12
    assert panel.class_of.value == "water" and not panel.refine.disabled and panel.merge.disabled
    pick(panel, 14, "toggle")
    assert panel.selected == (14, 12) and not panel.merge.disabled and panel.refine.disabled
    assert len(handlers.said("go_to")) == 1
    pick(panel, 14, "toggle")
    assert panel.selected == (12,)
    pick(panel, 15, "range")
    assert panel.selected == (15, 14, 13, 12)
    assert panel.class_of.value is None  # they differ
    assert handlers.said("change_class") == []


def test_arrow_keys_go_from_row_to_row(panel, handlers):
    for step, now in ((1, 15), (1, 14), (-1, 15), (-1, 15)):
        panel.list._handle_custom_msg({"step": step}, [])
        assert panel.selected == (now,)


def test_selection_follows_what_is_left(panel):
    pick(panel, 12)
    pick(panel, 14, "toggle")
    panel.show([o for o in objects(6) if o.id != 14], CLASSES)
    assert panel.selected == (12,)
    pick(panel, 999)  # deleted while the page was clicked
    assert panel.selected == (12,)


def test_actions(panel, handlers):
    pick(panel, 13)
    panel.class_of.value = "water"
    panel.note.value = " check "
    for part in (panel.unsure, panel.refine, panel.split, panel.delete):
        part.click()
    names = ["change_class", "note", "mark_unsure", "refine", "split", "delete"]
    assert [call[0] for call in handlers.calls if call[0] in names] == names
    assert handlers.said("change_class") == [("water",)] and handlers.said("note") == [("check",)]


def test_nothing_selected_nothing_to_do(panel):
    parts = (panel.class_of, panel.unsure, panel.note, panel.refine, panel.split, panel.merge, panel.delete)
    assert all(part.disabled for part in parts)


def test_ten_thousand_objects_are_one_widget_and_one_page_of_rows(handlers):
    panel = ObjectsPanel(handlers, 10.0, widgets.VBox(), widgets.VBox(), no_scene)
    many = objects(10_000)
    start = time.perf_counter()
    panel.show(many, CLASSES)
    pick(panel, 5000)
    assert time.perf_counter() - start < 1
    assert "10,000 objects" in panel.count.value
    assert panel.list.total == 10_000 and len(panel.list.rows) == PAGE
    panel.list.wanted = 7000
    assert panel.list.first == 7000 and shown(panel)[0] == 10 + 9999 - 7000
    panel.list.wanted = 9999
    assert panel.list.first + len(panel.list.rows) == 10_000
    assert len(json.dumps(panel.list.rows)) < 20_000


# -- with a labeler


@pytest.fixture
def labelled(labeler, hand):
    """The labeler with one accepted lake, which is selected."""
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    pick(labeler.objects, labeler.session.objects[0].id)
    return labeler


def test_selected_object_is_outlined(labelled):
    assert labelled.tabs.tabs["Objects"].description == "Objects (1)"
    assert len(labelled.view.selected.data["features"]) == 2  # a line and its shadow
    labelled.command("reject")  # no mask: lets go of the selection
    assert labelled.view.selected.data["features"] == [] and labelled.objects.selected == ()


def test_edits_reach_the_session(labelled):
    session = labelled.session
    labelled.objects.note.value = "check"
    labelled.command("unsure")
    labelled.objects.class_of.value = "field"
    (obj,) = session.objects
    assert (obj.class_name, obj.unsure, obj.note) == ("field", True, "check")
    assert labelled.objects.selected == (obj.id,) and labelled.objects.list.rows[0][7:9] == [True, "check"]
    unsure = labelled.objects.unsure
    assert (unsure.button_style, unsure.icon) == ("warning", "flag")  # not the colour alone
    labelled.command("undo")
    assert session.objects[0].class_name == "water" and labelled.objects.class_of.value == "water"
    labelled.command("unsure")
    assert not session.objects[0].unsure
    labelled.command("delete")
    assert session.objects == () and labelled.objects.selected == ()
    assert labelled.view.selected.data["features"] == []


def test_refine_and_accept_replaces_the_object(labelled, hand):
    session = labelled.session
    before = session.objects[0]
    labelled.classes.choose("field")
    labelled.command("refine")
    assert session.refining == before.id and labelled.classes.chosen == "water"
    assert session.mask.full().sum() == before.geometry.area
    hand.mouse("contextmenu", LAKE[0] + 10, LAKE[1])
    labelled.command("accept")
    assert len(session.objects) == 1 and session.refining is None


def test_merge_wants_two(labelled, hand):
    labelled.command("merge")
    assert "two or more" in labelled.messages.text
    hand.click(200, 90)
    labelled.command("class:2")
    labelled.command("accept")
    second = labelled.session.objects[1].id
    pick(labelled.objects, second, "toggle")
    labelled.command("merge")
    (joined,) = labelled.session.objects
    assert joined.class_name == "water"  # of the one that was picked first
    assert labelled.objects.selected == (joined.id,)

    # and apart again
    labelled.command("split")
    assert len(labelled.session.objects) >= 2 and "Split into" in labelled.messages.text


def test_cut(labeler):
    labeler.session.paint(box(30, 40, 90, 100), crs="pixel")
    labeler.command("accept")
    pick(labeler.objects, labeler.session.objects[0].id)
    labeler.command("split")  # in one piece: the line is still to be drawn
    assert labeler.toolbar.tool == "cut" and "draw a line" in labeler.messages.text
    line = [labeler.frame.to_map(LAKE[0], row) for row in (LAKE[1] - 60, LAKE[1] + 60)]
    labeler.strokes._handle_custom_msg(
        {"tool": "cut", "places": line, "positive": True, "reach": 0.001, "number": 1}, []
    )
    assert len(labeler.session.objects) == 2, labeler.messages.text


@pytest.mark.parametrize("command", ["delete", "unsure", "refine", "split", "merge"])
def test_without_a_selection_it_says_what_to_do(labeler, command):
    labeler.command(command)
    assert labeler.messages.kind == "warning" and "elect" in labeler.messages.text


def test_more_like_what_is_selected(labeler, hand, monkeypatch):
    asked = []

    def propagate(name, like):
        asked.append((name, list(like)))
        outlines = [box(300, 200, 330, 230), box(20, 20, 40, 40)]
        work = lambda reporter: session.propose_objects(outlines, [name] * 2, [0.5, 0.9], origin="a test", crs="pixel")  # noqa: E731
        return jobs.start(work, title="find more like this")

    session = labeler.session
    monkeypatch.setattr(session, "propagate", propagate)
    session.paint(box(100, 100, 140, 140), crs="pixel")
    first = session.accept("water").id
    session.paint(box(200, 100, 240, 140), crs="pixel")
    second = session.accept("field").id
    labeler.objects.select((first, second))
    labeler.command("alike")
    assert "objects of one class" in labeler.messages.text and asked == []
    labeler.objects.select((second,))
    labeler.objects.alike.click()
    hand.rest()
    assert labeler.review.is_on
    assert asked == [("field", [second])] and "Found 2 objects like it" in labeler.messages.text
    assert labeler.review.queue.object.score == 0.9
    hand.click(60, 70)  # a mask in hand: nothing is taken out of it
    labeler.review.end()
    labeler.command("alike")
    hand.rest()
    assert "reviews what is proposed" in labeler.messages.text
    assert not labeler.review.is_on and asked[1] == ("water", [])
