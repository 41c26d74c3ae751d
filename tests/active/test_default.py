"""Why the default strategy is the default: the runs of `seglab simulate` that were made once, put together again."""

import json
from pathlib import Path

import pytest

from seglab.active.registry import DEFAULT, STRATEGIES
from seglab.bench.curves import CONTROL, OVERALL, format_table, summarise

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
ASKED = 0.7
"""Clicks, as a share of those that random takes, with which a strategy would have earned its place."""


@pytest.fixture(scope="module")
def summary():
    """Four folders, three strategies, five seeds; what the runs were made with is in each record."""
    return summarise([json.loads(line) for line in (HERE / "simulated_runs.jsonl").read_text().splitlines()])


def row(name):
    """Cells of a row of the README's table."""
    line = next(line for line in README.read_text().splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_no_strategy_has_earned_it(summary):
    others = {name: found for name, found in summary[OVERALL].items() if name != CONTROL}
    assert len(summary["datasets"]) == 4 and all(found["seeds"] == 5 for found in others.values())
    assert all(found["ratio"] > ASKED for found in others.values()), "one has: make it the default, and say so"
    assert all(found["gain"][1] < 0 for found in others.values()), "one is better than random beyond chance"


def test_the_default_is_the_best_of_those_that_are_nowhere_worse_than_random(summary):
    safe = {n: found for n, found in summary[OVERALL].items() if n != CONTROL and not found["worse"]}
    assert max(safe, key=lambda name: safe[name]["gain"][0]) == DEFAULT
    assert set(safe) <= set(STRATEGIES)


@pytest.mark.parametrize("name", [CONTROL, "badge", "entropy"])
def test_the_readme_shows_these_figures(summary, name):
    shown = next(line for line in format_table(summary).splitlines() if line.startswith(f"| {name} |"))
    areas = [cell.strip() for cell in shown.strip("|").split("|")][2:-1]
    assert row(name) == areas
    if name != CONTROL:
        found = [one["strategies"][name] for one in summary["datasets"].values()]
        whole = all(one["reached"] for one in found)
        ratios = [("" if one["reached"] else "over ") + f"{one['ratio']:.2f}" for one in found]
        ratios.append(("" if whole else "over ") + f"{summary[OVERALL][name]['ratio']:.2f}")
        assert row(f"clicks, of random's 1: {name}") == ratios
