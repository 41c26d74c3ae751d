"""Sizes of samples, and how they are shared out."""

from __future__ import annotations

import pytest

from seglab.core.sample_size import allocate, expected_se, sample_size
from seglab.errors import MapCheckError

SHARES = [0.02, 0.015, 0.32, 0.645]
EXPECTED = [0.7, 0.6, 0.9, 0.95]


def test_the_papers_size() -> None:
    """Section 5.1.1 of Olofsson et al. 2014: 641 for a standard error of 0.01."""
    assert sample_size(0.01, SHARES, EXPECTED) == 641


def test_shares_do_not_matter_where_one_accuracy_is_expected() -> None:
    assert sample_size(0.025) == sample_size(0.025, SHARES, [0.85] * 4) == 204
    assert sample_size(0.025, pixels=400) == 136  # of a map so small, fewer will do
    assert sample_size(0.01, [1.0], [1.0]) == 1


@pytest.mark.parametrize(
    ("size", "pixels", "least", "shared"),
    [
        (640, [200_000, 150_000, 3_200_000, 6_450_000], 75, [75, 75, 162, 328]),
        (100, [500, 500], None, [50, 50]),
        (100, [10, 10_000], None, [10, 90]),
        (100, [1, 3, 1000], None, [1, 3, 96]),
        (60, [5, 20, 30], None, [5, 20, 30]),
        (100, [40, 30, 40], None, [37, 27, 36]),
        (9, [1000, 1000, 1000, 5], 2, [2, 2, 3, 2]),
        (300, [10, 290, 10**6, 10**6], None, [10, 37, 127, 126]),
    ],
    ids=["paper", "even", "rare", "tiny", "all", "nearly all", "small sample", "two rare"],
)
def test_shared_out(size: int, pixels: list[int], least: int | None, shared: list[int]) -> None:
    found = allocate(size, pixels, least)
    assert sum(found) == min(size, sum(pixels)) and all(n <= count for n, count in zip(found, pixels, strict=True))
    assert sorted(found) == sorted(shared)


@pytest.mark.parametrize(("size", "least"), [(5, None), (10, 4), (100, 1)])
def test_a_sample_that_is_too_small(size: int, least: int | None) -> None:
    with pytest.raises(MapCheckError, match="check at least"):
        allocate(size, [1000, 1000, 1000], least)


def test_aims_that_make_no_sense() -> None:
    with pytest.raises(MapCheckError, match="such as 0"):
        sample_size(0)
    with pytest.raises(MapCheckError, match="for each class"):
        sample_size(0.02, [0.5, 0.5], [0.9])


def test_expected_precision() -> None:
    assert expected_se([1.0], [205], [0.85]) == pytest.approx(0.025, abs=1e-4)
    assert expected_se(SHARES, [75, 75, 165, 325], EXPECTED) == pytest.approx(0.0102, abs=1e-3)
