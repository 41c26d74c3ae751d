"""Places as people write them."""

from __future__ import annotations

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from seglab.core.grid import Grid, parse_crs
from seglab.core.places import find_place
from seglab.errors import OutsideSceneError, PlaceError

WORLD = Grid(3600, 1800, Affine(0.1, 0, -180, 0, -0.1, 90), parse_crs("EPSG:4326"))
MUNICH = Grid(1000, 800, Affine(10, 0, 686_600, 0, -10, 5_338_760), parse_crs("EPSG:25832"))
PLAIN = Grid(500, 400)

lats = st.floats(-89.9, 89.9).map(lambda v: round(v, 5))
lons = st.floats(-179.9, 179.9).map(lambda v: round(v, 5))


def dms(value: float, marks: tuple[str, str, str]) -> str:
    """An angle without sign in degrees, minutes and seconds, to a hundredth of a second."""
    hundredths = round(abs(value) * 360_000)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}{marks[0]}{minutes % 60}{marks[1]}{rest / 100:.2f}{marks[2]}"


def written(lat: float, lon: float) -> list[str]:
    """One place in many spellings."""
    ns, ew = "NS"[lat < 0], "EW"[lon < 0]
    found = [
        f"{lat:.5f}, {lon:.5f}",
        f"  {lat:.5f};{lon:.5f} ",
        f"{lat:.5f} {lon:.5f}".replace("-", "−"),
        f"{lat:.5f} {lon:.5f}".replace(".", ","),
        f"{abs(lon):.5f} {ew} {abs(lat):.5f} {ns}",
        f"{abs(lon):.5f}{ew.lower()}, {abs(lat):.5f}{ns.lower()}",
        f"{ew}{abs(lon):.5f} {ns} {abs(lat):.5f}",
        f"{abs(lat):.5f}° {ns}, {abs(lon):.5f}° {ew}",
        f"EPSG:4326 {lon:.5f} {lat:.5f}",
        f"epsg:4326: {lon:.5f}, {lat:.5f}",
    ]
    for marks in (("°", "'", '"'), ("° ", "′ ", "″"), (" ", " ", ""), (":", ":", ""), ("d", "m", "")):
        north, east = dms(lat, marks), dms(lon, marks)
        found += [f"{north} {ns} {east} {ew}", f"{ew} {east}, {ns} {north}"]
        found += [f"{'-' if lat < 0 else ''}{north}, {'-' if lon < 0 else ''}{east}"]
    return found


@given(lats, lons, st.data())
def test_every_spelling_is_the_same_place(lat: float, lon: float, data) -> None:
    expected = WORLD.to_pixel(lon, lat)
    text = data.draw(st.sampled_from(written(lat, lon)))
    # a hundredth of a second is 3e-5 pixels
    assert find_place(text, WORLD) == pytest.approx(expected, abs=2e-4), text


@given(st.floats(0, 499.99), st.floats(0, 399.99))
def test_columns_and_rows(col: float, row: float) -> None:
    col, row = round(col, 2), round(row, 2)
    for text in (
        f"{col:.2f}, {row:.2f}",
        f"{col:.2f} {row:.2f}",
        f"pixel {col:.2f} {row:.2f}",
        f"column {col}, row {row}",
    ):
        assert find_place(text, PLAIN) == pytest.approx((col, row))
    assert find_place(f"px {col:.2f}, {row:.2f}", WORLD) == pytest.approx((col, row))


@given(st.text())
def test_any_text_is_a_place_or_says_why_not(text: str) -> None:
    for grid in (WORLD, PLAIN):
        try:
            col, row = find_place(text, grid)
        except (PlaceError, OutsideSceneError) as error:
            assert str(error)
        else:
            assert grid.contains(col, row)


def test_a_crs_of_another_zone_or_kind() -> None:
    assert find_place("EPSG:25832 691600 5334760", MUNICH) == pytest.approx((500, 400))
    lon, lat = MUNICH.from_pixel(500, 400)
    assert find_place(f"{lat}, {lon}", MUNICH) == pytest.approx((500, 400), abs=1e-3)
    x, y = MUNICH.from_pixel(500, 400, "EPSG:3857")
    assert find_place(f"EPSG:3857 {x} {y}", MUNICH) == pytest.approx((500, 400), abs=1e-3)


def test_a_zero_with_a_sign_counts() -> None:
    assert find_place("-0 30 0, 0 0 0", WORLD) == pytest.approx((1800, 905))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not understood"),
        ("Munich", "not understood"),
        ("48.1", "not understood"),
        ("48.1 N 11.5 S", "not understood"),
        ("112.05, 41.3", "latitude comes first"),
        ("-48.1 N, 11.5 E", "letter and a sign"),
        ("48 61 0 N 11 0 0 E", "below 60"),
        ("48.5 30 N 11 0 E", "whole"),
        ("EPSG:99999999 1 2", "not a coordinate reference system"),
    ],
)
def test_what_is_no_place(text: str, says: str) -> None:
    with pytest.raises(PlaceError, match=says):
        find_place(text, WORLD)


def test_what_lies_elsewhere() -> None:
    with pytest.raises(OutsideSceneError, match="latitude 4"):
        find_place("11.576, 48.137", MUNICH)
    with pytest.raises(OutsideSceneError, match="500 columns and 400 rows"):
        find_place("500, 3", PLAIN)
    with pytest.raises(OutsideSceneError, match="in EPSG:25832"):
        find_place("EPSG:25832 1 2", MUNICH)
    with pytest.raises(PlaceError, match="pixel"):
        find_place("48 N 11 E", PLAIN)


def test_a_plain_map_of_a_polar_scene_takes_both() -> None:
    polar = Grid(1000, 1000, Affine(1000, 0, -500_000, 0, -1000, 500_000), parse_crs("EPSG:3031"))
    assert find_place("10, 20", polar, plain=True) == (10, 20)
    assert find_place("89.99 S 0 E", polar, plain=True) == pytest.approx((500, 500), abs=2)
