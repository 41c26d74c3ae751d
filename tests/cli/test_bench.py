"""`seglab bench` from the command line: JSON alone on standard output, a table for people, errors in words."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.bench import adapters, rounds
from seglab.cli import main
from seglab.cli.bench import _say


@pytest.fixture
def roofs(tmp_path: Path) -> Path:
    """A dataset of one image with one bright roof."""
    folder = tmp_path / "roofs"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 24:50] = 1
    cv2.imwrite(str(folder / "masks" / "a.png"), mask)
    cv2.imwrite(str(folder / "images" / "a.png"), np.dstack([mask * 150 + 40] * 3))
    (folder / "dataset.json").write_text(json.dumps({"classes": {"0": "background", "1": "roof"}}))
    return folder


def test_json_is_all_that_is_printed(roofs, capsys, monkeypatch):
    monkeypatch.chdir(roofs)
    assert main(["bench", "clicks", ".", "--model", "floodfill", "--json"]) == 0
    out, progress = capsys.readouterr()
    result = json.loads(out)
    assert result["datasets"]["roofs"]["iou"]["1"] > 0.9
    assert "clicks floodfill" in progress


def test_the_table_is_for_people(roofs, capsys):
    assert main(["bench", "clicks", str(roofs), "--model", "grabcut"]) == 0
    out = capsys.readouterr().out
    assert "overall" in out and "note: roofs is not in the split file" in out


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_number_of_objects_is_a_number(roofs, capsys, number):
    with pytest.raises(SystemExit) as end:
        main(["bench", "clicks", str(roofs), "--per-image", number])
    assert end.value.code == 2
    assert "not a whole number above 0" in capsys.readouterr().err


def test_an_error_is_one_line(roofs, capsys):
    assert main(["bench", "clicks", str(roofs), "--model", "huge"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("or one of floodfill, grabcut")


def test_ctrl_c_ends_the_work_and_says_so(roofs, capsys, monkeypatch):
    from seglab.cli import work

    jobs = []

    def interrupted(job):
        jobs.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "follow", interrupted)
    assert main(["bench", "clicks", str(roofs)]) == 130
    assert jobs[0].finished and jobs[0].state == "cancelled"
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bench", "module", "typed", "meant"),
    [
        ("rounds", rounds, "", {"objects": 10, "seeds": 3, "rounds": 3, "places": ["late"], "model": "tiny_unseen"}),
        ("rounds", rounds, "--places late all --rounds 2 --adapter lora", {"places": ["late", "all"], "rounds": 2}),
        ("rounds", rounds, "--model tiny --steps 9 --held-out 5", {"model": "tiny", "steps": 9, "held_out": 5}),
        ("adapters", adapters, "", {"objects": 30, "seeds": 1, "places": None}),
        ("adapters", adapters, "--adapters lora none --jobs 2", {"adapters": ["lora", "none"], "jobs": 2}),
    ],
)
def test_a_simulation_is_asked_for_as_typed(roofs, capsys, monkeypatch, bench, module, typed, meant):
    name = f"run_{bench}"
    signature, asked = inspect.signature(getattr(module, name)), {}

    def record(*args, **kwargs):
        asked.update(signature.bind(*args, **kwargs).arguments)
        return {"bench": bench}

    monkeypatch.setattr(module, name, record)
    assert main(["bench", bench, str(roofs), "--json", *typed.split()]) == 0
    assert json.loads(capsys.readouterr().out) == {"bench": bench}
    assert (asked["folder"], asked["datasets"]) == (roofs, ["roofs"])
    assert {key: asked[key] for key in meant} == meant


def test_progress_of_a_simulation_leaves_standard_output_alone(capsys):
    _say("round 1")
    assert capsys.readouterr() == ("", "round 1\n")


def test_cost_is_asked_for_as_typed(capsys, monkeypatch):
    asked = {}

    def record(model, **options):
        asked.update(options, model=model)
        return {"bench": "cost"}

    monkeypatch.setattr("seglab.bench.cost.run_cost", record)
    assert main(["bench", "cost", "--json", "--model", "tiny", "--chip", "112"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bench": "cost"}
    assert (asked["model"], asked["chip"], asked["repeats"]) == ("tiny", 112, 3)


def test_naming(monkeypatch, capsys):
    found = {
        way: {"clicks": 8, "objects": 30, "seconds": 9.0, "miou_before": 0.5, "miou": miou}
        for way, miou in (("clusters", 0.61), ("clicks", 0.72))
    }
    asked = []
    monkeypatch.setattr("seglab.bench.naming.run_naming", lambda say, *rest: asked.append(rest) or found)
    assert main(["bench", "naming", "--steps", "3", "--clusters", "6", "--seed", "2"]) == 0
    assert asked == [(3, 6, 2, None)]
    assert "| clicks | 8 | 30 | 0.500 | 0.720 |" in capsys.readouterr().out
    assert main(["bench", "naming", "--json"]) == 0
    assert asked[1] == (None, 8, 0, None)
    assert json.loads(capsys.readouterr().out) == found
