"""What a person does with the labeler, and what it shows."""

from __future__ import annotations

import io
import logging
import urllib.request

import geopandas as gpd
import ipyleaflet
import numpy as np
import pytest
import shapely
from PIL import Image
from shapely.geometry import shape

import seglab
from seglab.ui.labeler import WELCOME, Labeler
from tests.ui.conftest import LAKE, LAND, Hand


def shown_mask(labeler: Labeler) -> np.ndarray | None:
    """The live mask as (rows, cols) of the scene, read back from the overlay on the map."""
    layer = labeler.view.mask
    if layer not in labeler.view.map.layers:
        return None
    png = urllib.request.urlopen(layer.url).read()
    alpha = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))[..., 3]
    (south, west), (north, east) = layer.bounds
    rows, cols = np.mgrid[: labeler.session.shape[0], : labeler.session.shape[1]] + 0.5
    lon, lat = labeler.session.grid.from_pixel(cols, rows)
    x = np.floor((lon - west) / (east - west) * alpha.shape[1]).astype(int)
    y = np.floor((north - lat) / (north - south) * alpha.shape[0]).astype(int)  # so small that lat is linear
    inside = (x >= 0) & (y >= 0) & (x < alpha.shape[1]) & (y < alpha.shape[0])
    found = np.zeros(labeler.session.shape, dtype=bool)
    found[inside] = alpha[y[inside], x[inside]] > 0
    return found


# -- before anything is done


def test_empty_state_says_what_to_do_first(labeler):
    assert labeler.messages.text == WELCOME
    assert labeler.classes.chosen == "water"
    bar = labeler.toolbar
    assert bar.accept.disabled and bar.reject.disabled and bar.next.disabled
    assert bar.undo.disabled and bar.redo.disabled
    assert labeler.model.retrain.disabled and labeler.maps.predict.disabled and labeler.export.export.disabled
    for note in (labeler.model.note, labeler.maps.note):
        assert "Accept" in note.value  # why the button rests


def test_imagery_is_tiles_in_the_bands_of_the_model(labeler):
    assert isinstance(labeler.view.rasters["imagery"], ipyleaflet.TileLayer)
    url = labeler.view.rasters["imagery"].url
    assert url == labeler.connection.probe.url_for(labeler.imagery.tiled["imagery"].path)
    assert all(part in url for part in ("{z}", "{x}", "{y}"))


def answer(labeler, name, url, tried):
    """What the page says about its ways."""
    result = {"name": name, "url": url, "tried": tried, "attempt": 0, "done": True}
    labeler.connection.probe.set_state({"result": result})


def test_imagery_takes_the_route_that_the_page_found(labeler):
    path = labeler.imagery.tiled["imagery"].path
    answer(labeler, "page", "/elsewhere" + path, [])
    assert labeler.view.rasters["imagery"].url == "/elsewhere" + path


def test_pictures_of_the_view_are_said_and_labelling_goes_on(labeler, hand):
    answer(labeler, "bytes", "", [{"name": "comm", "url": "", "status": 0, "error": "no answer in time"}])
    assert labeler.messages.kind == "warning" and "Connection" in labeler.messages.text
    assert labeler.connection.button.icon == "warning"
    hand.click(*LAKE)
    assert labeler.session.mask is not None


def test_scene_that_cannot_be_drawn_is_an_error(labeler):
    answer(labeler, "bytes", "", [{"name": "comm", "url": "", "status": 500, "error": "status 500"}])
    assert labeler.messages.kind == "error" and "status 500" in labeler.messages.text


def test_connection_says_the_way_and_asks_again(labeler):
    panel = labeler.connection.panel
    assert "looking for a way" in panel.words.value
    labeler.connection.button.click()
    assert panel.is_open
    tried = [{"name": "server", "url": "/x<y>", "status": 404, "error": "status 404"}]
    answer(labeler, "comm", "data:#", [*tried, {"name": "comm", "url": "", "status": 200, "error": ""}])
    assert "In use:</b> the kernel sends each tile by message" in panel.words.value
    assert (
        "status 404 <code>/x&lt;y&gt;</code>" in panel.words.value and "jupyter server extension" in panel.words.value
    )
    assert labeler.messages.kind == "info"  # it works: nobody has to be told
    before = labeler.connection.probe.attempt
    panel.again.click()
    assert labeler.connection.probe.attempt == before + 1
    labeler.command("escape")
    assert not panel.is_open
    labeler.command("connection")
    assert panel.is_open


def test_every_button_has_a_tooltip(labeler):
    found = []

    def walk(widget):
        found.append(widget)
        for child in getattr(widget, "children", ()):
            walk(child)

    walk(labeler)
    kinds = ("Button", "ToggleButton", "Text", "Dropdown", "FloatSlider", "SelectionSlider", "ColorPicker")
    named = [w for w in found if type(w).__name__ in kinds]
    assert len(named) > 40
    assert all(w.tooltip for w in named), [w for w in named if not w.tooltip]


# -- clicks


def test_click_shows_a_mask_where_the_session_has_it(labeler, hand):
    hand.click(*LAKE)
    session = labeler.session
    assert [(p.positive, round(p.col), round(p.row)) for p in session.prompts.points] == [(True, *LAKE)]
    shown = shown_mask(labeler)
    both = (shown & session.mask.full()).sum() / (shown | session.mask.full()).sum()
    assert both > 0.97
    assert shown[int(LAKE[1]), int(LAKE[0])]
    assert f"{session.mask.iou:.2f}" in labeler.figures.value
    assert not labeler.toolbar.accept.disabled


@pytest.mark.parametrize("way", ["tool", "right click", "modifier"])
def test_minus_points(labeler, hand, way):
    hand.click(*LAKE)
    if way == "tool":
        labeler.toolbar.tools["minus"].value = True
        hand.click(*LAND)
    elif way == "right click":
        hand.mouse("contextmenu", *LAND)
    else:
        labeler.page.minus = True
        hand.click(*LAND)
    points = labeler.session.prompts.points
    assert [p.positive for p in points] == [True, False]
    markers = labeler.view.points.layers
    assert [m.alt for m in markers] == ["plus point", "minus point"]
    assert markers[0].icon.html != markers[1].icon.html


def test_double_click_is_one_point(labeler, hand):
    hand.click(*LAKE)
    hand.click(*LAKE)
    hand.mouse("dblclick", *LAKE)
    assert len(labeler.session.prompts.points) == 1


def test_pan_is_no_click(labeler, hand):
    hand.drag(LAKE, LAND)
    assert labeler.session.prompts.is_empty


def test_box(labeler, hand):
    labeler.toolbar.tools["box"].value = True
    assert not labeler.view.map.dragging and labeler.page.tool == "box"
    hand.drag((30, 40), (92, 101))
    box = labeler.session.prompts.box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((30, 40, 92, 101), abs=0.5)
    assert len(labeler.view.prompt_box.data["features"]) == 1
    assert shown_mask(labeler).any()
    labeler.toolbar.tools["plus"].value = True
    assert labeler.view.map.dragging


def test_keep_out(labeler, hand):
    labeler.toolbar.tools["keep_out"].value = True
    assert not labeler.view.map.dragging and labeler.page.tool == "keep_out"
    hand.drag((30, 40), (92, 101))
    assert labeler.session.prompts.is_empty and labeler.session.mask is None
    (area,) = labeler.session.kept_out
    assert area.bounds == pytest.approx((30, 40, 92, 101), abs=0.5)
    assert len(labeler.view.areas.data["features"]) == 2  # a line and its shadow
    labeler.toolbar.undo.click()
    assert not labeler.view.areas.data["features"]


def test_click_with_the_box_in_hand_does_nothing(labeler, hand):
    labeler.toolbar.tools["box"].value = True
    hand.click(*LAKE)
    assert labeler.session.prompts.is_empty
    assert labeler.messages.kind != "error"


def test_one_tool_is_in_hand(labeler):
    tools = labeler.toolbar.tools
    tools["box"].value = True
    assert [name for name, t in tools.items() if t.value] == ["box"]
    tools["box"].value = False  # a click on the pressed button
    assert labeler.toolbar.tool == "box"


def test_candidates_cycle(labeler, hand):
    hand.click(*LAKE)
    candidates = labeler.session.candidates
    seen = []
    for _ in range(4):
        seen.append(next(i for i, c in enumerate(candidates) if c is labeler.session.mask))
        labeler.toolbar.next.click()
    assert seen == [0, 1, 2, 0]
    assert "mask 2 of 3" in labeler.figures.value


def test_no_prediction_is_claimed_for_what_a_person_drew(labeler):
    labeler.session.paint(shapely.box(20, 20, 60, 60), crs="pixel")
    assert labeler.figures.value.startswith("drawn by hand")


# -- accept, reject, undo


def test_accept_keeps_the_object_and_shows_it(labeler, hand):
    hand.click(*LAKE)
    mask = labeler.session.mask.full()
    labeler.classes.toggles["field"].value = True
    labeler.toolbar.accept.click()
    assert labeler.messages.kind == "done"
    assert shown_mask(labeler) is None and not labeler.view.points.layers
    features = labeler.view.labels.features
    assert [f["properties"]["class"] for f in features] == ["field"]
    outline = labeler.session.grid.geometry_to_pixel(shape(features[0]["geometry"]))
    assert outline.area == pytest.approx(mask.sum(), rel=0.1)
    assert outline.symmetric_difference(labeler.session.objects[0].geometry).area < 0.1 * mask.sum()
    assert labeler.classes.toggles["field"].description == "field  (1)"
    saved = gpd.read_file(labeler.session.project.folder / "labels.gpkg")
    assert len(saved) == 1


def test_hundreds_of_labels_are_one_layer(labeler, hand):
    hand.click(*LAKE)
    labeler.command("accept")
    layers = len(labeler.view.map.layers)
    for col, row in [(200, 90), (330, 240)]:
        hand.click(col, row)
        labeler.toolbar.accept.click()
    assert len(labeler.session.objects) == 3
    assert len(labeler.view.map.layers) == layers


def test_reject_drops_the_mask(labeler, hand):
    hand.click(*LAKE)
    labeler.toolbar.reject.click()
    assert labeler.session.mask is None and shown_mask(labeler) is None
    assert labeler.toolbar.accept.disabled


def test_undo_and_redo(labeler, hand):
    hand.click(*LAKE)
    hand.click(LAKE[0] + 8, LAKE[1])
    labeler.toolbar.undo.click()
    assert len(labeler.view.points.layers) == 1
    labeler.toolbar.accept.click()
    labeler.toolbar.undo.click()
    assert not labeler.view.labels.features and "accept water" in labeler.messages.text
    labeler.toolbar.redo.click()
    assert len(labeler.view.labels.features) == 1


def test_what_is_done_in_code_shows(labeler):
    labeler.session.click(*LAKE, crs="pixel")
    assert shown_mask(labeler)[int(LAKE[1]), int(LAKE[0])]
    labeler.session.accept("water")
    assert len(labeler.view.labels.features) == 1


# -- classes


def test_add_class(labeler):
    labeler.classes.name.value = "road"
    labeler.classes.add.click()
    assert list(labeler.session.classes) == ["water", "field", "road"]
    assert labeler.classes.chosen == "road" and labeler.classes.name.value == ""
    assert labeler.session.classes["road"] in labeler.classes._colours.value


def test_enter_adds_a_class(labeler):
    labeler.classes.name.value = "road"
    labeler.classes.name._handle_custom_msg({"event": "submit"}, [])
    assert "road" in labeler.session.classes


def test_class_that_is_there_already_is_refused(labeler):
    labeler.classes.name.value = "water"
    labeler.classes.add.click()
    assert labeler.messages.kind == "error" and "'water'" in labeler.messages.text


def test_classes_differ_by_more_than_colour(labeler):
    for name in ("road", "house"):
        labeler.session.add_class(name)
    rules = labeler.classes._colours.value
    assert all(f"--seglab-line: {line}" in rules for line in ("solid", "dashed", "dotted"))


def test_class_name_is_text_not_markup(labeler, hand):
    labeler.session.add_class("<img src=x>")
    labeler.classes.choose("<img src=x>")
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    assert "<img" not in labeler.messages._html.value


# -- errors show


def test_click_outside_the_scene_says_so(labeler, hand):
    hand.click(-50, -50)
    assert labeler.messages.kind == "error" and "outside the scene" in labeler.messages.text
    hand.click(*LAKE)
    assert labeler.messages.kind == "info"


def test_unforeseen_errors_show_and_are_logged(labeler, hand, monkeypatch, caplog):
    def broken(*_, **__):
        raise ZeroDivisionError("no luck <b>")

    monkeypatch.setattr(labeler.session, "click", broken)
    with caplog.at_level(logging.ERROR, logger="seglab"):
        hand.click(*LAKE)
    assert "ZeroDivisionError: no luck <b>" in labeler.messages.text
    assert "<b>" not in labeler.messages._html.value.split("no luck")[1].split("</div>")[0]
    assert caplog.records[0].exc_info[1].args == ("no luck <b>",)


def test_retrain_without_labels(labeler):
    labeler.work.retrain()
    assert labeler.messages.kind == "error" and "nothing is accepted" in labeler.messages.text


# -- jobs


@pytest.fixture
def labelled(labeler, hand):
    """The labeler with one accepted lake."""
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    return labeler


@pytest.fixture
def short_rounds(labelled, monkeypatch):
    """Rounds of two steps."""
    retrain = labelled.session.retrain
    monkeypatch.setattr(labelled.session, "retrain", lambda: retrain(steps=2))


def test_retrain_map_and_go_back(labelled, hand, short_rounds):
    labelled.model.retrain.click()
    assert len(labelled.jobs.children) == 1 and labelled.model.retrain.disabled
    hand.rest()
    assert labelled.session.round == 1
    assert labelled.messages.kind == "done" and "Round 1" in labelled.messages.text
    assert not labelled.jobs.children and not labelled.model.retrain.disabled
    assert labelled.model.rounds.value == 1 and labelled.model.back.disabled

    labelled.maps.predict.click()
    hand.rest()
    assert "map_001.tif" in labelled.messages.text
    layer = labelled.view.rasters["prediction"]
    assert layer in labelled.view.map.layers and isinstance(layer, ipyleaflet.TileLayer)
    labelled.layers.rows["prediction"].opacity.value = 0.25
    labelled.layers.rows["prediction"].eye.value = False
    assert labelled.panes.looks["prediction"] == {"visible": False, "opacity": 0.25}

    labelled.model.rounds.value = 0
    labelled.model.back.click()
    assert labelled.session.round == 0
    assert "Made by round 1" in labelled.maps.note.value


def test_cancel(labelled, hand):
    labelled.model.retrain.click()
    labelled.jobs.children[0].cancel.click()
    hand.rest()
    assert "Cancelled" in labelled.messages.text
    assert labelled.session.round == 0 and not labelled.model.retrain.disabled


def test_export(labelled, tmp_path):
    labelled.export.file.value = str(tmp_path / "out.geojson")
    labelled.export.export.click()
    assert labelled.messages.kind == "done" and "out.geojson" in labelled.messages.text
    assert len(gpd.read_file(tmp_path / "out.geojson")) == 1


def test_export_of_the_map_and_of_chips(labelled, hand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = labelled.export
    panel.kind.value = "map"
    assert panel.file.value == "map.gpkg" and panel.export.disabled  # nothing is mapped yet
    labelled.session.predict().result()
    labelled.refresh_prediction_state()
    assert not panel.export.disabled
    panel.export.click()
    hand.rest()
    assert "regions are in" in labelled.messages.text
    assert len(gpd.read_file(tmp_path / "map.gpkg", layer="map"))
    panel.kind.value = "chips"
    panel.export.click()
    hand.rest()
    assert "COCO" in labelled.messages.text
    assert list((tmp_path / "chips" / "masks").iterdir())
    panel.export.click()  # it is there already
    hand.rest()
    assert labelled.messages.kind == "error" and "new folder" in labelled.messages.text


def test_export_to_an_unknown_suffix(labelled, tmp_path):
    labelled.export.file.value = str(tmp_path / "out.docx")
    labelled.export.export.click()
    assert labelled.messages.kind == "error" and ".docx" in labelled.messages.text
    assert not (tmp_path / "out.docx").exists()


# -- life


def test_what_kept_a_round_from_use_is_said(make_labeler, open_lakes):
    session = open_lakes()
    session.problem = "round 3 does not fit; roll back to another round"
    labeler = make_labeler(session)
    assert (labeler.messages.kind, labeler.messages.text) == ("error", session.problem)


def test_reopened_project_shows_what_was_there(make_labeler, labelled, hand):
    labelled.maps.predict.click()
    hand.rest()
    labelled.close()
    labelled.session.close()
    again = make_labeler()
    assert len(again.view.labels.features) == 1
    assert again.view.rasters["prediction"] in again.view.map.layers
    assert again.classes.toggles["water"].description == "water  (1)"
    assert not again.toolbar.undo.disabled


def test_closed_labeler_follows_no_more_and_serves_no_more(labeler):
    server = labeler.imagery.tiled["imagery"].server
    served = labeler.imagery.tiled["imagery"].handle.id
    assert served in server._layers
    session = labeler.session
    labeler.close()
    session.click(*LAKE, crs="pixel")
    assert labeler.view.mask not in labeler.view.map.layers
    assert served not in server._layers


def test_closed_session_serves_no_more(labeler):
    tiled = labeler.imagery.tiled["imagery"]
    path = tiled.path.format(**dict(zip("zxy", tiled.probe_tile, strict=True)))
    assert tiled.render(path)[0] == 200
    labeler.session.close()
    assert tiled.render(path) == (404, b"")


def test_scale_follows_the_view(labeler):
    def look(bounds):
        (south, west), (north, east) = bounds
        for name, value in {"south": south, "west": west, "north": north, "east": east}.items():
            labeler.view.map.set_trait(name, value)

    look(labeler.frame.bounds)
    whole = labeler.session.scale
    south, west = labeler.frame.to_map(100, 200)
    north, east = labeler.frame.to_map(300, 100)
    look(((south, west), (north, east)))
    assert labeler.session.scale == 1
    assert whole == 1  # the scene is smaller than two windows


def test_the_session_knows_what_is_in_view_and_under_the_pointer(labeler, hand, monkeypatch):
    session, seen = labeler.session, []
    monkeypatch.setattr(session, "look_at", lambda *bounds, crs: seen.append((bounds, crs)))
    monkeypatch.setattr(session, "point_at", lambda x, y, crs: seen.append(session.grid.to_pixel(x, y, crs)))
    south, west = labeler.frame.to_map(100, 200)
    north, east = labeler.frame.to_map(300, 100)
    for name, value in {"south": south, "west": west, "north": north, "east": east}.items():
        labeler.view.map.set_trait(name, value)
    assert seen[-1] == ((west, south, east, north), labeler.frame.crs)
    hand.mouse("mousemove", *LAKE)
    assert seen[-1] == pytest.approx(LAKE, abs=0.01)


def test_label_opens_and_shows(lakes_path, tmp_path):
    labeler = seglab.label(lakes_path, classes=["water"], project=tmp_path / "p.seglab", device="cpu")
    assert list(labeler.classes.toggles) == ["water"]
    labeler.close()
    labeler.session.close()


# -- plain images


@pytest.fixture
def plain(make_labeler, photo, tmp_path):
    session = seglab.open(photo, classes=["disc"], project=tmp_path / "photo.seglab", device="cpu")
    yield make_labeler(session)
    session.close()


def test_plain_image_is_labelled_on_a_plain_map(plain, tmp_path):
    assert plain.view.map.crs["name"] == "Simple"
    assert isinstance(plain.view.rasters["imagery"], ipyleaflet.ImageOverlay)
    assert plain.view.rasters["imagery"].bounds == [(-200, 0), (0, 300)]
    assert "no tiles" in plain.connection.panel.words.value and plain.connection.panel.again.disabled
    hand = Hand(plain)
    hand.click(90, 120)
    assert plain.session.prompts.points[0].col == 90 and plain.session.prompts.points[0].row == 120
    (south, west), (north, east) = plain.view.mask.bounds
    assert west < 90 < east and south < -120 < north
    assert "px" in plain.figures.value
    plain.toolbar.accept.click()
    plain.maps.predict.click()
    hand.rest()
    assert plain.messages.kind == "done", plain.messages.text
    assert isinstance(plain.view.rasters["prediction"], ipyleaflet.ImageOverlay)
    assert plain.view.rasters["prediction"].pane == "prediction"
