"""What is looked at, apart from what the model sees."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import rasterio

import seglab
from seglab.app.history.state import reduce
from seglab.app.maps.map_rasters import change_raster, class_raster, confidence_raster, ramp_colours, scene_raster
from seglab.app.project.looks import MODEL_LOOK, Look, fitted, normalised_difference, presets
from seglab.core.raster import Scene
from seglab.core.stretch import Stretch
from seglab.datasets.examples import example
from seglab.errors import BandError, LookError, NoPredictionError, StretchError
from seglab.serve.images import render
from seglab.store.events import Event
from tests.rasters import make_raster

LAKE = (60.5, 70.5)


@pytest.fixture
def landsat():
    with Scene.open(example("landsat")) as scene:
        yield scene


def test_presets_follow_what_the_bands_are(landsat, tmp_path):
    looks = presets(landsat)
    assert list(looks) == [MODEL_LOOK, "True colour", "False colour (near infrared)", "NDVI", "NDWI"]
    assert looks[MODEL_LOOK] == Look(MODEL_LOOK, (3, 2, 1), stretch=landsat.stretch)
    assert looks["True colour"].bands == (3, 2, 1)
    assert looks["False colour (near infrared)"].bands == (4, 3, 2)
    assert looks["NDVI"].bands == (4, 3) and looks["NDWI"].bands == (2, 4)
    with Scene.open(make_raster(tmp_path / "unnamed.tif", count=5, dtype="uint16")) as scene:
        assert list(presets(scene)) == [MODEL_LOOK]


def test_the_stretch_is_that_of_the_values_shown(landsat):
    with rasterio.open(example("landsat")) as file:
        nir, red = file.read((4, 3)).astype(float)
    ndvi = (nir - red) / (nir + red)
    look = fitted(landsat, replace(presets(landsat)["NDVI"], percentiles=(1, 99)))
    assert look.stretch is not None
    np.testing.assert_allclose((look.stretch.low[0], look.stretch.high[0]), np.percentile(ndvi, (1, 99)), atol=0.05)
    bands = fitted(landsat, Look("hand", (4, 5, 7), percentiles=(0, 100)))
    assert bands.stretch is not None and len(bands.stretch.low) == 3
    by_hand = Look("hand", (4,), "gray", stretch=Stretch((10.0,), (20.0,)))
    assert fitted(landsat, by_hand) == by_hand
    assert fitted(landsat, Look("hand", ("B4",), "gray", stretch=Stretch((10.0,), (20.0,)))).bands == (4,)


@pytest.mark.parametrize(
    ("look", "error", "words"),
    [
        (Look("", (8,), "gray"), BandError, "its bands are"),
        (Look("", ()), BandError, "one to three"),
        (Look("", (1, 2, 3, 4)), BandError, "one to three"),
        (Look("", (1,), "jet"), LookError, "viridis"),
        (Look("", (1, 2)), LookError, "viridis"),
        (Look("", (1, 2, 3), percentiles=(50, 50)), StretchError, "low < high"),
        (Look("", (1,), "gray", stretch=Stretch((3.0,), (3.0,))), StretchError, "low < high"),
        (Look("", (1, 2, 3), stretch=Stretch((3.0,), (4.0,))), StretchError, "3 times"),
        (Look("", (1,), "gray", stretch=Stretch((float("nan"),), (4.0,))), StretchError, "low < high"),
    ],
)
def test_looks_that_cannot_be_shown(landsat, look, error, words):
    with pytest.raises(error, match=words):
        fitted(landsat, look)


def test_normalised_difference_of_nothing():
    nothing = np.zeros(3, np.float32)
    assert normalised_difference(nothing, nothing).tolist() == [0]
    assert normalised_difference(np.array([3.0, 0]), np.array([1.0, 0])).tolist() == [0.5]


def test_ramps_go_from_one_end_to_the_other():
    greys = ramp_colours("gray", 3)
    assert (greys[0], greys[-1], len(greys)) == ("#000000", "#ffffff", 3)


def test_looking_changes_neither_the_model_nor_its_caches(tmp_path):
    session = seglab.open(example("landsat"), ["water"], tmp_path / "p.seglab", device="cpu")
    scene, encoder = session.scene, session._learner.current.encoder
    session.click(744.5, 271.5, crs="pixel")
    window = session.mask.window

    def seen_by_the_model():
        return scene.bands, scene.stretch, scene.fingerprint, encoder.embedding_key(window), encoder.prefix_key(window)

    before, events = seen_by_the_model(), session.project.events()
    pixels, cached = scene.rgb(window)[0], len(session._learner.caches["embeddings"][0])
    pictures = [render(scene_raster(scene, look), 200) for look in session.looks.values()]
    assert all(np.abs(a.astype(int) - b).mean() > 5 for a, b in pairwise(pictures[1:]))
    assert seen_by_the_model() == before
    assert encoder.is_encoded(window) and len(session._learner.caches["embeddings"][0]) == cached
    np.testing.assert_array_equal(scene.rgb(window)[0], pixels)
    assert session.project.events() == events
    assert session.round == 0 and session.rounds == []
    session.close()


def test_the_models_look_is_the_models_input(landsat):
    image = render(scene_raster(landsat, presets(landsat)[MODEL_LOOK]), max(landsat.grid.shape))
    seen = landsat.preview(max(landsat.grid.shape))[0]
    assert np.abs(image[..., :3].astype(int) - seen).max() <= 1


# -- maps


def map_event(number, path, round_number=0, classes=("water", "field")):
    data = {"path": path, "confidence": f"c{path}", "round": round_number, "classes": list(classes)}
    return Event(number, "now", "me", "prediction", data)


@pytest.mark.parametrize(
    ("paths", "former"),
    [(["a"], None), (["a", "b"], "a"), (["a", "a"], None), (["a", "b", "b"], "a"), (["a", "b", "a"], "b")],
)
def test_a_map_that_was_written_over_is_not_compared_with(paths, former):
    state = reduce(map_event(n, path) for n, path in enumerate(paths, 1))
    assert state.prediction["path"] == paths[-1]
    assert (None if state.former_prediction is None else state.former_prediction["path"]) == former


def mapped(session):
    session.click(*LAKE, crs="pixel")
    session.accept("water")
    return session.predict().result()


def test_maps_are_shown_only_when_there_are_some(open_lakes):
    session = open_lakes()
    for raster in (class_raster, confidence_raster, change_raster):
        with pytest.raises(NoPredictionError, match="map"):
            raster(session)
    first = mapped(session)
    with pytest.raises(NoPredictionError, match="two maps"):
        change_raster(session)
    classes = render(class_raster(session), 512)
    with rasterio.open(first.path) as file:
        np.testing.assert_array_equal(classes[..., 3] > 0, file.read(1) == 1)
    with rasterio.open(first.confidence_path) as file:
        percent = file.read(1)
    sure = render(confidence_raster(session), 512)
    assert sure[percent > 95][:, 0].mean() > sure[percent < 60][:, 0].mean() + 50


def test_changes_between_maps_are_by_what_classes_are_called_today(open_lakes):
    session = open_lakes()
    first = mapped(session)
    second = session.predict().result()
    assert (session.former_prediction.path, session.prediction.path) == (first.path, second.path)
    assert not render(change_raster(session), 512)[..., 3].any()
    with rasterio.open(second.path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        values = file.read(1)
        block = values[:64, :64].copy()
        file.write(np.where(block == 1, 2, block).astype(np.uint8), 1, window=rasterio.windows.Window(0, 0, 64, 64))
    changed = render(change_raster(session), 512)[..., 3] > 0
    np.testing.assert_array_equal(changed[:64, :64], block == 1)
    assert changed.sum() == (block == 1).sum() > 10
    session.merge_classes("field", "water")  # what was field then is water now
    assert not render(change_raster(session), 512)[..., 3].any()
