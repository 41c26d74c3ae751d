"""`seglab area`: what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from seglab.cli import main
from seglab.core.map_sample import MapSample, MapStratum, SampleUnit
from tests.rasters import make_raster


@pytest.fixture
def folder(open_lakes) -> str:
    """A project with a checked map, whose file is gone: 10 places of each of two classes, two of them wrong."""
    session = open_lakes()
    strata = (MapStratum(0, 100_000, 1000.0), MapStratum(1, 20_000, 200.0))
    units = tuple(SampleUnit(number, 0, number % 2, 100.0) for number in range(20))
    data = {"map": {"path": "maps/map_001.tif"}, "classes": ["background", "water"]}
    session.import_check(data | MapSample(strata, units, True).to_json())
    for number in range(20):
        is_water = number % 2 == 1 or number < 4
        session.answer_check("water" if is_water else "background", number)
    return str(session.project.folder)


def test_table(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["area", folder]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Overall accuracy 83.3 ±") and "20 places" in said
    assert "400.0 ± " in said  # 200 ha mapped, and a fifth of 1,000 ha
    assert "map_001.tif is gone" in said


def test_json(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["area", folder, "--scene", "lakes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"]["water"]["area"]["value"] == pytest.approx(400)


def test_a_map_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = np.repeat(np.array([0, 1, 1, 255], np.uint8), 100)[None, :, None].repeat(50, 2)
    path = make_raster(tmp_path / "map.tif", data=data, nodata=255)
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, class_1="water")
    assert main(["area", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["water"] == {"pixels": 10_000, "hectares": pytest.approx(100, rel=2e-3)}
    assert main(["area", str(path)]) == 0
    assert "background" in capsys.readouterr().out


@pytest.mark.parametrize("scene", [[], ["--scene", "sea"]], ids=["no check", "no scene"])
def test_refusals(open_lakes, scene: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["area", str(open_lakes().project.folder), *scene]) == 1
    assert "seglab: " in capsys.readouterr().err
