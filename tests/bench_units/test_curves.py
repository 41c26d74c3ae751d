"""Learning curves put together: areas, gains in pairs, and the clicks to random's level, by hand-made records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import stats

from seglab.bench.curves import area, draw, format_table, interval, ratio_to, summarise
from seglab.errors import MissingPackageError


def record(dataset: str, strategy: str, seed: int, ious: list[float], clicks: tuple[int, ...] = (0, 50, 100)) -> dict:
    run = {"dataset": dataset, "strategy": strategy, "seed": seed, "share": 0.5}
    points = [{"clicks": c, "miou": v} for c, v in zip(clicks, ious, strict=True)]
    return {"run": run, "windows": [9, 3], "pool_clicks": 200, "points": points}


def grid() -> list[dict]:
    """On a, "good" is twice as fast as random; on b, "good" is worse with every seed."""
    rise, steep = [0.2, 0.4, 0.6], [0.2, 0.6, 0.6]
    records = []
    for seed, shift in enumerate((0.0, 0.02, 0.04)):
        records += [
            record("a", "good", seed, [v + shift for v in steep]),
            record("a", "random", seed, [v + shift for v in rise]),
            record("b", "good", seed, [0.2, 0.3, 0.3 + shift / 10]),
            record("b", "random", seed, rise),
        ]
    return records


def test_the_area_is_the_mean_height_up_to_the_budget() -> None:
    assert area(record("a", "random", 0, [0.2, 0.4, 0.6])) == pytest.approx(0.4)
    assert area(record("a", "random", 0, [0.2, 0.4, 0.6], (0, 100, 300))) == pytest.approx(0.3)  # the budget is 100
    assert area(record("a", "random", 0, [0.1, 0.4, 0.4], (40, 40, 100))) == pytest.approx(
        0.4
    )  # the later round counts


def test_a_fast_strategy_gains_and_a_slow_one_is_called_worse() -> None:
    found = summarise(grid())
    good = found["datasets"]["a"]["strategies"]["good"]
    assert good["gain"] == pytest.approx([0.1, 0.1, 0.1], abs=2e-3)
    assert found["datasets"]["a"]["level"] == pytest.approx(0.52, abs=2e-3)  # 0.5 at 75 clicks, and the mean shift
    assert good["reached"] and good["ratio"] == pytest.approx(0.5, abs=0.01)  # at 37.5 clicks
    overall = found["overall"]["good"]
    assert overall["seeds"] == 3 and overall["worse"] == ["b"] and overall["reached"] == 1
    assert found["overall"]["random"]["ratio"] == 1.0


def test_pairs_take_out_what_a_seed_has_in_common() -> None:
    strategies = summarise(grid())["datasets"]["a"]["strategies"]
    low, high = strategies["good"]["area"][1:]
    assert high - low > 0.05 and strategies["good"]["gain"][2] - strategies["good"]["gain"][1] < 1e-6


def test_an_unfinished_grid_counts_as_far_as_it_is() -> None:
    left = [r for r in grid() if r["run"]["strategy"] == "random" or r["run"]["seed"] == 0]
    found = summarise(left)
    assert found["overall"]["good"]["seeds"] == 1 and found["overall"]["random"]["seeds"] == 3
    assert found["datasets"]["b"]["strategies"]["good"]["gain"][1:] == [None, None]
    lines = format_table(found).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[3].count("|")
    assert "| random | 3 | 42.0 | 40.0 | 41.0 |" in lines[2] and "> " in lines[3]


def test_the_interval_is_students() -> None:
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx((np.mean(values), low, high))
    assert interval([3.0]) == (3.0, None, None) and interval([]) == (None, None, None)


@pytest.mark.parametrize(
    ("level", "share", "reached"),
    [(0.3, 0.25, True), (0.1, 0.0, True), (0.9, 2.0, False)],
    ids=["on", "first", "never"],
)
def test_the_clicks_to_a_level(level: float, share: float, reached: bool) -> None:
    found = ratio_to(level, 50, np.array([0.0, 50, 100]), np.array([0.2, 0.6, 0.5]))
    assert found == (pytest.approx(share), reached)


def test_the_picture_has_a_panel_for_each_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    draw(summarise(grid()), tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    for half in np.array_split(picture, 2, axis=1):
        assert (half < 128).all(2).any() and (np.ptp(half.astype(int), axis=2) > 60).any()  # black, and a colour

    import builtins

    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match="bench"):
        draw(summarise(grid()), tmp_path / "more.png")
