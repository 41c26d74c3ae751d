"""Which band is which colour, from what files say about themselves."""

from __future__ import annotations

import pytest

from seglab.core.raster import Scene
from seglab.core.spectrum import find_colours, wavelength_of
from seglab.datasets.examples import example
from tests.core.test_bands import LANDSAT7, SENTINEL2


def found(names: list[str], tags: list[str] | None = None, dtype: str = "uint16", wavelengths=None) -> dict[str, int]:
    nothing = [None] * len(names)
    return find_colours(names, tags or ["undefined"] * len(names), dtype, wavelengths or nothing)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (LANDSAT7, {"blue": 0, "green": 1, "red": 2, "nir": 3, "swir": 4}),
        ([f"SR_B{i}" for i in range(1, 8)], {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir": 5}),
        (SENTINEL2, {"blue": 1, "green": 2, "red": 3, "nir": 7, "swir": 11}),
        (["B02", "B03", "B04", "B08"], {"blue": 0, "green": 1, "red": 2, "nir": 3}),
        (["Blue", "Green", "Red", "NIR"], {"blue": 0, "green": 1, "red": 2, "nir": 3}),
        (["red", "red edge", "near infrared"], {"red": 0, "nir": 2}),
        (["nir08", "swir16", "swir22"], {"nir": 0, "swir": 1}),
        ([""] * 13, {"blue": 1, "green": 2, "red": 3, "nir": 7, "swir": 11}),
        ([""] * 4, {}),
        (["VV", "VH"], {}),
    ],
)
def test_names(names: list[str], expected: dict[str, int]) -> None:
    assert found(names) == expected


def test_tags_and_wavelengths() -> None:
    tags = ["red", "green", "blue", "nir"]
    assert found([""] * 4, tags) == {"red": 0, "green": 1, "blue": 2, "nir": 3}
    assert found(["a", "b", "c"], wavelengths=[0.842, 0.665, 0.86]) == {"nir": 2, "red": 1}
    assert found([""] * 2, ["red", "red"]) == {}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"CENTRAL_WAVELENGTH_UM": "0.665"}, 0.665),
        ({"wavelength": "842.0", "wavelength_units": "Nanometers"}, 0.842),
        ({"WAVELENGTH": "664", "WAVELENGTH_UNIT": "nm"}, 0.664),
        ({"wavelength": "0.5"}, 0.5),
        ({"wavelength": "490"}, 0.49),
        ({"wavelength": "blue"}, None),
        ({}, None),
    ],
)
def test_wavelengths_in_metadata(tags: dict[str, str], expected: float | None) -> None:
    assert wavelength_of(tags) == expected


def test_the_packaged_scene_names_its_bands() -> None:
    with Scene.open(example("landsat")) as scene:
        assert (scene.colours["red"], scene.colours["nir"], scene.colours["swir"]) == (3, 4, 5)
