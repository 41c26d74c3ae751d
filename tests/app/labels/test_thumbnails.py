"""A thumbnail shows the object in its surroundings, its outline where the object ends."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import Point, box

from seglab.app.labels.thumbnails import SIDE, thumbnail
from tests.conftest import LAKES


@pytest.fixture
def scene(open_lakes):
    return open_lakes().scene


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_lake(scene) -> None:
    col, row, radius = LAKES[1]
    data = thumbnail(scene, Point(col, row).buffer(radius))
    seen = pixels(data)
    assert seen.shape == (SIDE, SIDE, 3) and len(data) < 8000
    middle, corner = seen[SIDE // 2, SIDE // 2], seen[2, 2]
    assert middle[2] > middle[0] and corner[2] < corner.max()  # water in the middle, land around it
    along = seen[SIDE // 2].min(axis=1)
    edges = along[: SIDE // 2].argmax(), SIDE // 2 + along[SIDE // 2 :].argmax()
    expected = SIDE / 2 * (1 - 1 / 1.6)
    assert edges == pytest.approx((expected, SIDE - expected), abs=3)


@pytest.mark.parametrize("outline", [box(3, 3, 4, 4), box(0, 0, 512, 384), box(505, 377, 512, 384)])
def test_any_size_and_the_edge_of_the_scene(scene, outline) -> None:
    assert pixels(thumbnail(scene, outline)).max() > 200  # the outline is seen
