"""The date slider: what is seen, what clicks are answered on, and that the two are not mistaken for each other."""

from __future__ import annotations

import pytest

from seglab.app.project.looks import MODEL_LOOK
from tests.conftest import LAKES
from tests.ui.conftest import Hand

DRY, WET = DATES = ("2020-06-01", "2021-06-03")


@pytest.fixture
def dated(make_labeler, open_lakes, lakes_path, dry_lakes_path):
    session = open_lakes(source={WET: lakes_path, DRY: dry_lakes_path})
    session.prefetches = False
    return make_labeler(session)


def hidden(widget):
    return "seglab-hidden" in widget._dom_classes


def tile(labeler, pane="imagery"):
    """The middle tile of a pane, as the server draws it for the address that the page has."""
    tiled = labeler.imagery.tiled[pane]
    z, x, y = tiled.probe_tile
    return tiled.render(tiled.path.format(z=z, x=x, y=y))[1]


def test_a_scene_of_one_date_has_no_slider(labeler):
    assert hidden(labeler.dating.bar)
    for name in ("date:previous", "date:next", "date:use"):
        labeler.command(name)
    assert labeler.messages.kind != "error"


def test_the_slider_shows_another_date_and_says_where_clicks_go(dated):
    bar, layer = dated.dating.bar, dated.view.rasters["imagery"]
    assert not hidden(bar) and hidden(bar.use) and bar.slider.value == WET and bar.forward.disabled
    wet, url = tile(dated), layer.url
    bar.slider.value = DRY
    assert dated.view.rasters["imagery"] is layer and layer.url != url  # none of the other date's tiles is there
    assert tile(dated) != wet
    assert (dated.session.date, dated.dating.date) == (WET, DRY)
    assert f"Viewing {DRY}; clicks are answered on {WET}." in bar.words.value and not hidden(bar.use)
    dated.command("date:next")
    assert (bar.slider.value, layer.url) == (WET, url) and hidden(bar.use)
    dated.command("date:next")  # there is none
    dated.command("date:previous")
    assert bar.slider.value == DRY and bar.back.disabled


def test_clicks_are_answered_on_the_date_that_is_seen_when_a_person_says_so(dated):
    hand = Hand(dated)
    dated.command("date:previous")
    hand.click(*LAKES[1][:2])
    before = dated.session.mask.full()
    dated.dating.bar.use.click()
    assert dated.session.date == DRY and hidden(dated.dating.bar.use)
    assert (dated.session.mask.full() != before).any()
    dated.toolbar.accept.click()
    assert [o.date for o in dated.session.objects] == [DRY]
    # from code: what was seen together goes on together, what was not stays
    dated.session.use_date(WET)
    assert dated.dating.date == WET
    dated.command("date:previous")
    dated.session.use_date(DRY)
    assert dated.dating.date == DRY and "Viewing" not in dated.dating.bar.words.value


def test_looks_stay_and_two_dates_lie_beside_the_divider(dated):
    first = tile(dated)
    dated.layers.divide.value = True
    dated.layers.right.value = f"date: {DRY}"
    assert dated.panes.swipe == {
        "left": {"pane": "imagery", "title": WET},
        "right": {"pane": "second", "title": DRY},
    }
    other = tile(dated, "second")
    assert tile(dated) == first != other
    dated.command("date:previous")  # now the other one is what it can be compared with
    assert dated.panes.swipe["left"]["title"] == DRY and dated.panes.swipe["right"]["title"] == WET
    assert (tile(dated), tile(dated, "second")) == (other, first)
    dated.layers.divide.value = False
    assert dated.layering.look.title == MODEL_LOOK
    assert dated.layering.look.stretch == dated.session.scene_at(DRY).stretch


def test_a_date_that_cannot_be_opened_is_not_seen(dated, monkeypatch):
    def gone(date):
        from seglab.errors import SceneNotFoundError

        raise SceneNotFoundError("the file is gone")

    url = dated.view.rasters["imagery"].url
    monkeypatch.setattr(dated.session, "scene_at", gone)
    dated.dating.bar.slider.value = DRY
    assert dated.messages.text == "the file is gone"
    assert dated.dating.bar.slider.value == dated.dating.date == WET and dated.view.rasters["imagery"].url == url


def test_the_date_that_was_seen_comes_back(dated, make_labeler):
    dated.command("date:previous")
    dated.close()
    again = make_labeler(dated.session)
    assert again.dating.date == again.dating.bar.slider.value == DRY and again.session.date == WET


def test_maps_say_of_which_date_they_are(dated):
    hand = Hand(dated)
    hand.click(*LAKES[1][:2])
    dated.toolbar.accept.click()
    dated.session.set_area_of_interest(dated.session.objects[0].geometry, crs="pixel")
    dated.maps.predict.click()
    hand.rest()
    assert f"on {WET}" in dated.layers.notes["prediction"].value
