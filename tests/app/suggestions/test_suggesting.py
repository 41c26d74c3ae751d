"""Suggestions of a session: by strategy, remembered, and only as many looks as the scene's size allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import Point, box

from seglab.active.uncertainty import mean_entropy
from seglab.app.session import LabelSession
from seglab.app.suggestions.candidates import MOST_WINDOWS, budget
from seglab.app.suggestions.surveying import coarse_probabilities, reference_maps
from seglab.core.windows import Window
from seglab.errors import SuggestionError
from seglab.inference.lattice import Lattice
from seglab.inference.mapper import class_logits
from tests.conftest import LAKES


@pytest.fixture
def session(open_lakes: Callable[..., LabelSession]) -> LabelSession:
    session = open_lakes()
    col, row, radius = LAKES[0]
    session.paint(Point(col, row).buffer(radius), crs="pixel")
    session.accept("water")
    return session


def test_the_reason_is_what_the_model_says_there(session: LabelSession) -> None:
    (best,) = session.suggest(1)
    current = session._learner.current
    prompts = current.class_prompts(session.state)["water"][None]
    seen = coarse_probabilities(class_logits(current.encoder, best.window, prompts))
    assert best.score == best.figures["entropy"] == pytest.approx(mean_entropy(seen), abs=1e-5)
    assert "background or water" in best.reason and best.strategy == "entropy"


def test_what_was_seen_is_not_looked_at_again(session: LabelSession) -> None:
    session.suggest(3)
    looked = session._surveyor.looked
    assert looked > 0
    session.suggest(2, "margin")
    session.suggest(2, "entropy_diverse")
    assert session._surveyor.looked == looked
    session.suggest(1, "flips")
    assert session._surveyor.looked > looked


def test_rounds_are_compared_once_there_is_one(session: LabelSession) -> None:
    with pytest.raises(SuggestionError, match="train a round first"):
        session.suggest(1, "rounds")
    session.retrain(steps=2).result()
    found = session.suggest(2, "base")
    assert found and all("the model before any round" in s.reason for s in found)
    assert found[0].figures["divergence"] >= found[1].figures["divergence"]


def test_a_weak_reference_contradicts(session: LabelSession, tmp_path: Path) -> None:
    with pytest.raises(SuggestionError, match="pass reference="):
        session.suggest(1, "reference")
    everywhere = box(*session.grid.bounds(session.grid.crs))
    gpd.GeoDataFrame({"class": ["water"]}, geometry=[everywhere], crs=session.grid.crs).to_file(tmp_path / "r.gpkg")
    found = session.suggest(2, "reference", reference=tmp_path / "r.gpkg")
    assert found and all(0 <= s.score <= 1 for s in found)


def test_strategies_without_classes(open_lakes: Callable[..., LabelSession]) -> None:
    session = open_lakes()
    assert {"random", "uniform", "entropy"} <= set(session.strategies)
    assert len(session.suggest(2, "uniform")) == 2
    with pytest.raises(SuggestionError, match="needs a class map"):
        session.suggest(1, "entropy")


def test_a_large_scene_is_looked_at_in_few_places(session: LabelSession) -> None:
    class Huge:
        grid = type("Grid", (), {"shape": (10_000, 10_000)})

    rows, cols = Lattice((10_000, 10_000), 224).counts
    most = budget(Huge(), 224, 1, session.state)
    assert most <= MOST_WINDOWS < 0.1 * rows * cols
    assert budget(Huge(), 224, 1, session.state, looks=4.0) == most // 4


def test_a_reference_on_the_maps_cells() -> None:
    outlines = [("water", box(0, 0, 50, 100)), ("road", box(0, 0, 100, 25))]
    (cells,) = reference_maps([Window(0, 0, 100, 100)], [(4, 4)], outlines, ["background", "water"])
    np.testing.assert_array_equal(cells, [[-1, -1, -1, -1], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])
