"""The review, selecting on the map, and the preview under the pointer, as a person meets them."""

from __future__ import annotations

import asyncio

import pytest
from shapely.geometry import box

from seglab.ui.label_layer import BATCH, PROPOSED_DASHES
from tests.ui.conftest import LAKE, LAND

PLACES = ((40, 40, 80, 80), (180, 60, 240, 120), (300, 200, 360, 260))


def propose(labeler, places=PLACES, scores=(0.95, 0.8, 0.6)):
    labeler.session.propose_objects(
        [box(*place) for place in places], ["water"] * len(places), list(scores), origin="a test", crs="pixel"
    )
    return [p.id for p in labeler.session.proposals]


@pytest.fixture
def review(labeler):
    """The labeler with three proposed objects and the review begun."""
    propose(labeler)
    labeler.command("review")
    return labeler


def center(labeler) -> tuple[float, float]:
    lat, lon = labeler.view.map.center
    x, y = labeler.frame.to_crs(lat, lon)
    return labeler.session.grid.to_pixel(x, y, labeler.frame.crs)


def progress(labeler) -> str:
    return labeler.review_panel.progress.value.replace("<b>", "").replace("</b>", "")


def hollow(labeler) -> list[dict]:
    return [f["properties"] for f in labeler.view.proposed.features]


def test_proposals_are_counted_and_drawn_only_in_a_review(labeler):
    propose(labeler)
    assert "0 objects · 3 proposed (Q)" in labeler.objects.count.value and hollow(labeler) == []
    assert labeler.session.objects == () and labeler.objects.list.total == 0
    labeler.command("review")
    assert labeler.tabs.chosen == "Objects" and labeler.objects.list.proposed
    styles = [p["style"] for p in hollow(labeler)]
    assert len(styles) == 3 and all(s["dashArray"] == PROPOSED_DASHES and not s["fill"] for s in styles)
    assert "seglab-hidden" in labeler.objects._actions._dom_classes
    labeler.command("escape")
    assert hollow(labeler) == [] and not labeler.objects.list.proposed
    assert "seglab-hidden" in labeler.review_panel._dom_classes


def test_one_after_the_other_by_keys(review):
    session, (first, second, third) = review.session, [p.id for p in review.session.proposals]
    assert progress(review) == "1 of 3" and review.objects.selected == (first,)
    assert center(review) == pytest.approx((60, 60), abs=2)
    assert review.view.selected.data["features"][1]["properties"]["style"]["dashArray"] == PROPOSED_DASHES
    review.command("accept")
    assert [o.id for o in session.objects] == [first] and progress(review) == "2 of 3"
    assert center(review) == pytest.approx((210, 90), abs=2)
    assert "Confirmed" in review.messages.text and "2 left" in review.messages.text
    review.command("candidate")  # skip
    assert progress(review) == "3 of 3" and review.objects.selected == (third,)
    review.command("review:back")
    assert review.objects.selected == (second,)
    review.command("class:2")
    assert review.review_panel.class_of.value == "field" and hollow(review)[0]["class"] == "field"
    assert review.classes.chosen == "water"
    review.command("accept")
    assert session.objects[-1].class_name == "field"
    review.command("reject")
    assert session.proposals == () and len(session.objects) == 2 and "all 3 done" in progress(review)
    review.command("undo")
    assert progress(review) == "3 of 3" and review.objects.selected == (third,)
    review.command("accept")
    assert {o.class_name for o in session.objects} == {"water", "field"} and len(session.objects) == 3


def test_refreshing_keeps_the_place(review, open_lakes):
    review.command("candidate")
    at = review.objects.selected
    review.session.add_class("road")
    open_lakes().click(*LAND, crs="pixel")  # another notebook
    propose(review, ((400, 300, 440, 340),), (0.99,))
    assert review.objects.selected == at and progress(review) == "3 of 4"
    review.review_panel.order.value = "Nearest"
    assert review.objects.selected == at


def test_a_proposal_is_corrected(review):
    session, first = review.session, review.objects.selected[0]
    review.command("class:2")
    review.command("refine")
    assert session.refining == first and review.classes.chosen == "field"
    review.command("reject")  # the mask, not the proposal
    assert session.mask is None and len(session.proposals) == 3
    review.command("refine")
    review.session.paint(box(80, 40, 90, 80), crs="pixel")
    review.command("accept")
    assert [o.class_name for o in session.objects] == ["field"] and len(session.proposals) == 2
    assert session.objects[0].origin == "a test" and progress(review) == "2 of 3"


def test_all_from_a_score_on(review):
    review.review_panel.score.value = 0.7
    assert review.review_panel.likely.description == "Confirm 2"
    review.review_panel.likely.click()
    assert len(review.session.objects) == 2 and progress(review) == "3 of 3"
    review.review_panel.score.value = 0.9
    assert review.review_panel.likely.disabled
    review.command("undo")
    assert len(review.session.proposals) == 3


def test_several_at_once(review):
    ids = [p.id for p in review.session.proposals]
    for number, how in ((ids[2], "toggle"), (ids[1], "toggle")):
        review.objects.list._handle_custom_msg({"pick": number, "how": how}, [])
    assert set(review.objects.selected) == set(ids)
    review.command("delete")
    assert review.session.proposals == () and "3 objects" in review.messages.text


def test_what_is_for_accepted_objects_says_so(review):
    for command in ("unsure", "split", "merge"):
        review.command(command)
        assert "confirm it first" in review.messages.text


def test_an_empty_review_says_where_proposals_come_from(labeler):
    labeler.command("review")
    assert "Nothing is proposed" in labeler.messages.text and labeler.review_panel.from_map.disabled
    for command in ("accept", "reject", "candidate", "review:back"):
        labeler.command(command)


def test_regions_of_the_class_map(labeler, hand):
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    labeler.work.predict()
    hand.rest()
    labeler.command("review")
    labeler.review_panel.from_map.click()
    hand.rest()
    assert labeler.session.proposals
    taken = labeler.session.objects[0].geometry
    assert all(p.geometry.intersection(taken).area == 0 for p in labeler.session.proposals)


def test_found_objects_are_reviewed(labeler, hand):
    assert labeler.finding.find.disabled and "Accept an object first" in labeler.finding.note.value
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    assert not labeler.finding.find.disabled and labeler.finding.note.value == ""
    names = list(labeler.session.classes)
    assert labeler.finding.of_class.options == (("all classes", ""), *((f"of {name}", name) for name in names))
    assert labeler.finding.of_class.index == 0
    labeler.finding.of_class.value = labeler.session.objects[0].class_name
    labeler.finding.find.click()
    assert labeler.finding.find.disabled and labeler.maps.predict.disabled
    hand.rest()
    found = labeler.session.proposals
    assert found and {p.class_name for p in found} == {labeler.session.objects[0].class_name}
    assert labeler.review.is_on and f"{len(found)} objects were found" in labeler.messages.text
    assert not labeler.finding.find.disabled


def test_a_thousand_are_some_layers_and_an_answer_sends_one(labeler):
    places = [(5 * (i % 100), 5 * (i // 100), 5 * (i % 100) + 4, 5 * (i // 100) + 4) for i in range(1000)]
    propose(labeler, places, [0.5] * len(places))
    labeler.command("review")
    layers = labeler.view.proposed.layers
    assert len(layers) == 1000 // BATCH > 1 and len(labeler.objects.list.rows) <= 80
    sent = []
    for layer in layers:
        layer.observe(lambda change: sent.append(change["owner"]), names=["data"])
    labeler.command("reject")
    assert sent == layers[:1]


# -- selecting on the map


@pytest.fixture
def three(labeler):
    """The labeler with three accepted objects, the first one a field."""
    for place, name in zip(PLACES, ("field", "water", "water"), strict=True):
        labeler.session.paint(box(*place), crs="pixel")
        labeler.session.accept(name)
    return labeler


def test_the_select_tool(three, hand):
    first, second, third = (o.id for o in three.session.objects)
    three.objects.by_class.value = "water"
    before = center(three)
    three.command("tool:select")
    hand.click(60, 60)
    assert three.objects.selected == (first,) and three.tabs.chosen == "Objects"
    assert first in [row[0] for row in three.objects.list.rows]  # past the filter
    assert center(three) == before
    hand.mouse("contextmenu", 210, 90)
    assert three.objects.selected == (second,)
    hand.click(*LAND)
    assert three.objects.selected == () and three.session.prompts.is_empty
    assert third not in three.objects.selected


@pytest.mark.parametrize("tool", ["plus", "brush", "box", "polygon"])
def test_ctrl_selects_with_any_tool_and_adds(three, hand, tool):
    first, second, _ = (o.id for o in three.session.objects)
    three.command(f"tool:{tool}")
    three.page.picking = True
    hand.click(60, 60)
    hand.click(210, 90)
    assert three.objects.selected == (second, first)
    hand.click(210, 90)
    hand.click(*LAND)
    assert three.objects.selected == (first,) and three.session.prompts.is_empty


def test_a_click_on_a_proposal_goes_to_it(review, hand):
    review.command("tool:select")
    hand.click(330, 230)
    assert progress(review) == "3 of 3" and review.session.prompts.is_empty


# -- the preview


def previewed(labeler) -> int:
    return len(labeler.view.preview.data["features"])


@pytest.fixture
def known(labeler, hand):
    """The labeler where the window around the lake is encoded."""
    hand.click(*LAKE)
    labeler.command("reject")
    return labeler


def test_a_preview_comes_and_goes(known, hand):
    events = len(known.session.project.events())
    hand.mouse("mousemove", *LAKE)
    assert previewed(known) == 2 and known.session.mask is None
    dashes = [f["properties"]["style"].get("dashArray") for f in known.view.preview.data["features"]]
    assert dashes == [None, "3 4"]
    hand.mouse("mouseout", *LAKE)
    assert previewed(known) == 0
    hand.mouse("mousemove", *LAKE)
    hand.click(*LAKE)
    assert previewed(known) == 0 and known.session.mask is not None
    assert len(known.session.project.events()) == events


def test_no_preview_while_it_is_not_wanted(known, hand):
    hand.mouse("mousedown", *LAKE)
    hand.mouse("mousemove", *LAKE)  # the map is being dragged
    assert previewed(known) == 0
    hand.mouse("mouseup", *LAKE)
    for tool in ("box", "select", "brush"):
        known.command(f"tool:{tool}")
        hand.mouse("mousemove", *LAKE)
        assert previewed(known) == 0
    known.command("tool:plus")
    known.command("preview")
    hand.mouse("mousemove", *LAKE)
    assert previewed(known) == 0 and not known.toolbar.preview.value
    known.toolbar.preview.value = True
    hand.mouse("mousemove", *LAKE)
    assert previewed(known) == 2


def test_where_nothing_is_encoded_nothing_is_computed(labeler, hand, monkeypatch):
    labeler.session.prefetches = False
    asked = []
    monkeypatch.setattr(type(labeler.session._learner.current.encoder), "embedding", lambda *a, **k: asked.append(a))
    hand.mouse("mousemove", *LAKE)
    assert previewed(labeler) == 0 and asked == []


def test_only_the_latest_place_is_answered_and_a_click_goes_first(known, hand, monkeypatch):
    seen = []
    peek = type(known.session).peek
    monkeypatch.setattr(
        type(known.session), "peek", lambda s, x, y, *a, **k: seen.append((x, y)) or peek(s, x, y, *a, **k)
    )

    async def hover_and(act):
        for shift in range(5):
            hand.mouse("mousemove", LAKE[0] + shift, LAKE[1])
        act()
        while known.hover._timer is not None:
            await asyncio.sleep(0.005)

    asyncio.run(hover_and(lambda: None))
    assert len(seen) == 1
    lat, lon = known.frame.to_map(LAKE[0] + 4, LAKE[1])
    assert seen[0] == pytest.approx(known.frame.to_crs(lat, lon))
    asyncio.run(hover_and(lambda: hand.click(*LAKE)))
    assert len(seen) == 1 and known.session.mask is not None
