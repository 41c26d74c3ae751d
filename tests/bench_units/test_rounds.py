"""`seglab bench rounds` and `seglab bench adapters` as a whole, in a few steps on a small dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seglab.bench import runs
from seglab.bench.adapters import format_table as adapters_table
from seglab.bench.adapters import run_adapters, trained_count
from seglab.bench.rounds import format_table, run_rounds
from seglab.errors import AdapterError, DatasetError, WriteError
from seglab.models.registry import embedded_weights
from seglab.models.spec import SPECS
from tests.bench_units.conftest import NAME

SMALL: dict[str, Any] = {"model": "tiny", "objects": 2, "held_out": 2, "steps": 2, "device": "cpu", "isolate": False}


def test_a_run_is_done_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "runs.jsonl"
    said: list[str] = []
    settings = SMALL | {"rounds": 2, "seeds": 1, "places": ("late", "last"), "out": out}
    first = run_rounds(folder, [NAME], **settings, say=said.append)
    assert first["runs"] == 2 and len(out.read_text().splitlines()) == 2
    assert len(said) == 2 * 3
    for place in ("late", "last"):
        rows = first["datasets"][NAME][place]
        assert [row["labelled"] for row in rows] == [0, 2, 4]
        assert rows[0]["seconds"] is None and rows[2]["seconds"] > 0 and rows[2]["peak_mb"] > 0
    # Before training only the block at which activations are rounded to fp16 differs.
    before = [first["datasets"][NAME][place][0]["iou_1"] for place in ("late", "last")]
    assert before[0] == pytest.approx(before[1], abs=0.002)
    assert "| landslide_sichuan | late | 2 | 4 |" in format_table(first)

    def never(*_: Any) -> None:
        raise AssertionError("a finished run is done again")

    monkeypatch.setattr(runs, "simulate", never)
    assert run_rounds(folder, [NAME], **settings) == first
    with pytest.raises(AssertionError):
        run_rounds(folder, [NAME], **(settings | {"steps": 3}))


def test_a_line_that_a_kill_cut_short_is_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.jsonl"
    settings = SMALL | {"rounds": 1, "seeds": 2, "out": out, "checkpoint": embedded_weights("tiny")}
    first = run_rounds(folder, [NAME], **settings)
    lines = out.read_text().splitlines()
    out.write_text(lines[0] + "\n" + lines[1][:50])
    again = run_rounds(folder, [NAME], **settings)
    assert again["gain"] == first["gain"]
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(record["run"]["seed"] for record in records) == [0, 1]
    out.write_text("not a record\n" + lines[0] + "\n")
    with pytest.raises(WriteError, match="line 1"):
        run_rounds(folder, [NAME], **settings)


@pytest.mark.slow
def test_runs_in_processes_of_their_own_give_the_same(folder: Path) -> None:
    settings = SMALL | {"rounds": 1, "seeds": 2}
    alone, beside = (run_rounds(folder, [NAME], **settings, jobs=jobs)["datasets"][NAME]["late"] for jobs in (1, 2))
    for one, other in zip(alone, beside, strict=True):
        assert one["iou_1"] == pytest.approx(other["iou_1"], abs=0.05)
        assert one["labelled"] == other["labelled"]


@pytest.mark.parametrize("names", [["nowhere"], []])
def test_an_unknown_dataset_is_refused(folder: Path, names: list[str]) -> None:
    with pytest.raises(DatasetError, match=NAME):
        run_rounds(folder, names, **SMALL)


def test_an_adapter_that_does_not_go_there_is_refused_at_once(folder: Path) -> None:
    said: list[str] = []
    with pytest.raises(AdapterError, match="atl_a"):
        run_rounds(folder, [NAME], **SMALL, rounds=1, seeds=1, places=("neck",), say=said.append)
    assert said == []


def test_adapters_side_by_side(folder: Path) -> None:
    result = run_adapters(folder, [NAME], **SMALL, adapters=("none", "atl_a"), places=("last", "neck"))
    assert [(row["adapter"], row["place"]) for row in result["rows"]] == [
        ("none", "last"),
        ("none", "neck"),
        ("atl_a", "last"),
    ]
    assert [row["adapter_parameters"] > 0 for row in result["rows"]] == [False, False, True]
    assert result["steps"] == 2 and all(row["step_seconds"] > 0 for row in result["rows"])
    lines = adapters_table(result).splitlines()
    assert len(lines) == 3 + 3 and all(line.count("|") == lines[0].count("|") for line in lines)
    with pytest.raises(AdapterError, match="neck"):
        run_adapters(folder, [NAME], **SMALL, adapters=("atl_a",), places=("neck",))


@pytest.mark.parametrize(("model", "published"), [("vit_b", 4_121_908), ("vit_l", 4_175_140), ("vit_h", 4_245_556)])
def test_the_published_counts_of_trained_parameters(model: str, published: int) -> None:
    assert trained_count(SPECS[model], "atl_a", "all") == published
