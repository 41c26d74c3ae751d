"""What a session writes of its class map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from seglab.app.session import LabelSession
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
