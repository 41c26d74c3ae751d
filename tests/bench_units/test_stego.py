"""`seglab bench stego` on a folder of two kinds of texture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.bench.stego import FIGURES, PIXELS, run_stego
from seglab.cli import main
from seglab.datasets.folder import IGNORE
from seglab.errors import BenchError

SIDE = 448


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images of four windows each: smooth blue on the left, speckled green on the right, unknown at the top."""
    folder = tmp_path_factory.mktemp("data") / "halves"
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(2):
        rows, cols = np.indices((SIDE, SIDE))
        right = cols >= SIDE // 4 + rows // 3  # a border that no grid of tokens follows
        image = np.full((SIDE, SIDE, 3), (30, 60, 120), dtype=np.uint8)
        image[right] = (rng.integers(40, 200, (SIDE, SIDE, 1)) * np.array([0.5, 1, 0.4]))[right]
        mask = right.astype(np.uint8)
        mask[:40] = IGNORE
        Image.fromarray(image).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    (folder / "dataset.json").write_text(json.dumps({"classes": {"0": "water", "1": "wood"}}))
    return folder


def test_what_differs_plainly_is_told_apart(halves: Path, tmp_path: Path, capsys) -> None:
    out = ["--seeds", "1", "--steps", "30", "--windows", "6", "--out", str(tmp_path / "runs.jsonl"), "--json"]
    assert main(["bench", "stego", str(halves), *out]) == 0
    result = json.loads(capsys.readouterr().out)
    (row,) = result["rows"]
    assert row["linear_accuracy"][0] > 0.8 and row["baseline_accuracy"][0] > 0.9 and row["accuracy"][0] > 0.8
    assert result["overall"] == {name: row[name][0] for name in (*FIGURES, *PIXELS)}
    assert row["sharp_accuracy"][0] > row["pixel_accuracy"][0] > 0.8
    kept = (tmp_path / "runs.jsonl").read_text()
    assert main(["bench", "stego", str(halves), *out]) == 0  # nothing is done again
    assert (tmp_path / "runs.jsonl").read_text() == kept


def test_too_few_windows_and_no_such_preset(halves: Path) -> None:
    with pytest.raises(BenchError, match="choose one of auto, potsdam"):
        run_stego(halves, ["halves"], preset="mars")
    with pytest.raises(BenchError, match="fewer than two windows"):
        small = halves.parent / "small"
        for name in ("images", "masks"):
            (small / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((90, 90), dtype=np.uint8)).save(small / name / "a.png")
        (small / "dataset.json").write_text(json.dumps({"classes": {"0": "x", "1": "y"}}))
        run_stego(small, ["small"], seeds=1)
