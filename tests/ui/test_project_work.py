"""The project's tab, and the view that comes back."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
from shapely.geometry import box

from seglab.app.history.label_events import ALLOWED
from seglab.app.labels.tidy import Tidy
from seglab.app.project.kept_view import VIEW_NAME
from seglab.app.project.looks import BY_HAND, Look
from seglab.ui.project_panel import areas_html
from seglab.ui.project_work import TITLE


def test_a_place_is_gone_to_and_a_wrong_one_is_explained(labeler) -> None:
    labeler.command("place")
    assert labeler.tabs.chosen == TITLE
    labeler.project.go_to("pixel 100 50")
    lat, lon = labeler.frame.to_map(100, 50)
    assert abs(labeler.view.map.center[0] - lat) < 1e-5 and abs(labeler.view.map.center[1] - lon) < 1e-5
    labeler.project.go_to("nowhere")
    assert labeler.messages.kind == "error" and "write it like" in labeler.messages.text


def test_the_view_becomes_the_area_of_interest(labeler) -> None:
    frame, session = labeler.frame, labeler.session
    (s, w), (n, e) = frame.bounds
    for name, value in (("south", s), ("west", w), ("north", (s + n) / 2), ("east", (w + e) / 2)):
        labeler.view.map.set_trait(name, value)
    labeler.project.take_view_as_area()
    area = session.state.area_of_interest
    assert abs(area.area / (session.shape[0] * session.shape[1]) - 0.25) < 0.02
    assert len(labeler.view.interest.data["features"]) == 2
    labeler.tabs.choose(TITLE)
    assert "everywhere" not in labeler.project.panel.extent.value
    labeler.project.clear_area()
    assert session.area_of_interest is None and labeler.view.interest.data["features"] == []
    assert "everywhere" in labeler.project.panel.extent.value
    session.undo()
    assert len(labeler.view.interest.data["features"]) == 2


def test_hectares_follow_while_the_tab_is_open(labeler, hand) -> None:
    labeler.tabs.choose(TITLE)
    before = labeler.project.panel.areas.value
    hand.click(60.5, 60.5)
    labeler.command("accept")
    after = labeler.project.panel.areas.value
    assert after != before and after == areas_html(labeler.session.areas) and "ha</th>" in after


def test_tidying_and_overlaps_are_set_and_come_back(labeler, make_labeler) -> None:
    labeler.tabs.choose(TITLE)
    panel = labeler.project.panel
    panel.tidy["min_area"].value, panel.tidy["snap"].value = 20, 3
    panel.overlaps.value = ALLOWED
    assert labeler.session.tidy == Tidy(min_area=20, snap=3) and labeler.session.overlaps == ALLOWED
    labeler.command("tool:box")
    name = next(iter(labeler.classes.eyes))
    labeler.classes.eyes[name].value = False
    labeler.view.map.center, labeler.view.map.zoom = (0.01, 0.02), 7.0
    labeler.command("class:2")  # the map has not moved in the page: each change is kept by itself
    again = make_labeler(labeler.session)
    assert again.session.tidy == Tidy(min_area=20, snap=3) and again.toolbar.tool == "box"
    assert again.classes.hidden == {name} and again.view.map.zoom == 7.0
    assert again.classes.chosen == labeler.classes.chosen != name


def test_looks_layers_and_divider_come_back(labeler, make_labeler) -> None:
    layers = labeler.layers
    layers.look.preset.value = BY_HAND
    layers.look.kind.value = "One band"
    layers.look.stretch.value = "1 to 99 %"
    layers.rows["labels"].eye.value = False
    layers.rows["imagery"].opacity.value = 0.4
    layers.basemap.value = "OpenTopoMap"
    layers.choose_sides("", "labels")
    layers.divide.value = True
    labeler.panes.position = 0.25
    again = make_labeler(labeler.session)
    assert again.layering.look == labeler.layering.look and again.layering.look.shown == 1
    assert again.layers.look.stretch.value == "1 to 99 %" and again.layers.look.preset.value == BY_HAND
    assert again.layers.basemap.value == "OpenTopoMap" and "basemap" in again.view.rasters
    assert again.panes.looks["labels"]["visible"] is True  # the divider shows what it divides
    assert again.panes.looks["imagery"] == {"visible": True, "opacity": 0.4}
    assert again.panes.position == 0.25 and again.panes.swipe == labeler.panes.swipe != {}
    again.layers.divide.value = False
    again.layers.look.stretch.value = "By hand"
    again.layers.look.high.value = 1234.0
    third = make_labeler(labeler.session)
    assert third.panes.swipe == {} and third.layering.look.stretch.high == (1234.0,)
    assert third.layers.look.stretch.value == "By hand"


def test_a_preset_comes_back_with_the_bands_of_today(labeler, make_labeler) -> None:
    titles = list(labeler.session.looks)
    assert len(titles) > 1
    labeler.layers.look.preset.value = titles[-1]
    kept = labeler.session.kept_view
    again = make_labeler(labeler.session)
    assert again.layering.look == labeler.layering.look
    for look in (Look("Long gone", (1, 2, 3)), Look(BY_HAND, (77,), "gray")):
        labeler.session.keep_view(replace(kept, look=look))
        other = make_labeler(labeler.session)
        assert other.layering.look.title == titles[0]
    assert other.messages.kind == "error" and "77" in other.messages.text


def test_a_view_that_cannot_be_kept_is_said(labeler, make_labeler) -> None:
    session = labeler.session
    file = session.project.folder / VIEW_NAME
    file.mkdir()
    labeler.command("tool:box")
    session._view_file.write()
    assert labeler.messages.kind == "error" and "opened again" in labeler.messages.text
    file.rmdir()
    file.write_text("{")
    again = make_labeler(session)
    assert again.messages.kind == "error" and VIEW_NAME in again.messages.text
    assert again.toolbar.tool == "plus"


def test_import_to_be_reviewed(labeler, hand, tmp_path) -> None:
    grid = labeler.session.grid
    outline = grid.geometry_from_pixel(box(10, 10, 40, 40), grid.crs)
    gpd.GeoDataFrame({"class": ["water"]}, geometry=[outline], crs=grid.crs).to_file(tmp_path / "old.gpkg")
    panel = labeler.project.panel
    panel.file.value, panel.as_proposals.value = str(tmp_path / "old.gpkg"), True
    panel._import()
    hand.rest()
    assert "1 object proposed" in labeler.messages.text
    assert len(labeler.session.proposals) == 1
    panel.file.value = ""
    panel._import()
    assert labeler.messages.kind == "error" and "name the file first" in labeler.messages.text


def test_the_cache_is_cleared(labeler, hand) -> None:
    hand.click(60.5, 60.5)
    assert sum(labeler.session.cache_size.values()) > 0
    labeler.session.prefetches = False
    labeler.project.clear_cache()
    assert "free again" in labeler.messages.text


def test_code_is_given(labeler, hand) -> None:
    hand.click(60.5, 60.5)
    labeler.command("accept")
    labeler.command("code")
    hand.until(lambda: labeler.project.code.is_open, "the code")
    assert "session.accept" in labeler.project.code.text.value
    labeler.command("escape")
    assert not labeler.project.code.is_open


def test_time_and_accuracy_are_shown_when_the_tab_is_opened_and_written_on_demand(labeler, hand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labeler.tabs.choose(TITLE)
    accounts = labeler.project.accounts
    assert accounts.spent.value == "<span>No object was made here yet.</span>" and accounts.curve.value == ""
    hand.click(60.5, 60.5)
    labeler.command("accept")
    labeler.tabs.choose("Model")
    labeler.tabs.choose(TITLE)
    assert "1 object in" in accounts.spent.value and "Two rounds" in accounts.advice.value
    accounts.file.value = "mine.html"
    accounts.report.click()
    assert "mine.html" in labeler.messages.text and (tmp_path / "mine.html").stat().st_size > 1000
    accounts.file.value = "nowhere/mine.html"
    accounts.report.click()
    assert labeler.messages.kind == "error"
