"""Every strategy on a small survey: its choice is what its own figures say, and its reason names them."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.active.registry import STRATEGIES, choose, strategy_for
from seglab.active.survey import BASE, BEFORE, FLIPS, IOUS, REFERENCE, Survey
from seglab.active.uncertainty import margin_map, mean_entropy
from seglab.core.windows import Window
from seglab.errors import SuggestionError

NAMES = ("background", "field", "water")
COUNT = 8


def survey() -> Survey:
    rng = np.random.default_rng(3)
    windows = [Window(100 * i, 0, 100, 100) for i in range(COUNT)]

    def maps() -> list[np.ndarray]:
        raw = rng.dirichlet([0.6, 0.6, 0.6], (COUNT, 6, 6)).transpose(0, 3, 1, 2)
        return list(raw.astype(np.float32))

    plain = maps()
    more = {
        BEFORE: maps(),
        BASE: maps(),
        FLIPS: [np.stack([p, *(q[i] for q in (maps(), maps(), maps()))]) for i, p in enumerate(plain)],
        IOUS: list(rng.random((COUNT, 2)).astype(np.float32)),
        REFERENCE: list(rng.integers(-1, 3, (COUNT, 6, 6))),
    }
    return Survey(windows, NAMES, plain, rng.normal(size=(COUNT, 5)), rng.normal(size=(2, 5)), (50, 50), more)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_it_gives_as_many_as_are_wanted_with_a_reason(name: str) -> None:
    strategy, seen = STRATEGIES[name], survey()
    found = choose(strategy, seen, 3)
    assert len(found) == 3 and len({s.window for s in found}) == 3
    assert all(s.reason and s.strategy == name for s in found)
    assert choose(strategy, seen, 3) == found  # the same seed, the same choice
    assert len(choose(strategy, seen, 99)) <= COUNT


def test_figures_are_those_of_the_maps() -> None:
    seen = survey()
    best = choose(STRATEGIES["entropy"], seen, 1)[0]
    entropies = [mean_entropy(p) for p in seen.probabilities]
    assert best.window == seen.windows[int(np.argmax(entropies))]
    assert best.figures["entropy"] == pytest.approx(max(entropies)) and f"{max(entropies):.0%}" in best.reason
    closest = choose(STRATEGIES["margin"], seen, 1)[0]
    assert closest.figures["margin"] == pytest.approx(min(margin_map(p).mean() for p in seen.probabilities))
    worst = choose(STRATEGIES["iou"], seen, 1)[0]
    place = list(seen.windows).index(worst.window)
    assert worst.figures["expected_iou"] == pytest.approx(float(seen.more[IOUS][place].mean()), abs=1e-6)


def test_controls_know_nothing_of_the_classes() -> None:
    seen = survey()
    bare = Survey(seen.windows, looks=seen.looks)
    for name in ("random", "uniform"):
        picked = [s.window for s in choose(STRATEGIES[name], seen, 3, seed=5)]
        assert picked == [s.window for s in choose(STRATEGIES[name], bare, 3, seed=5)]
    draws = {tuple(s.window.col for s in choose(STRATEGIES["random"], seen, 3, seed)) for seed in range(9)}
    assert len(draws) > 3
    spread = [s.window.col for s in choose(STRATEGIES["uniform"], seen, 3)]
    assert spread == sorted(spread) and np.diff(spread).min() >= 200


def test_names_and_what_they_need() -> None:
    assert strategy_for(None, True).name == "entropy" and strategy_for(None, False).name == "looks"
    with pytest.raises(SuggestionError, match="choose one of random"):
        strategy_for("luck", True)
    with pytest.raises(SuggestionError, match="accept an object first"):
        strategy_for("entropy", False)
    assert choose(STRATEGIES["looks"], Survey([]), 3) == []
