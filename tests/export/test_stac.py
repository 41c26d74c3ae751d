"""The STAC item of a map, read back by pystac."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.warp
from affine import Affine

from seglab.errors import MissingCRSError
from seglab.export.stac import write_stac_item
from seglab.store.rasters import RasterWriter


def write_map(folder: Path, crs: str | None) -> Path:
    place = (60, 40, Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 5_000_000.0) if crs else Affine.identity(), crs)
    for name in ("map", "map_confidence"):
        with RasterWriter(
            folder / f"{name}.tif",
            *place,
            "uint8",
            255,
            {1: "#112233"},
            {0: "background", 1: "open water"},
            {"seglab_round": "2"},
        ) as raster:
            raster.write(np.ones((40, 60), np.uint8), 0, 0)
    return folder / "map.tif"


def test_pystac_finds_the_map_by_its_item(tmp_path: Path) -> None:
    path = write_stac_item(write_map(tmp_path, "EPSG:32632"))
    assert path == tmp_path / "map.json"
    item = pystac.Item.from_file(str(path))
    assert item.datetime is not None and item.properties["proj:code"] == "EPSG:32632"
    with rasterio.open(item.assets["map"].get_absolute_href()) as raster:
        assert list(raster.shape) == item.properties["proj:shape"]
        assert raster.transform == Affine(*item.properties["proj:transform"])
        bounds = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
    np.testing.assert_allclose(item.bbox, bounds, atol=1e-6)
    assert Path(item.assets["confidence"].get_absolute_href()).exists()
    classes = item.assets["map"].extra_fields["classification:classes"]
    assert [classes[1][key] for key in ("value", "name", "title", "color_hint")] == [
        1,
        "open-water",
        "open water",
        "112233",
    ]


def test_a_map_without_a_place_has_no_item(tmp_path: Path) -> None:
    with pytest.raises(MissingCRSError, match="georeference"):
        write_stac_item(write_map(tmp_path, None))
    assert not (tmp_path / "map.json").exists()
