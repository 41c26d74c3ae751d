"""The rule for overlaps, and what it means for areas, maps of classes and rounds."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
import shapely
from shapely.geometry import box

from seglab import errors
from seglab.app.session import LabelSession


def paint(session: LabelSession, class_name: str, *corners: float) -> int:
    session.paint(box(*corners), crs="pixel")
    return session.accept(class_name).id


@pytest.fixture
def session(open_lakes) -> LabelSession:
    """A field that is allowed to reach under a lake."""
    session = open_lakes()
    session.overlaps = "allowed"
    paint(session, "field", 10, 10, 60, 60)
    paint(session, "water", 40, 10, 90, 60)
    return session


def outlines(session: LabelSession) -> list[tuple[float, ...]]:
    return [o.geometry.bounds for o in session.objects]


def test_the_later_one_wins_unless_said_otherwise(open_lakes) -> None:
    session = open_lakes()
    assert session.overlaps == "later wins"
    paint(session, "field", 10, 10, 60, 60)
    paint(session, "water", 40, 10, 90, 60)
    assert outlines(session) == [(10, 10, 40, 60), (40, 10, 90, 60)]


def test_allowed_both_keep_their_ground(session: LabelSession, open_lakes) -> None:
    assert outlines(session) == [(10, 10, 60, 60), (40, 10, 90, 60)]
    assert session.labels.geometry.area.sum() == pytest.approx(2 * 2500 * 100)
    again = open_lakes()
    assert again.overlaps == "allowed" and outlines(again) == outlines(session)


def test_going_back_settles_them_and_undo_brings_them_back(session: LabelSession) -> None:
    session.overlaps = "later wins"
    assert outlines(session) == [(10, 10, 40, 60), (40, 10, 90, 60)]
    assert session.undo() == "overlaps: later wins"
    assert outlines(session) == [(10, 10, 60, 60), (40, 10, 90, 60)]


def test_only_known_rules(session: LabelSession) -> None:
    with pytest.raises(errors.ObjectEditError, match="later wins"):
        session.overlaps = "earlier wins"
    events = len(session.project.events())
    session.overlaps = "allowed"
    assert len(session.project.events()) == events


def test_shared_ground_of_a_class_counts_once(session: LabelSession) -> None:
    paint(session, "field", 10, 40, 60, 90)
    assert list(session.areas["pixels"]) == [2500, 50 * 80] and list(session.areas["objects"]) == [1, 2]
    assert session.areas.loc["field", "hectares"] == pytest.approx(4000 * session.grid.pixel_size_m**2 / 1e4, rel=1e-3)


def test_a_raster_has_the_later_class(session: LabelSession, tmp_path: Path) -> None:
    session.export(tmp_path / "labels.tif")
    with rasterio.open(tmp_path / "labels.tif") as file:
        values = file.read(1)
    assert (values[10:60, 10:40] == 2).all() and (values[10:60, 40:90] == 1).all()


def test_rounds_learn_whole_masks_and_the_later_class(session: LabelSession) -> None:
    from seglab.app.rounds.held_out import Seen, labels_of, split_objects
    from seglab.training.samples import class_target

    state = session.state
    split = split_objects(state, Seen())
    labels = labels_of(split.training, ["water", "field"], state, split)
    window = session.objects[0].window
    assert [o.geometry.area for o in labels.objects] == [2500, 2500]
    import numpy as np

    size = window.width  # a mask pixel is a scene pixel
    target = class_target(labels, window, size, np.ones((size, size), bool))
    assert (target[10:60, 10:40] == 2).all() and (target[10:60, 40:90] == 1).all()
    assert session.retrain(steps=1).result().number == 1


def test_replay_and_code(session: LabelSession, tmp_path: Path, monkeypatch) -> None:
    from seglab.app.history.replay import replay
    from seglab.jobs import SilentReporter

    assert replay(SilentReporter(), session.project.folder).equal
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(session.as_code(check=False), "as_code", "exec"), names)
    again = names["session"]
    try:
        assert again.overlaps == "allowed" and outlines(again) == outlines(session)
    finally:
        again.close()


def test_areas_follow_every_change(open_lakes) -> None:
    session = open_lakes()
    first = paint(session, "field", 10, 10, 60, 60)
    assert list(session.areas["pixels"]) == [0, 2500]
    paint(session, "water", 40, 10, 90, 60)
    assert list(session.areas["pixels"]) == [2500, 1500]
    session.edit(first, class_name="water")
    assert list(session.areas["pixels"]) == [4000, 0]
    session.rename_class("water", "lake")
    assert list(session.areas.index) == ["lake", "field"] and session.areas.loc["lake", "pixels"] == 4000
    session.undo()
    session.undo()
    session.undo()
    assert list(session.areas["pixels"]) == [0, 2500]
    assert shapely.area(session.objects[0].geometry) == 2500
