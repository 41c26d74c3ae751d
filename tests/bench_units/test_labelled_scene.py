"""A labelled scene: which windows judge, and what is true in each."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import box

from seglab.bench.labelled_scene import scene_windows
from seglab.core.metrics import IGNORE
from seglab.errors import DatasetError, LabelsFileError

SIDE = 64
pytestmark = pytest.mark.filterwarnings("ignore:.crs. was not provided")  # pixel coordinates


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Three by two windows: a field across two of them, a lake over a part of it, a speck, no data at a corner."""
    rgba = np.full((2 * SIDE, 3 * SIDE, 4), 90, np.uint8)
    rgba[..., 3] = 255
    rgba[-10:, -10:, 3] = 0
    cv2.imwrite(str(tmp_path / "scene.png"), rgba)
    objects = gpd.GeoDataFrame(
        {"class": ["field", "lake", "field"]},
        geometry=[box(SIDE - 20, 4, SIDE + 20, 24), box(SIDE + 10, 4, SIDE + 40, 24), box(2, 2, 5, 5)],
    )
    objects.to_file(tmp_path / "labels.gpkg")
    return tmp_path / "scene.png", tmp_path / "labels.gpkg"


def test_windows_have_what_lies_in_them(files: tuple[Path, Path]) -> None:
    found = scene_windows(*files, None, SIDE, 9, 9)
    assert found.classes == ("field", "lake")
    assert sorted(one.name for one in found.judges) == ["0:64", "64:0"]
    by_name = {one.name: one for one in [*found.pool, *found.judges]}
    assert len(by_name) == 6
    first, second = by_name["0:0"], by_name["0:64"]
    assert first.classes == (0,) and first.masks.sum() == 20 * 20  # the speck is too small to click
    assert first.truth[3, 3] == 1 and first.truth[10, 50] == 1 and first.truth[40, 40] == 0
    assert second.classes == (0, 1) and [int(mask.sum()) for mask in second.masks] == [10 * 20, 30 * 20]
    assert (by_name["64:128"].truth[-10:, -10:] == IGNORE).all() and by_name["64:128"].classes == ()


def test_what_cannot_be_played_on_is_refused(files: tuple[Path, Path]) -> None:
    scene, labels = files
    with pytest.raises(DatasetError, match="takes two"):
        scene_windows(scene, labels, None, 4 * SIDE, 9, 9)
    with pytest.raises(LabelsFileError, match="no file"):
        scene_windows(scene, labels.with_name("none.gpkg"), None, SIDE, 9, 9)
