"""Going from scene to scene in the labeler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pytest
import rasterio
from shapely.geometry import box

from seglab.ui.labeler import Labeler
from seglab.ui.toolbar import TOOLS
from tests.ui.conftest import Hand


@pytest.fixture
def second(lakes_path: Path, tmp_path: Path) -> Path:
    """The lakes upside down, 20 km farther east."""
    path = tmp_path / "upside.tif"
    with rasterio.open(lakes_path) as source:
        place = rasterio.Affine.translation(20_000, 0) @ source.transform
        with rasterio.open(path, "w", **(source.profile | {"transform": place})) as target:
            target.write(np.ascontiguousarray(source.read()[:, ::-1]))
    return path


@pytest.fixture
def two(make_labeler: Callable[..., Labeler], second: Path) -> Labeler:
    """A labeler on the lakes, whose project has the second scene too."""
    made = make_labeler()
    made.session.add_scene(second)
    return made


def is_shown(widget: widgets.DOMWidget) -> bool:
    return "seglab-hidden" not in widget._dom_classes


def draw(labeler: Labeler, *bounds: int) -> None:
    labeler.session.paint(box(*bounds), crs="pixel")
    labeler.session.accept("water")


def test_one_scene_has_no_chooser_and_can_get_company(labeler, second) -> None:
    assert not is_shown(labeler.scenes.chooser)
    labeler.command("scene:next")
    assert "one scene" in labeler.messages.text
    labeler.scenes.add("")
    assert labeler.messages.kind == "error"
    labeler.scenes.add("missing.tif")
    assert labeler.messages.kind == "error" and labeler.session.scene_name == "lakes"
    labeler.scenes.add(str(second))
    assert labeler.session.scene_name == "upside" and is_shown(labeler.scenes.chooser)
    assert "2 scenes" in labeler.scenes.adder.note.value


def test_the_chooser_counts_and_the_keys_step(two) -> None:
    draw(two, 10, 10, 40, 40)
    assert [label for label, _ in two.scenes.chooser.names.options] == ["lakes (1)", "upside (0)"]
    first, children = two.session, two.children
    two.command("scene:next")
    assert two.session is not first and two.session.scene_name == two.scenes.chooser.names.value == "upside"
    assert two.frame.bounds != two.view.frame.bounds or two.view.frame is two.frame
    assert two.export.file.value == "labels_upside.gpkg"
    draw(two, 10, 10, 40, 40)
    draw(two, 60, 10, 90, 40)
    assert (
        "2 of 2; 2 with objects" in two.scenes.chooser.title.value
        and "Objects (2)" in two.tabs.tabs["Objects"].description
    )
    two.command("scene:next")
    assert two.session.scene_name == "lakes" and len(two.session.objects) == 1
    two.scenes.chooser.names.value = "upside"
    assert two.session.scene_name == "upside" and "upside: 2 objects" in two.messages.text
    kept = {two.keyboard, two.jobs, two.styling}
    assert kept <= set(two.children) and all(w.comm is None for w in children if w not in kept)
    assert two.messages.comm is not None


def test_what_is_in_hand_comes_along(two) -> None:
    two.command("tool:brush")
    two.command("class:2")
    two.classes.eyes["water"].value = False
    two.toolbar.preview.value = False
    two.project.panel.tidy["smooth"].value = 3
    two.tabs.choose("Layers")
    two.command("look")
    title = two.layering.look.title
    two.command("scene:previous")
    assert two.toolbar.tool == "brush" and two.classes.chosen == "field" and two.classes.hidden == {"water"}
    assert not two.hover.is_on and two.session.tidy.smooth == 3 and two.tabs.chosen == "Layers"
    assert two.layering.look.title == title and set(TOOLS) == set(two.toolbar.tools)


def test_training_goes_on_while_another_scene_is_shown(two, monkeypatch) -> None:
    draw(two, 40, 40, 80, 90)
    first = two.session
    monkeypatch.setattr(first, "retrain", partial(first.retrain, steps=2))
    two.work.retrain()
    two.command("scene:next")
    assert two.session is not first and "retrain" in two.work.running
    Hand(two).rest()
    assert two.session.round == 1 and two.model.rounds.value == 1 and "Round 1 is in use" in two.messages.text
    assert not first._learner.running and first not in two.work._left


def test_a_scene_that_is_gone_is_named_and_nothing_changes(two, second) -> None:
    second.unlink()
    two.scenes.chooser.names.value = "upside"
    assert two.messages.kind == "error" and two.session.scene_name == two.scenes.chooser.names.value == "lakes"
    draw(two, 10, 10, 40, 40)
    assert len(two.session.objects) == 1
