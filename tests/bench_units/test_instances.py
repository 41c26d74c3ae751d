"""Objects beside regions: how they are matched, and the benchmark as a whole on a small dataset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shapely.affinity import translate

from seglab.bench.ground import open_ground
from seglab.bench.instances import Matches, matched
from seglab.cli import main
from seglab.datasets.folder import open_dataset
from tests.bench_units.conftest import NAME


def test_each_true_object_is_met_once_by_the_best(dataset_path: Path) -> None:
    ground = open_ground(open_dataset(dataset_path), "val")
    with ground.open(ground.ids[0]) as image:
        one, other = (thing.outline for thing in image.things)
        near = translate(one, 3, 0)
        found = matched([(near, 1), (one, 1), (other, 2), (translate(other, 200, 0), 1)], image)
    assert (found.found, found.true, found.right) == (4, 2, 1)  # the other one is of another class
    assert found.iou == pytest.approx(1)
    figures = (found + Matches(0, 2, 1, 0.5)).to_json()
    assert figures == {"f1": 0.5, "precision": 0.5, "recall": 0.5, "iou": 0.75, "found": 4, "true": 4, "seconds": 0}


def test_the_benchmark_compares_objects_with_regions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--datasets", NAME, "--objects", "4", "--images", "1", "--steps", "2", "--device", "cpu", "--json"]
    assert main(["bench", "instances", str(folder), *options]) == 0
    (row,) = json.loads(capsys.readouterr().out)["datasets"]
    assert row["dataset"] == NAME and row["least"] > 200
    for name in ("regions", "objects"):
        assert row[name]["true"] == 2 and 0 <= row[name]["f1"] <= 1 and row[name]["found"] > 0
