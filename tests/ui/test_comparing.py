"""Two annotators in the labeler: compared, their disputes settled by keys, and their labels merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely.geometry import box

from seglab.app.session import LabelSession
from seglab.ui.agreement_words import kappa_words
from seglab.ui.project_work import TITLE
from tests.ui.conftest import Hand


def paint(session: LabelSession, class_name: str, *corners: float) -> int:
    session.paint(box(*corners), crs="pixel")
    return session.accept(class_name).id


@pytest.fixture
def bob(labeler, open_lakes, tmp_path: Path) -> LabelSession:
    """Who calls a field of the labeler's bare, and has a lake of his own; a lake is the same."""
    mine, bob = labeler.session, open_lakes(project=tmp_path / "bob.seglab", author="bob", classes=["water", "bare"])
    paint(mine, "water", 10, 10, 60, 60)
    paint(mine, "field", 100, 10, 160, 60)
    paint(bob, "water", 10, 10, 60, 60)
    paint(bob, "bare", 100, 10, 160, 60)
    paint(bob, "water", 200, 200, 260, 260)
    return bob


@pytest.fixture
def compared(labeler, hand: Hand, bob: LabelSession):
    """The labeler after comparing with bob's project."""
    labeler.tabs.choose(TITLE)
    labeler.comparing.section.file.value = str(bob.project.folder)
    labeler.comparing.section.compare.click()
    hand.until(lambda: labeler.comparing.sheet.is_open, "the comparison")
    return labeler


def shown(widget) -> bool:
    return "seglab-hidden" not in widget._dom_classes


def test_what_is_compared_must_be_named(labeler) -> None:
    labeler.comparing.section.compare.click()
    assert labeler.messages.kind == "error" and "name the other labels first" in labeler.messages.text


def test_the_sheet_has_the_figures_by_class(compared) -> None:
    sheet = compared.comparing.sheet
    table = sheet.table.value
    assert "only bob" in table and "almost perfect" not in table
    lake = table.split("water</td>")[1].split("</tr>")[0]
    assert "<td>0.41</td><td>0.57</td><td>moderate</td><td>1</td><td>0</td><td>1</td>" in lake
    assert "<td>25.0" in lake  # hectares in both: 2500 pixels of 10 m
    assert "2 disputes, none settled" in sheet.words.value
    assert "field&#x27; by" in sheet.list.value and "bob calls it &#x27;bare&#x27;" in sheet.list.value
    assert shown(sheet._merging) and not shown(sheet._asked)
    compared.command("escape")
    assert not sheet.is_open
    compared.comparing.section.show_table.click()
    assert sheet.is_open


def test_disputes_are_settled_by_keys_and_undo_brings_them_back(compared) -> None:
    labeler, session = compared, compared.session
    labeler.comparing.section.settle.click()
    assert not labeler.comparing.sheet.is_open and shown(labeler.settling.bar)
    by_kind = {}
    for _ in range(2):
        by_kind[labeler.settling.dispute.kind] = labeler.settling.dispute
        labeler.command("candidate")
    assert set(by_kind) == {"class", "alone"}
    while labeler.settling.dispute.kind != "class":
        labeler.command("review:back")
    assert len(labeler.view.disputed.data["features"]) == 4
    dashes = [f["properties"]["style"].get("dashArray") for f in labeler.view.disputed.data["features"]]
    assert dashes[:3] == [None] * 3 and dashes[3]
    labeler.command("class:2")
    assert [o.class_name for o in session.objects] == ["water", "bare"] and "bob is right" in labeler.messages.text
    assert labeler.settling.dispute.kind == "alone" and labeler.settling.bar.second.description == "Add it"
    labeler.command("class:1")
    assert labeler.settling.dispute is None and "All 2 are settled" in labeler.settling.bar.words.value
    assert "all settled. The labels have changed since." in labeler.comparing.sheet.words.value
    assert "✓ bob is right" in labeler.comparing.sheet.list.value
    labeler.command("undo")
    assert labeler.settling.dispute.kind == "alone"
    labeler.command("unsure")
    assert session.objects[-1].unsure and session.objects[-1].author == "bob"
    labeler.command("escape")
    assert not shown(labeler.settling.bar) and labeler.view.disputed.data["features"] == []
    labeler.command("class:1")
    assert labeler.classes.chosen == "water"  # the keys are what they were


def test_a_review_ends_the_settling_and_the_other_way_round(compared) -> None:
    compared.comparing.settle()
    compared.command("review")
    assert compared.review.is_on and not compared.settling.is_on
    compared.comparing.settle()
    assert compared.settling.is_on and not compared.review.is_on


def test_merging_asks_first_and_one_undo_takes_it_back(compared, hand: Hand) -> None:
    sheet, session = compared.comparing.sheet, compared.session
    before = session.objects
    sheet.plan.click()
    hand.until(lambda: shown(sheet._asked), "the question")
    assert "1 object of bob comes in, 1 of yours becomes unsure." in sheet.question.value
    assert session.objects == before
    sheet.leave.click()
    assert not shown(sheet._asked)
    sheet.rule.value = "theirs"
    sheet.plan.click()
    hand.until(lambda: shown(sheet._asked), "the question")
    assert "2 objects of bob come in, 1 of yours is removed." in sheet.question.value
    sheet.rule.value = "both"
    assert not shown(sheet._asked)  # another rule is another question
    sheet.plan.click()
    hand.until(lambda: shown(sheet._asked), "the question")
    sheet.merge.click()
    hand.rest()
    assert "1 dispute, none settled" in sheet.words.value  # compared again
    assert len(session.objects) == 3 and "1 object of bob came in" in compared.messages.text
    session.undo()
    assert session.objects == before


def test_authors_of_one_project_are_compared(labeler, hand: Hand, open_lakes) -> None:
    paint(open_lakes(author="bob"), "field", 10, 10, 60, 60)
    labeler.tabs.choose(TITLE)
    paint(labeler.session, "water", 10, 10, 60, 60)  # hears of what the other notebook has done
    section = labeler.comparing.section
    assert [o.class_name for o in labeler.session.objects] == ["water"]
    section.who.value = next(value for _, value in section.who.options if value is not None)
    assert section.who.value == labeler.session.authors and section.who.value[0] == "bob"
    assert not shown(section.file)
    section.compare.click()
    hand.until(lambda: labeler.comparing.sheet.is_open, "the comparison")
    assert not shown(labeler.comparing.sheet._merging)
    labeler.comparing.sheet.settle.click()
    labeler.command("class:1")
    assert [(o.class_name, o.author) for o in labeler.session.objects] == [("field", "bob")]
    labeler.comparing.sheet.again.click()
    hand.until(lambda: "1 dispute, all settled" in labeler.comparing.sheet.words.value, "the comparison")


def test_words() -> None:
    assert kappa_words(0.83) == "κ 0.83, almost perfect" and kappa_words(float("nan")) == "κ not defined"
