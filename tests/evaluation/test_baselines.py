"""Flood fill and GrabCut do what they are for, and the tolerance is chosen, not guessed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from seglab.core.metrics import iou
from seglab.evaluation.baselines import TOLERANCES, best_tolerance, floodfill, grabcut
from seglab.evaluation.cases import Case
from seglab.models.spec import NEGATIVE, PAD, POSITIVE

SIZE = 96


def disc(col: float, row: float, radius: float) -> np.ndarray:
    rows, cols = np.mgrid[:SIZE, :SIZE] + 0.5
    return (cols - col) ** 2 + (rows - row) ** 2 <= radius**2


LAKE, POND = disc(30, 40, 22), disc(75, 75, 12)


def picture(roughness: int) -> np.ndarray:
    """Two blue lakes in green land, every pixel's bands off by up to `roughness`."""
    rgb = np.where((LAKE | POND)[..., None], np.array([30, 60, 150]), np.array([90, 140, 80]))
    noise = np.random.default_rng(4).integers(-roughness, roughness + 1, rgb.shape) if roughness else 0
    return (rgb + noise).astype(np.uint8)


def ask(method, rgb, points) -> np.ndarray:
    coords = np.array([[p[:2] for p in points]], np.float32)
    return method(rgb).to_clicks(coords, np.array([[p[2] for p in points]]))[0]


def test_flood_fill_adds_a_region_for_each_plus_and_takes_one_away_for_a_minus():
    method, rgb = floodfill(10), picture(0)
    one = ask(method, rgb, [(30, 40, POSITIVE)])
    both = ask(method, rgb, [(30, 40, POSITIVE), (75, 75, POSITIVE), (0, 0, PAD)])
    back = ask(method, rgb, [(30, 40, POSITIVE), (75, 75, POSITIVE), (74, 74, NEGATIVE)])
    assert (one == LAKE).all() and (both == LAKE | POND).all() and (back == LAKE).all()


def test_flood_fill_of_a_box_stays_in_it():
    mask = floodfill(10)(picture(0)).to_boxes(np.array([[8, 18, 40, 62]], np.float32))[0]
    inside = np.zeros_like(mask)
    inside[18:62, 8:40] = True
    assert (mask == LAKE & inside).all()


def test_grabcut_finds_a_lake_from_two_clicks_and_from_a_box():
    rgb = picture(12)
    plus_and_minus = ask(grabcut, rgb, [(30, 40, POSITIVE), (75, 75, NEGATIVE)])
    assert plus_and_minus[40, 30] and not plus_and_minus[75, 75]
    assert iou(plus_and_minus & ~POND, LAKE) > 0.9
    boxed = grabcut(rgb).to_boxes(np.array([[8, 18, 52, 62]], np.float32))[0]
    assert iou(boxed, LAKE) > 0.9


def test_grabcut_starts_from_a_disc_a_sixth_of_the_image_wide_around_each_plus(monkeypatch):
    monkeypatch.setattr(cv2, "grabCut", lambda *_: None)
    start = ask(grabcut, picture(0), [(30, 40, POSITIVE), (75, 75, POSITIVE), (34, 40, NEGATIVE)])
    rows, cols = np.flatnonzero(start[:, :60].any(1)), np.flatnonzero(start[40, :60])
    assert np.ptp(rows) + 1 == pytest.approx(SIZE / 6, abs=1.5)
    assert start[40, 30] and start[75, 75] and not start[40, 34]
    assert cols[-1] - cols[0] == pytest.approx(SIZE / 6, abs=1.5)


def test_what_grabcut_cannot_part_is_not_an_error():
    everything = grabcut(picture(0)).to_boxes(np.array([[0, 0, SIZE, SIZE]], np.float32))[0]
    assert everything.all()


def test_grabcut_gives_the_same_twice():
    rgb = picture(40)
    points = [(30, 40, POSITIVE), (75, 75, NEGATIVE)]
    assert (ask(grabcut, rgb, points) == ask(grabcut, rgb, points)).all()


@pytest.mark.parametrize(("roughness", "lowest", "highest"), [(3, 8, 44), (10, 20, 44)])
def test_the_tolerance_fits_the_roughness_of_the_ground(roughness, lowest, highest):
    cases = [Case("lakes", "a", picture(roughness), np.stack([LAKE, POND]))]
    told: list[int] = []
    assert lowest <= best_tolerance(cases, told.append) <= highest
    assert told == list(range(len(TOLERANCES)))


def test_every_dataset_weighs_the_same_in_the_tolerance():
    # Rough ground asks for a wide tolerance; on the other, land that is only 12 apart, a wide one spills.
    spilling = np.where((LAKE | POND)[..., None], 100, 112).repeat(3, axis=2).astype(np.uint8)
    rough = [Case("rough", "a", picture(10), LAKE[None])]
    smooth = Case("smooth", "b", spilling, LAKE[None])
    assert best_tolerance(rough) > best_tolerance([smooth])
    assert best_tolerance([smooth] * 3 + rough) == best_tolerance([smooth, *rough])
