"""Maps and suggestions stay in the area of interest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import box

from seglab import errors
from seglab.app.session import LabelSession
from seglab.core.masks import rasterize
from seglab.inference import mapper
from seglab.inference.mapper import UNMAPPED
from tests.conftest import LAKES

AREA = box(20, 250, 240, 380)


@pytest.fixture
def session(open_lakes) -> LabelSession:
    session = open_lakes()
    session.click(*LAKES[0][:2], crs="pixel")
    session.accept("water")
    return session


def test_it_is_an_action(session: LabelSession, open_lakes) -> None:
    told: list[str] = []
    session.subscribe(lambda _, what: told.append(what))
    session.set_area_of_interest(AREA, crs="pixel")
    assert session.state.area_of_interest.equals(AREA) and told == ["areas"]
    assert open_lakes().state.area_of_interest.equals(AREA)
    session.area_of_interest = session.area_of_interest  # longitude and latitude, there and back
    assert session.state.area_of_interest.symmetric_difference(AREA).area < 1e-3
    session.area_of_interest = None
    assert session.area_of_interest is None
    events = len(session.project.events())
    session.area_of_interest = None
    assert len(session.project.events()) == events
    assert session.undo() == "change the area of interest"
    assert session.area_of_interest is not None
    session.undo()
    session.undo()
    assert session.area_of_interest is None


def test_it_must_touch_the_scene(session: LabelSession) -> None:
    with pytest.raises(errors.OutsideSceneError):
        session.set_area_of_interest(box(1000, 1000, 1100, 1100), crs="pixel")
    assert session.area_of_interest is None


def test_a_map_covers_it_and_nothing_else(session: LabelSession, tmp_path: Path, monkeypatch) -> None:
    whole = session.predict(tmp_path / "whole.tif").result()
    looked: list[shapely.Polygon] = []
    probabilities = mapper.class_logits

    def watched(encoder, window, *args, **options):
        looked.append(window.polygon)
        return probabilities(encoder, window, *args, **options)

    monkeypatch.setattr(mapper, "class_logits", watched)
    triangle = shapely.Polygon([(20, 380), (240, 380), (130, 250)])
    session.set_area_of_interest(triangle, crs="pixel")
    part = session.predict(tmp_path / "part.tif").result()
    assert looked and all(window.intersects(triangle) for window in looked)
    inside = rasterize(triangle, session.shape)
    for one, other in ((whole.path, part.path), (whole.confidence_path, part.confidence_path)):
        with rasterio.open(one) as full, rasterio.open(other) as partial:
            expected, found = full.read(1), partial.read(1)
        assert (found[~inside] == UNMAPPED).all() and (found[inside] != UNMAPPED).all()
        # deep inside, the same windows are blended
        deep = rasterize(triangle.buffer(-40), session.shape)
        np.testing.assert_array_equal(found[deep], expected[deep])


def test_suggestions_lie_in_it(session: LabelSession) -> None:
    assert any(not AREA.intersects(s.geometry) for s in session.suggest(4))
    session.set_area_of_interest(AREA, crs="pixel")
    suggested = session.suggest(4)
    assert suggested and all(AREA.intersects(s.geometry) for s in suggested)


def test_as_code(session: LabelSession) -> None:
    session.set_area_of_interest(AREA, crs="pixel")
    session.area_of_interest = None
    code = session.as_code(check=False)
    assert "session.set_area_of_interest(shapely.from_wkt(" in code and "session.set_area_of_interest(None)" in code


def test_a_place_in_words(session: LabelSession) -> None:
    assert session.find_place("pixel 100 200") == (100, 200)
    lon, lat = session.grid.from_pixel(100, 200)
    assert session.find_place(f"{lat}, {lon}") == pytest.approx((100, 200), abs=1e-3)
    with pytest.raises(errors.PlaceError):
        session.find_place("somewhere")
