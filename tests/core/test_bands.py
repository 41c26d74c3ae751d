"""The default bands, from what files say about themselves."""

from __future__ import annotations

import pytest

from seglab.core.bands import check_band, choose_bands, resolve_bands
from seglab.errors import BandError

GRAY = ["gray", *["undefined"] * 12]
LANDSAT7 = ["B1", "B2", "B3", "B4", "B5", "B6_VCID_2", "B7"]
SENTINEL2 = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"]


@pytest.mark.parametrize(
    ("names", "dtype", "expected"),
    [
        (LANDSAT7, "uint8", (2, 1, 0)),
        (LANDSAT7, "uint16", (2, 1, 0)),
        (["B1", "B2", "B3", "B4", "B5", "B7"], "int16", (2, 1, 0)),
        (["SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"], "uint16", (3, 2, 1)),
        ([f"B{i}" for i in range(1, 12)], "uint16", (3, 2, 1)),
        (SENTINEL2, "int16", (3, 2, 1)),
        (SENTINEL2, "uint8", (3, 2, 1)),
        (["B02", "B03", "B04", "B08"], "uint16", (2, 1, 0)),
        (["B8A", "B04", "B03", "B02"], "uint16", (1, 2, 3)),
        (["band_4", "band_3", "band_2"], "uint16", (0, 1, 2)),
        (["Blue", "Green", "Red", "NIR"], "uint16", (2, 1, 0)),
        (["Band 1 (red)", "Band 2 (green)", "Band 3 (blue)", "red edge"], "float32", (0, 1, 2)),
        ([""] * 13, "int16", (3, 2, 1)),
        ([""] * 12, "uint16", (3, 2, 1)),
        ([""] * 11, "uint16", (3, 2, 1)),
        ([""] * 4, "uint8", (0, 1, 2)),
        ([""] * 7, "uint8", (0, 1, 2)),
        ([""], "uint16", (0, 0, 0)),
        (["VV", "VH"], "float32", (0, 1, 1)),
    ],
)
def test_names_and_numbers(names: list[str], dtype: str, expected: tuple[int, int, int]) -> None:
    assert choose_bands(names, GRAY[: len(names)], dtype) == expected


def test_colour_tags_count_when_consistent() -> None:
    assert choose_bands([""] * 4, ["blue", "green", "red", "undefined"], "uint16") == (2, 1, 0)
    assert choose_bands([""] * 4, ["red", "red", "green", "blue"], "uint16") == (0, 1, 2)


def test_names_win_over_colour_tags() -> None:
    assert choose_bands(["B1", "B2", "B3"], ["red", "green", "blue"], "uint8") == (2, 1, 0)


def test_asked_bands() -> None:
    assert resolve_bands((3, "B2", 1), range(1, 8), LANDSAT7) == (3, 2, 1)
    assert resolve_bands((5,), range(1, 8), LANDSAT7) == (5, 5, 5)
    assert check_band("B6_VCID_2", range(1, 8), LANDSAT7) == 6


@pytest.mark.parametrize("asked", [(0, 1, 2), (8,), ("B9",), (), (1, 2, 3, 4)])
def test_bands_that_are_not_there(asked: tuple[int | str, ...]) -> None:
    with pytest.raises(BandError, match="band"):
        resolve_bands(asked, range(1, 8), LANDSAT7)
