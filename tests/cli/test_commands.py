"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio

import seglab
from seglab.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"seglab {seglab.__version__}\n"


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_demo_never_removes_a_folder_that_is_not_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("years of work")
    assert main(["demo", "--out", str(mine)]) == 1
    assert "is not a project of seglab" in capsys.readouterr().err
    assert (mine / "chapter.txt").read_text() == "years of work"


def test_pretrain_says_what_is_wrong_with_its_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"model": "tiny", "sted": 3}')
    assert main(["pretrain", "--config", str(recipe), "--out", str(tmp_path / "run")]) == 1
    assert "sted" in capsys.readouterr().err


@pytest.mark.slow
def test_demo_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo.seglab")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) == {"objects", "rounds", "iou_before", "iou_after", "seconds", "outputs"}
    assert result["rounds"] == 2
    assert result["iou_after"] > result["iou_before"]
    labels, _, burnt, mapped, confidence = (Path(p) for p in result["outputs"])
    assert len(gpd.read_file(labels, layer="labels")) == result["objects"]
    with rasterio.open(burnt) as one, rasterio.open(mapped) as other, rasterio.open(confidence) as third:
        assert one.shape == other.shape == third.shape == (1482, 1489)
