"""Bands of one scene found in another, by what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from seglab.core.band_labels import BandLabel, by_place, labels_from_json, labels_to_json, match_bands
from seglab.core.raster import Scene
from seglab.errors import BandError
from tests.rasters import make_raster, pattern

RED, NIR = BandLabel(1, "B4", "red"), BandLabel(4, "B8", "nir")
VV, NAMELESS = BandLabel(1, "VV"), BandLabel(2)


def numbered(*labels: BandLabel) -> list[BandLabel]:
    return [BandLabel(place, one.name, one.colour) for place, one in enumerate(labels, start=1)]


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        ((RED, NIR), (NIR, RED), (2, 1)),
        ((RED,), (BandLabel(1, "B4", "nir"), BandLabel(2, "B3", "red")), (2,)),  # another satellite's B4
        ((VV,), (BandLabel(1, "VH"), BandLabel(2, "vv")), (2,)),
        ((RED, NAMELESS), (BandLabel(1), BandLabel(2), BandLabel(3)), (1, 2)),
        ((NAMELESS,), (RED, NIR), (2,)),
        ((NIR,), (RED, VV, BandLabel(3), BandLabel(4)), (4,)),  # the fourth may be it
        ((BandLabel(2, "VV"),), (VV, VV), (2,)),  # two of one name: the one in that place
    ],
    ids=["turned", "satellites", "name", "nameless", "unknown", "partly", "twice"],
)
def test_found(wanted: tuple[BandLabel, ...], there: tuple[BandLabel, ...], found: tuple[int, ...]) -> None:
    assert match_bands(wanted, numbered(*there)) == found


@pytest.mark.parametrize(
    ("wanted", "there"),
    [((RED,), (VV, NIR)), ((VV,), (RED, NIR)), ((NIR,), (RED, NIR, NIR, VV)), ((BandLabel(5),), (RED, NIR))],
    ids=["other", "name", "two", "few"],
)
def test_missing(wanted: tuple[BandLabel, ...], there: tuple[BandLabel, ...]) -> None:
    with pytest.raises(BandError, match="there is no band"):
        match_bands(wanted, numbered(*there))


def test_what_is_found_by_nothing_but_its_place_is_known() -> None:
    assert not by_place((RED,), numbered(NIR, RED))
    assert by_place((RED,), numbered(NAMELESS)) and by_place((NAMELESS,), numbered(RED, NIR))


def test_labels_of_files(tmp_path: Path) -> None:
    with Scene.open(make_raster(tmp_path / "plain.tif", data=pattern(4, 64, 80, "uint16"))) as scene:
        assert scene.band_labels == tuple(map(BandLabel, (1, 2, 3, 4)))
    for name, descriptions, expected in (
        ("s2", ("B02", "B03", "B04", "B08"), ("blue", "green", "red", "nir")),
        ("counted", ("Band 1", "Band 2", "Band 3", "Band 4"), ("", "", "", "")),
    ):
        path = make_raster(tmp_path / f"{name}.tif", data=pattern(4, 64, 80, "uint16"))
        with rasterio.open(path, "r+") as file:
            file.descriptions = descriptions
        with Scene.open(path) as scene:
            assert tuple(label.colour for label in scene.band_labels) == expected
            assert scene.find_bands(labels_from_json(labels_to_json(scene.band_labels), ())) == (1, 2, 3, 4)
    assert labels_from_json(None, (3, 2)) == (BandLabel(3), BandLabel(2))


def test_a_scene_opens_in_the_bands_of_another(tmp_path: Path) -> None:
    data, paths = pattern(4, 64, 80, "uint16"), []
    for name, order in (("a", (0, 1, 2, 3)), ("b", (3, 1, 0, 2))):
        paths.append(make_raster(tmp_path / f"{name}.tif", data=data[list(order)]))
        with rasterio.open(paths[-1], "r+") as file:
            file.descriptions = [("red", "green", "blue", "nir")[band] for band in order]
    with Scene.open(paths[0], (4, 1, 2)) as first, Scene.open(paths[1], first.labels_at(first.bands)) as second:
        assert second.bands == (1, 3, 2)
        np.testing.assert_array_equal(first.preview()[0], second.preview()[0])
