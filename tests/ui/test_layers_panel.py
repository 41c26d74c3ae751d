"""Layers, looks and the divider, as the page's messages set them off."""

from __future__ import annotations

import ipyleaflet
import pytest

import seglab
from seglab.app.project.looks import BY_HAND, MODEL_LOOK
from seglab.datasets.examples import example
from seglab.ui.imagery import KEPT
from seglab.ui.layers_panel import BASEMAPS, LAYERS
from seglab.ui.look_editor import titles_after
from seglab.ui.map_panes import LAYER_PANES
from tests.ui.conftest import LAKE, Hand


@pytest.fixture
def landsat(make_labeler, tmp_path):
    session = seglab.open(example("landsat"), ["water"], tmp_path / "p.seglab", device="cpu")
    session.prefetches = False
    yield make_labeler(session)
    session.close()


@pytest.fixture
def photo_labeler(make_labeler, photo, tmp_path):
    session = seglab.open(photo, classes=["disc"], project=tmp_path / "photo.seglab", device="cpu")
    yield make_labeler(session)
    session.close()


@pytest.fixture
def mapped(labeler, hand):
    """A labeler with one map."""
    hand.click(*LAKE)
    labeler.toolbar.accept.click()
    map_again(labeler, hand)
    return labeler


def map_again(labeler, hand):
    labeler.maps.predict.click()
    hand.rest()


def hidden(widget):
    return "seglab-hidden" in widget._dom_classes


def path_of(labeler, pane):
    return labeler.imagery.tiled[pane].path


def test_every_layer_has_a_pane_and_they_lie_in_this_order():
    assert [layer.pane for layer in reversed(LAYERS)] == [pane for pane in LAYER_PANES if pane != "second"]


def test_layers_are_hidden_and_faded_in_the_page(labeler):
    assert labeler.panes.looks["imagery"] == {"visible": True, "opacity": 1.0}
    rows = labeler.layers.rows
    rows["imagery"].opacity.value = 0.3
    rows["labels"].eye.value = False
    assert labeler.panes.looks["imagery"] == {"visible": True, "opacity": 0.3}
    assert labeler.panes.looks["labels"] == labeler.panes.looks["proposed"] == {"visible": False, "opacity": 1.0}
    assert (rows["labels"].eye.icon, rows["labels"].eye.tooltip.split()[0]) == ("eye-slash", "Show")
    labeler.command("labels")
    assert labeler.panes.looks["labels"]["visible"] and rows["labels"].eye.icon == "eye"


# -- looks


def test_another_look_is_another_layer_of_the_server_and_the_same_of_the_map(landsat):
    layer, path = landsat.view.rasters["imagery"], path_of(landsat, "imagery")
    stretch = landsat.session.scene.stretch
    landsat.layers.look.preset.value = "NDVI"
    assert landsat.view.rasters["imagery"] is layer
    assert path_of(landsat, "imagery") != path and path_of(landsat, "imagery") in layer.url
    assert landsat.layering.look.bands == (4, 3)
    assert "linear-gradient" in landsat.layers.look.legend.value
    assert (landsat.session.scene.bands, landsat.session.scene.stretch) == ((3, 2, 1), stretch)
    landsat.command("look")
    assert landsat.layering.look.title == landsat.layers.look.preset.value == "NDWI"
    landsat.command("look")
    assert landsat.layering.look.title == MODEL_LOOK and landsat.layers.look.legend.value == ""


def test_a_look_that_was_seen_before_is_at_its_former_address_and_old_ones_are_dropped(landsat):
    first = landsat.imagery.tiled["imagery"]
    landsat.layers.look.preset.value = "NDVI"
    landsat.layers.look.preset.value = MODEL_LOOK
    assert landsat.imagery.tiled["imagery"] is first
    landsat.layers.look.preset.value = "NDVI"
    landsat.layers.look.stretch.value = "By hand"
    for number in range(KEPT + 3):
        landsat.layers.look.low.value = -1.0 - number
    assert first.handle.id not in first.server._layers
    assert landsat.imagery.tiled["imagery"].handle.id in first.server._layers
    assert KEPT < len(landsat.imagery._looks) <= KEPT + 2  # and the one that is shown, and the one before
    landsat.close()
    assert not landsat.imagery._looks


def test_bands_by_hand_begin_with_what_is_shown(landsat):
    editor = landsat.layers.look
    assert hidden(editor._hand) and hidden(editor._stretch)
    editor.preset.value = "False colour (near infrared)"
    assert not hidden(editor._stretch)
    editor.preset.value = BY_HAND
    assert not hidden(editor._hand)
    assert [choice.label for choice in editor.bands] == ["4: B4", "3: B3", "2: B2"]
    editor.bands[0].value = 5
    assert landsat.layering.look.bands == (5, 3, 2)
    editor.kind.value = "One band"
    editor.ramp.value = "magma"
    assert (landsat.layering.look.bands, landsat.layering.look.ramp) == ((5,), "magma")
    assert hidden(editor._band_rows[1]) and not hidden(editor._ramp)
    editor.kind.value = "Index (a − b) / (a + b)"
    assert landsat.layering.look.bands == (5, 3)


def test_stretch_by_percentiles_and_by_hand(landsat):
    editor = landsat.layers.look
    editor.preset.value = "NDVI"
    narrow = landsat.layering.look.stretch
    editor.stretch.value = "0 to 100 %"
    wide = landsat.layering.look.stretch
    assert wide.low < narrow.low and wide.high > narrow.high
    assert hidden(editor._limits)
    editor.stretch.value = "By hand"
    assert not hidden(editor._limits) and landsat.layering.look.stretch == wide  # from what is shown
    editor.low.value = -0.25
    assert landsat.layering.look.stretch.low == (-0.25,)
    path = path_of(landsat, "imagery")
    editor.low.value = 2000
    assert landsat.messages.kind == "error" and "low < high" in landsat.messages.text
    assert path_of(landsat, "imagery") == path


def test_looks_of_a_plain_image(photo_labeler):
    before = photo_labeler.view.rasters["imagery"]
    assert isinstance(before, ipyleaflet.ImageOverlay)
    photo_labeler.layers.look.preset.value = BY_HAND
    photo_labeler.layers.look.kind.value = "One band"
    after = photo_labeler.view.rasters["imagery"]
    assert after in photo_labeler.view.map.layers and before not in photo_labeler.view.map.layers
    assert after.url != before.url and (after.pane, after.bounds) == ("imagery", before.bounds)
    assert hidden(photo_labeler.layers.basemap_block)


def test_titles_go_round():
    assert [titles_after(["a", "b"], now) for now in ("a", "b", "by hand")] == ["b", "a", "a"]


# -- basemap


def test_no_basemap_unless_one_is_chosen(labeler):
    assert "basemap" not in labeler.view.rasters
    assert labeler.layers.basemap.value == "None"
    labeler.layers.basemap.value = "Esri World Imagery"
    layer = labeler.view.rasters["basemap"]
    assert layer.pane == "basemap" and "Esri" in layer.attribution and "{z}" in layer.url
    assert any(isinstance(control, ipyleaflet.AttributionControl) for control in labeler.view.map.controls)
    labeler.layers.basemap.value = "None"
    assert "basemap" not in labeler.view.rasters and layer not in labeler.view.map.layers
    assert not any(isinstance(control, ipyleaflet.AttributionControl) for control in labeler.view.map.controls)


@pytest.mark.parametrize("name", [name for name, provider in BASEMAPS.items() if provider is not None])
def test_basemaps_need_no_key_and_say_who_made_them(name):
    provider = BASEMAPS[name]
    assert not provider.requires_token() and provider.attribution


# -- maps


def test_maps_of_the_scene_appear_with_the_first_one(labeler, hand, mapped):
    rows = mapped.layers.rows
    assert not rows["confidence"].eye.disabled and rows["changed"].eye.disabled
    assert set(mapped.view.rasters) == {"imagery", "prediction"}
    rows["confidence"].eye.value = True
    assert mapped.view.rasters["confidence"].pane == "confidence"
    served = mapped.imagery.tiled["confidence"]
    rows["confidence"].eye.value = False
    assert "confidence" not in mapped.view.rasters and served.handle.id not in served.server._layers
    assert "second map" in mapped.layers.notes["changed"].value
    map_again(labeler, hand)
    assert not rows["changed"].eye.disabled
    assert "the model as delivered" in mapped.layers.notes["changed"].value
    rows["changed"].eye.value = True
    assert mapped.view.rasters["changed"] in mapped.view.map.layers


def test_class_map_follows_the_colours_of_the_classes(mapped):
    path = path_of(mapped, "prediction")
    mapped.session.edit(mapped.session.objects[0].id, note="the same colours")
    assert path_of(mapped, "prediction") == path
    mapped.session.recolour_class("water", "#ff00ff")
    assert path_of(mapped, "prediction") != path


def test_encoded_windows_are_outlined_while_they_are_to_be_seen(labeler, hand):
    hand.click(*LAKE)
    assert labeler.view.encoded.data["features"] == []
    labeler.layers.rows["encoded"].eye.value = True
    count = len(labeler.session.encoded_windows)
    assert count >= 1 and labeler.view.encoded.data["features"]
    assert f"{count} window" in labeler.layers.notes["encoded"].value


# -- the divider


def test_divider_of_two_looks(landsat):
    panel = landsat.layers
    assert hidden(panel._sides) and landsat.panes.swipe == {}
    landsat.command("swipe")
    assert not hidden(panel._sides)
    assert landsat.panes.swipe == {
        "left": {"pane": "imagery", "title": MODEL_LOOK},
        "right": {"pane": "second", "title": "False colour (near infrared)"},
    }
    panel.right.label = "Imagery: NDVI"
    assert landsat.panes.swipe["right"] == {"pane": "second", "title": "NDVI"}
    assert path_of(landsat, "second") != path_of(landsat, "imagery")
    panel.look.preset.value = "NDVI"  # now on the left: what is on the right is something else
    assert landsat.panes.swipe["left"]["title"] == "NDVI" and landsat.panes.swipe["right"]["title"] != "NDVI"
    panel.divide.value = False
    assert landsat.panes.swipe == {} and "second" not in landsat.view.rasters


def test_what_is_put_beside_the_divider_is_seen(mapped):
    mapped.layers.rows["confidence"].eye.value = False
    mapped.layers.divide.value = True
    mapped.layers.left.label = "Nothing"
    mapped.layers.right.label = "Confidence"
    assert mapped.panes.swipe["left"]["pane"] == "" and mapped.panes.swipe["right"]["pane"] == "confidence"
    assert mapped.layers.rows["confidence"].eye.value and "confidence" in mapped.view.rasters


def test_divider_on_a_plain_map(photo_labeler):
    photo_labeler.layers.divide.value = True
    assert photo_labeler.panes.swipe["left"]["pane"] == "imagery"
    Hand(photo_labeler).click(90, 120)
    photo_labeler.toolbar.accept.click()
    photo_labeler.layers.right.label = "Labels"
    assert photo_labeler.panes.swipe["right"] == {"pane": "labels", "title": "Labels"}
