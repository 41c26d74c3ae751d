"""What a session writes of its labels and its class map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
from shapely.geometry import box

from seglab.app.session import LabelSession
from seglab.cli import main
from seglab.errors import NoPredictionError
from seglab.store.rasters import RasterWriter


def test_the_map_as_polygons_has_the_classes_of_today(open_lakes: Callable[..., LabelSession], tmp_path: Path) -> None:
    session = open_lakes()
    with pytest.raises(NoPredictionError, match="map the scene"):
        session.export_map(tmp_path / "out.gpkg")
    grid, classes = session.grid, np.zeros(session.shape, np.uint8)
    classes[10:50, 10:30], classes[100:120, 100:120], classes[110, 110] = 1, 2, 1
    for name, values in (("map", classes), ("sure", np.full(session.shape, 80, np.uint8))):
        with RasterWriter(
            tmp_path / f"{name}.tif", grid.width, grid.height, grid.transform, grid.crs, "uint8", 255
        ) as file:
            file.write(values, 0, 0)
    data = {"path": str(tmp_path / "map.tif"), "confidence": str(tmp_path / "sure.tif"), "round": 0}
    session.project.append("prediction", data | {"classes": list(session.classes)})
    old = next(iter(session.classes))
    session.rename_class(old, "pond")
    job = session.export_map(tmp_path / "out.gpkg", least_area=2)
    table = pyogrio.read_dataframe(job.result())
    assert dict(zip(table["class"], table.area, strict=True)) == {
        "pond": 800 * abs(grid.transform.determinant),
        list(session.classes)[1]: 400 * abs(grid.transform.determinant),
    }
    assert set(table["confidence"]) == {0.8}


def test_chips_know_what_was_reviewed(open_lakes: Callable[..., LabelSession], tmp_path: Path) -> None:
    session = open_lakes()
    session.paint(box(10, 10, 60, 60), crs="pixel")
    session.accept("water")
    session.paint(box(300, 10, 330, 40), crs="pixel")
    session.edit(session.accept("field").id, unsure=True)
    session.review(box(0, 0, 100, 100), crs="pixel")
    folder = session.export_chips(tmp_path / "chips", size=128).result()
    with rasterio.open(folder / "masks" / "lakes_000000_000000.png") as file:
        mask = file.read(1)
    assert (mask[10:60, 10:60] == 1).all() and mask[80, 80] == 0 and mask[120, 120] == 255
    assert not (folder / "masks" / "lakes_000000_000256.png").exists()  # an unsure object alone says nothing
    project = session.project.folder
    session.close()
    assert main(["chips", str(project), "--out", str(tmp_path / "again"), "--size", "128"]) == 0
    assert sorted(p.name for p in (tmp_path / "again" / "masks").iterdir()) == ["lakes_000000_000000.png"]
