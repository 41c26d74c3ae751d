"""Clusters in the labeler: chosen by a click, labelled, merged, split by the mask."""

from __future__ import annotations

import pytest

from seglab.ui.labeler import Labeler
from tests.ui.conftest import LAKE, LAND, Hand


@pytest.fixture
def labeler(make_labeler, monkeypatch: pytest.MonkeyPatch) -> Labeler:
    """A labeler whose scene has clusters."""
    labeler = make_labeler()
    labeler.session.propose(3, steps=5).result()
    return labeler


def test_before_there_are_any(make_labeler) -> None:
    labeler = make_labeler()
    section = labeler.clusters.section
    assert not section.toggles and section.find.description == "Find" and not section.find.disabled
    assert "clusters" not in labeler.view.rasters and labeler.layers.rows["clusters"].eye.disabled
    labeler.command("clusters")
    assert "Without labels" in labeler.messages.text


def test_what_a_person_does_with_them(labeler: Labeler) -> None:
    hand, section, session = Hand(labeler), labeler.clusters.section, labeler.session
    assert len(section.toggles) == 3 and "clusters" in labeler.view.rasters
    labeler.command("clusters")
    hand.click(*LAKE)
    chosen = section.chosen
    assert chosen == session.cluster_at(*LAKE, crs="pixel").number and session.prompts.is_empty
    assert section.toggles[chosen].value and "'water'" in section.accept.description
    labeler.command("accept")
    assert session.cluster_classes == {chosen: "water"} and section.chosen is None
    assert "water ✓" in section.toggles[chosen].description
    labeler.command("undo")
    assert not session.cluster_classes and "Cluster" in section.toggles[chosen].description

    hand.click(*LAND)
    section.merge.click()
    assert len(section.toggles) == 2
    section.separate.click()
    assert len(section.toggles) == 3

    labeler.toolbar.choose("plus")  # clicks are prompts again
    assert not labeler.clusters.picks and section.split.disabled
    hand.click(*LAND)
    assert session.mask is not None and not section.split.disabled
    section.split.click()
    assert session.mask is None and len(section.toggles) == 4 and section.chosen == max(section.toggles)
    labeler.command("clusters")
    labeler.command("escape")
    assert section.chosen is None and labeler.clusters.picks
    labeler.command("escape")
    assert not labeler.clusters.picks


def test_find_follows_the_job(make_labeler, monkeypatch: pytest.MonkeyPatch) -> None:
    labeler = make_labeler()
    section = labeler.clusters.section
    started = []
    find = labeler.session.propose
    monkeypatch.setattr(labeler.session, "propose", lambda count: started.append(find(count, steps=3)) or started[0])
    section.count.value = 2
    section.find.click()
    assert section.find.disabled
    started[0].wait()
    Hand(labeler).until(lambda: not section.find.disabled and labeler.clusters.picks, "clusters")
    assert len(section.toggles) == 2 and "drawn together" in section.plot.value
