"""Samples of class maps: what is counted, what is drawn, and that strips do not matter."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from seglab.core import class_map as module
from seglab.core.class_map import ClassMap
from seglab.core.map_sample import MapSample, draw_sample, map_strata
from seglab.core.outlines import strips_of
from seglab.errors import EmptySceneError, MapCheckError
from tests.rasters import make_raster

SHAPE = (60, 80)


def values() -> np.ndarray:
    """(60, 80) uint8: background, classes 1 and 3, a corner without data, one pixel of class 7."""
    found = np.zeros(SHAPE, np.uint8)
    found[:20, :30], found[40:, 50:], found[:10, 70:] = 1, 3, 255
    found[59, 0] = 7
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_raster(tmp_path / "map.tif", data=values()[None], nodata=255)


def drawn(path: Path, sizes: list[int], seed: int = 1) -> MapSample:
    with ClassMap(path) as opened:
        return draw_sample(opened, map_strata(opened), sizes, seed)


def test_strata_are_the_values(path: Path) -> None:
    shares: list[float] = []
    with ClassMap(path) as opened:
        strata = map_strata(opened, shares.append)
    assert [(s.value, s.pixels) for s in strata] == [(0, 60 * 80 - 600 - 600 - 100 - 1), (1, 600), (3, 600), (7, 1)]
    assert strata[1].area == pytest.approx(600 * 0.01, rel=2e-3)  # 10 m pixels, by the ellipsoid
    assert shares[-1] == 1


def test_units_lie_in_their_strata(path: Path) -> None:
    sample = drawn(path, [40, 30, 20, 1])
    assert sample.sizes == [40, 30, 20, 1] and sample.has_hectares
    places = [(u.col, u.row) for u in sample.units]
    assert len(set(places)) == 91
    found = values()
    assert all(found[u.row, u.col] == sample.strata[u.stratum].value for u in sample.units)
    assert all(99 < u.area < 101 for u in sample.units)
    order = [u.stratum for u in sample.units]
    assert order != sorted(order) and set(order[:45]) >= {0, 1, 2}  # not stratum by stratum


def test_strips_do_not_matter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(path, [40, 30, 20, 1])
    monkeypatch.setattr(module, "strips_of", partial(strips_of, pixels=3 * SHAPE[1]))
    again = drawn(path, [40, 30, 20, 1])
    assert again.units == whole.units and [s.pixels for s in again.strata] == [s.pixels for s in whole.strata]
    assert [s.area for s in again.strata] == pytest.approx([s.area for s in whole.strata])
    assert drawn(path, [40, 30, 20, 1], seed=2).units != whole.units


def test_every_pixel_of_a_stratum_is_as_likely(path: Path) -> None:
    """Each of the 600 pixels of class 1 is in a twentieth of 300 samples of 30: counts are those of chance."""
    hits: Counter[tuple[int, int]] = Counter()
    with ClassMap(path) as opened:
        strata = map_strata(opened)
        for seed in range(300):
            hits.update((u.col, u.row) for u in draw_sample(opened, strata, [0, 30, 0, 0], seed).units)
    counts = np.array([hits[col, row] for row in range(20) for col in range(30)])
    assert counts.sum() == 9000 and len(hits) == 600
    chi_square = ((counts - 15) ** 2 / (15 * 0.95)).sum()
    assert abs(chi_square - 600) < 5 * (2 * 600) ** 0.5
    by_row = counts.reshape(20, 30).sum(1)
    assert abs(by_row - 450).max() < 5 * 450**0.5


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32"])
def test_other_numbers_and_no_crs(tmp_path: Path, dtype: str) -> None:
    data = np.array([[-5, 1, 1], [2, 2, -1]]).astype(dtype) if dtype[0] == "i" else np.array([[9, 1, 1], [2, 2, 8]])
    path = make_raster(
        tmp_path / "m.tif", data=data.astype(dtype)[None], nodata=int(data[0, 0]), crs=None, transform=None
    )
    sample = drawn(path, [1, 1, 1])
    pixels = {s.value: (s.pixels, s.area) for s in sample.strata}
    assert pixels == {int(data[1, 2]): (1, 1), 1: (2, 2), 2: (2, 2)}
    assert not sample.has_hectares and {u.area for u in sample.units} == {1.0}


def test_pixels_of_a_geographic_grid_carry_their_areas(tmp_path: Path) -> None:
    data = np.ones((60, 20), np.uint8)
    grid = Affine(1.0, 0, 10.0, 0, -1.0, 70.0)
    path = make_raster(tmp_path / "m.tif", data=data[None], crs="EPSG:4326", transform=grid)
    sample = drawn(path, [200])
    assert sum(u.area for u in sample.units) / 200 == pytest.approx(1e4 * sample.strata[0].area / 1200, rel=0.05)
    north, south = (min(sample.units, key=lambda u: sign * u.row) for sign in (1, -1))
    assert north.area / south.area == pytest.approx(
        np.cos(np.radians(69.5 - north.row)) / np.cos(np.radians(69.5 - south.row)), rel=0.02
    )


def test_json_and_back(path: Path) -> None:
    sample = drawn(path, [4, 3, 2, 1])
    data = json.loads(json.dumps(sample.to_json()))
    assert MapSample.from_json(data) == sample
    data["units"][0][2] = 9
    with pytest.raises(ValueError):
        MapSample.from_json(data)


def test_refusals(path: Path, tmp_path: Path) -> None:
    with pytest.raises(MapCheckError, match="more than the map has"):
        drawn(path, [1, 1, 1, 2])
    empty = make_raster(tmp_path / "empty.tif", data=np.full((1, 5, 5), 255, np.uint8), nodata=255)
    with ClassMap(empty) as opened, pytest.raises(EmptySceneError, match="no pixel"):
        map_strata(opened)
