"""The check of a map as a person meets it: asked blind, answered by keys, gone back, ended and taken up again."""

from __future__ import annotations

import re

import pytest

from seglab.ui.check_panel import results_html
from seglab.ui.place_marker import LEAST_PIXEL
from tests.app.maps.test_map_checking import mapped
from tests.ui.conftest import LAKE

BLIND = ("prediction", "confidence", "changed", "labels", "proposed")


@pytest.fixture
def labeler(make_labeler, open_lakes):
    """A labeler on the lakes, of which there is a map."""
    session = open_lakes()
    (session.project.folder / "maps").mkdir()
    mapped(session)
    return make_labeler(session)


@pytest.fixture
def asked(labeler):
    """The labeler with a check of 30 places begun."""
    labeler.session.start_check(30, seed=2)
    labeler.command("check")
    assert labeler.checking.is_on
    return labeler


def place(labeler) -> str:
    return re.sub("</?b>", "", labeler.checking.panel.place.value)


def center(labeler) -> tuple[float, float]:
    x, y = labeler.frame.to_crs(*labeler.view.map.center)
    return labeler.session.grid.to_pixel(x, y, labeler.frame.crs)


def marked(labeler) -> list[dict]:
    return labeler.checking._marker.layer.data["features"]


def visible(labeler) -> dict[str, bool]:
    return {pane: labeler.panes.looks[pane]["visible"] for pane in BLIND if pane in labeler.panes.looks}


def test_it_begins_with_a_sample(labeler, hand) -> None:
    section = labeler.checking.section
    assert section.size.value == 204 and "± 4.9 points" in section.note.value and not section.start.disabled
    section.size.value = 50
    assert "± 10.0 points" in section.note.value
    section.start.click()
    hand.rest()
    assert "what is in the outlined pixel" in labeler.messages.text
    assert labeler.checking.is_on and labeler.session.check.size == 50 and place(labeler) == "1 of 50"


def test_without_a_map_nothing_begins(make_labeler, open_lakes) -> None:
    labeler = make_labeler(open_lakes())
    assert labeler.checking.section.start.disabled
    labeler.command("background")
    assert "in a check" in labeler.messages.text and labeler.session.check is None


def test_the_question_is_blind(asked) -> None:
    assert set(visible(asked)) >= {"prediction", "labels"} and not any(visible(asked).values())
    assert "seglab-checking" in asked.side._dom_classes and "seglab-hidden" not in asked.checking.panel._dom_classes
    asked.command("labels")
    asked.layers.rows["prediction"].eye.value = False
    asked.layers.rows["prediction"].eye.value = True
    assert not any(visible(asked).values())
    told = " ".join([asked.messages.text, place(asked), repr(asked.session.check)])
    assert not any(name in told for name in ("water", "field"))
    asked.command("escape")
    assert visible(asked)["prediction"] and visible(asked)["labels"] and not asked.checking.is_on
    assert marked(asked) == [] and "seglab-checking" not in asked.side._dom_classes
    assert "0 of 30 places are answered" in asked.messages.text


def test_the_pixel_is_marked_at_its_size(asked) -> None:
    unit = asked.session.check.sample.units[0]
    assert center(asked) == pytest.approx((unit.col + 0.5, unit.row + 0.5), abs=0.01)
    ring = marked(asked)[0]["geometry"]["coordinates"][0]
    pixels = [asked.session.grid.to_pixel(lon, lat, "EPSG:4326") for lon, lat in ring]
    cols, rows = zip(*pixels, strict=True)
    assert (min(cols), max(cols)) == pytest.approx((unit.col, unit.col + 1), abs=1e-3)
    assert (min(rows), max(rows)) == pytest.approx((unit.row, unit.row + 1), abs=1e-3)


def test_the_zoom_stays_unless_the_pixel_would_be_lost(asked) -> None:
    frame, shown = asked.frame, asked.view.map

    def see(col: float, row: float, across: float) -> None:
        (s, w), (n, e) = asked.view._around(asked.session.check.outline(0).buffer(across))
        for name, value in (("south", s), ("west", w), ("north", n), ("east", e)):
            shown.set_trait(name, value)

    shown.zoom = 17.0
    see(0, 0, 40)
    assert 560 / frame.view_pixels(asked.view.view) > LEAST_PIXEL
    asked.command("background")
    assert shown.zoom == 17.0
    see(0, 0, 300)
    asked.command("background")
    assert shown.zoom != 17.0


def test_answers_by_keys(asked) -> None:
    session = asked.session
    for key, answer in (("class:1", "water"), ("class:2", "field"), ("background", "background"), ("unsure", None)):
        asked.command(key)
        assert list(session.check.answers.values())[-1] == answer
    assert place(asked) == "5 of 30" and len(session.check.answers) == 4
    asked.command("class:9")  # there are two classes
    assert place(asked) == "5 of 30"
    asked.command("candidate")
    assert place(asked) == "6 of 30" and session.check.answered == 4
    asked.command("review:back")
    asked.command("review:back")
    assert place(asked) == "4 of 30" and asked.checking.panel.answers[None].icon == "check"
    asked.command("class:1")
    assert session.check.answers[3] == "water" and place(asked) == "5 of 30"
    assert all(made.icon == "" for made in asked.checking.panel.answers.values())
    asked.checking.panel.answers["field"].click()
    assert session.check.answers[4] == "field"


def test_undo_goes_back_to_the_place(asked) -> None:
    asked.command("class:1")
    asked.command("class:2")
    asked.command("undo")
    assert place(asked) == "2 of 30" and asked.session.check.answered == 1
    asked.command("redo")
    assert asked.session.check.answered == 2
    for _ in range(3):
        asked.command("undo")
    assert asked.session.check is None and not asked.checking.is_on


def test_clicks_and_other_keys_do_nothing(asked, hand) -> None:
    hand.labeler = asked
    hand.click(*LAKE)
    assert asked.session.mask is None and "being checked" in asked.messages.text
    asked.command("tool:box")
    assert asked.toolbar.tool == "plus"
    hand.mouse("mousemove", *LAKE)
    assert asked.view.preview.data["features"] == []
    asked.command("escape")
    hand.click(*LAKE)
    assert asked.session.mask is not None
    asked.command("check")
    assert not asked.checking.is_on and "mask in hand" in asked.messages.text


def test_the_figures_come_at_the_end(asked) -> None:
    for number in range(30):
        asked.command("class:1" if number % 3 else "background")
    assert not asked.checking.is_on and asked.checking.sheet.is_open
    text = asked.checking.sheet.text.value
    assert "Overall accuracy" in text and "Olofsson" in text and "estimated ha" in text
    asked.command("escape")
    assert not asked.checking.sheet.is_open
    assert asked.checking.section.go_on.disabled
    asked.command("check")
    assert asked.checking.sheet.is_open


def test_too_little_for_figures(asked) -> None:
    asked.command("class:1")
    asked.command("escape")
    asked.checking.section.results.click()
    assert asked.messages.kind == "error" and "check more" in asked.messages.text
    assert "1 of 30 places answered" in asked.checking.section.progress.value


def test_it_is_taken_up_again(asked, make_labeler, open_lakes) -> None:
    asked.command("class:1")
    again = make_labeler(open_lakes())
    assert not again.checking.is_on and not again.checking.section.go_on.disabled
    again.checking.section.go_on.click()
    assert place(again) == "2 of 30"
    again.command("class:2")
    asked.command("class:2")  # the first notebook asks about the same place
    assert asked.session.check.answered == 2


def test_a_class_that_comes_later_can_be_answered(asked) -> None:
    asked.session.add_class("<road>")
    assert list(asked.checking.panel.answers) == ["water", "field", "<road>", "background", None]
    for number in range(30):
        asked.command("class:3" if number == 7 else "class:1")
    assert "&lt;road&gt;" in results_html(asked.session.area_estimate())
