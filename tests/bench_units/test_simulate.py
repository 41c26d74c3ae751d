"""`seglab simulate` as a whole on a small dataset: what is labelled, what it costs, and that a run is done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.bench import simulate
from seglab.bench.simulate import run_simulate
from seglab.bench.simulated_person import Person
from seglab.bench.simulated_run import CLICKS, DRAWN, REVIEWED, VIEWS, SimulatedRun
from seglab.bench.terrain import Terrain
from seglab.errors import AdapterError, SuggestionError
from seglab.models.registry import load_model
from seglab.store.cache import ArrayCache
from seglab.training.losses import IGNORE
from tests.bench_units.conftest import NAME

SMALL: dict[str, Any] = {"rounds": 1, "share": 0.9, "pool": 3, "held_out": 1, "steps": 1, "adapter": "neck"}
SMALL |= {"place": "neck", "model": "tiny", "device": "cpu"}


def _run(folder: Path, **changed: Any) -> SimulatedRun:
    given = {"strategy": "entropy", "seed": 0, "weights": "", **SMALL, **changed}
    return SimulatedRun(folder=str(folder / NAME), **given)


@pytest.fixture(scope="module")
def terrain(folder: Path) -> Terrain:
    base = load_model("tiny", device="cpu", adapt_from="neck")
    return Terrain(_run(folder), base, ArrayCache(2**27))


def test_every_run_is_on_file_and_done_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    out = tmp_path / "new" / "runs.jsonl"
    first = run_simulate(folder, [NAME], ["coreset"], seeds=1, **SMALL, out=out, say=said.append)
    assert first["runs"] == 2 and len(out.read_text().splitlines()) == len(said) == 2
    found = first["datasets"][NAME]
    assert list(found["strategies"]) == ["random", "coreset"]
    assert found["windows"] == [3, 1]

    def never(*_: Any) -> None:
        raise AssertionError("a finished run is done again")

    monkeypatch.setattr(simulate.Simulator, "__call__", never)
    assert run_simulate(folder, [NAME], ["coreset"], seeds=1, **SMALL, out=out) == first
    with pytest.raises(AssertionError):
        run_simulate(folder, [NAME], ["coreset"], seeds=1, **(SMALL | {"steps": 2}), out=out)


def test_a_person_pays_for_what_is_labelled_and_never_labels_twice(folder: Path, terrain: Terrain) -> None:
    person = Person(_run(folder, share=1.0), terrain)
    points = list(person.points())
    assert [point["round"] for point in points] == [0, 1]
    assert sorted(one.name for one in person.labelled) == sorted(one.name for one in terrain.pool)
    assert points[1]["clicks"] == person.spent == terrain.clicks_in_all
    assert points[1]["objects"] == sum(len(one.classes) for one in terrain.pool)
    assert points[0]["windows"] == 1 and points[0]["clicks"] == terrain.clicks(person.labelled[0])
    assert 0 < points[1]["miou"] == pytest.approx(np.mean(points[1]["iou"]), abs=1e-3)


def test_a_window_costs_its_objects_clicks_and_the_mark(terrain: Terrain) -> None:
    for one in terrain.pool:
        assert len(one.classes) == 2  # the two blobs
        assert REVIEWED + 2 <= terrain.clicks(one) <= REVIEWED + 2 * (CLICKS + DRAWN)


def test_who_judges_is_never_labelled(terrain: Terrain) -> None:
    labelled, judging = terrain.sources
    assert not set(labelled) & set(judging)
    assert {one.name.split(":")[0] for one in terrain.judges} <= set(judging)


def test_chips_know_all_of_a_window_and_only_the_classes_of_the_round(terrain: Terrain) -> None:
    one = terrain.pool[0]
    chips = list(terrain.chips(one, [0]))
    assert len({chip.key for chip in chips}) == len(chips) == VIEWS
    values, counts = np.unique(chips[0].class_target, return_counts=True)
    assert values.tolist() == [IGNORE, 0, 1] and (counts > 50).all()
    assert not (next(terrain.chips(one, [])).class_target == 1).any()


def test_seeds_begin_alike_whatever_the_strategy(folder: Path, terrain: Terrain) -> None:
    firsts = [next(Person(_run(folder, strategy=name), terrain).points()) for name in ("random", "entropy")]
    assert firsts[0] == firsts[1]


@pytest.mark.parametrize("name", ["flips", "iou", "reference", "entropy_near"])
def test_a_strategy_that_needs_more_than_a_class_map_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(SuggestionError, match=name):
        run_simulate(folder, [NAME], [name], seeds=1, **SMALL)


def test_an_adapter_that_does_not_go_there_is_refused(folder: Path) -> None:
    with pytest.raises(AdapterError, match="atl_a"):
        run_simulate(folder, [NAME], [], seeds=1, **(SMALL | {"adapter": "atl_a"}))
