"""Pictures of failures: the worst of each kind is shown, with what was asked and what was wanted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from seglab.pretrain import failures
from seglab.pretrain.failures import CAPTION, FOUND, TRUE, draw, worst_cases
from seglab.pretrain.ground import PROCEDURAL, Ground, label_ground
from seglab.pretrain.scenes import CLASSES
from tests.pretrain.made_ground import BUILDING, rectangles

SIZE = 64


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


class LeftHalf:
    """Answers everything with the left half of the window."""

    def to_clicks(self, coords, labels):
        masks = np.zeros((len(coords), SIZE, SIZE), bool)
        masks[:, :, : SIZE // 2] = True
        return masks


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Sees one scene: two roofs, a road that is too small, and a field in two pieces."""
    kinds = [CLASSES.index(name) for name in ("building", "building", "road", "field")]
    pieces = square(0, 50, 14) | square(24, 50, 14)
    objects, semantic = np.zeros((SIZE, SIZE), np.int32), np.zeros((SIZE, SIZE), np.uint8)
    masks = square(0, 0, 32), square(40, 20, 20), square(50, 2, 8), pieces
    for number, (mask, kind) in enumerate(zip(masks, kinds, strict=True), start=1):
        objects[mask], semantic[mask] = number, kind
    ground = label_ground(PROCEDURAL, "0", np.full((SIZE, SIZE, 3), 90, np.uint8), semantic, objects)
    monkeypatch.setattr(failures, "procedural_ground", lambda seed, size: ground)
    monkeypatch.setattr(failures, "model_method", lambda model: lambda rgb: LeftHalf())
    return SimpleNamespace(spec=SimpleNamespace(image_size=SIZE))


def test_the_worst_whole_object_of_each_kind(model):
    found = worst_cases(model, scenes=2)
    assert [failure.kind for failure in found] == ["building"]
    assert found[0].iou == pytest.approx(240 / (2048 + 400 - 240))
    assert (found[0].mask == square(40, 20, 20)).all()
    (col, row, positive), *later = found[0].clicks
    assert square(40, 20, 20)[int(row), int(col)] and positive and len(later) == failures.CLICKS - 1
    assert not later[0][2]  # what is too much is larger than what was missed


def test_the_sheet_shows_border_mask_and_clicks(model):
    found = worst_cases(model, scenes=1)
    sheet = draw(found * 3, columns=2)
    assert sheet.shape == (2 * (SIZE + CAPTION), 2 * SIZE, 3) and sheet.dtype == np.uint8
    tile = sheet[CAPTION : SIZE + CAPTION, :SIZE]
    assert tile[45, 20].tolist() == list(TRUE)
    inside, outside = tile[5, 5], tile[5, 60]
    assert outside.tolist() == [90, 90, 90]
    assert inside.tolist() == [int(0.6 * 90 + 0.4 * value) for value in FOUND]
    assert not sheet[SIZE + 2 * CAPTION :, SIZE:].any()  # the fourth tile is empty


def test_the_window_is_cut_around_a_part_of_the_scene(monkeypatch):
    made = rectangles((200, 200), (120, 130, 160, 160), classes=(BUILDING,))
    monkeypatch.setattr(failures, "procedural_ground", lambda seed, size: made)
    rgb, objects, kind_of = failures._window(1, SIZE)
    rows, cols = slice(113, 177), slice(108, 172)
    np.testing.assert_array_equal(rgb, made.rgb[rows, cols])
    np.testing.assert_array_equal(objects, made.parts[rows, cols])
    assert kind_of[1] == BUILDING


def test_scenes_are_larger_than_the_window_and_may_hold_nothing(monkeypatch):
    asked = []

    def empty(seed: int, size: int) -> Ground:
        asked.append((seed, size))
        return rectangles((size, size))

    monkeypatch.setattr(failures, "procedural_ground", empty)
    assert worst_cases(SimpleNamespace(spec=SimpleNamespace(image_size=224)), scenes=2) == []
    assert asked == [(failures.SEED, 448), (failures.SEED + 1, 448)]
