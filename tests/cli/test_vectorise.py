"""`seglab vectorise`: what it takes and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest

from seglab.cli import main
from tests.rasters import make_raster


@pytest.fixture
def class_map(tmp_path: Path) -> str:
    """A field of 20 x 20 pixels of 10 m, and a speck of one."""
    array = np.zeros((1, 40, 60), dtype=np.uint8)
    array[0, 10:30, 10:30] = 1
    array[0, 20, 20] = 2
    make_raster(tmp_path / "map.tif", 60, 40, 1, data=array)
    return str(tmp_path / "map.tif")


@pytest.mark.parametrize(
    ("options", "areas"),
    [([], [100, 39_900]), (["--least", "500m2"], [40_000]), (["--least", "2px", "--small", "drop"], [39_900])],
)
def test_least_area(
    class_map: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], areas: list[float]
) -> None:
    out = tmp_path / "map.gpkg"
    assert main(["vectorise", class_map, "--out", str(out), *options]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert sorted(pyogrio.read_dataframe(out).area) == areas


def test_what_cannot_be_done(class_map: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectorise", class_map, "--out", str(tmp_path / "map.shp")]) == 1
    assert ".parquet" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["vectorise", class_map, "--out", "map.gpkg", "--least", "5"])
    assert "20px" in capsys.readouterr().err
