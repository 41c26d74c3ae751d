"""The bank: images of any size lie side by side without touching, and slots are used in turn."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.pretrain.bank import LEVELS, Bank
from seglab.pretrain.ground import Ground
from tests.pretrain.made_ground import FIELD, WATER, random_rectangles, rectangles

SHAPES = ((40, 56), (33, 20), (64, 64))


@pytest.fixture
def grounds() -> list[Ground]:
    rng = np.random.default_rng(0)
    return [random_rectangles(rng, shape, 6, f"source {i % 2}", str(i)) for i, shape in enumerate(SHAPES)]


def level(bank: Bank, index: int, number: int) -> np.ndarray:
    """The colours of an image at one level, as an array."""
    rows, cols = bank.layout.size[index, number].tolist()
    start = int(bank.layout.colour_start[index, number])
    return bank.colour[start : start + rows * cols].numpy().reshape(rows, cols, 3)


def assert_holds(bank: Bank, index: int, ground: Ground) -> None:
    """An image of the bank is that ground, pixel by pixel and part by part."""
    rows, cols = ground.parts.shape
    assert bank.layout.size[index, 0].tolist() == [rows, cols]
    np.testing.assert_array_equal(level(bank, index, 0), ground.rgb)
    start = int(bank.layout.label_start[index])
    for name in ("parts", "semantic"):
        flat = getattr(bank, name)[start : start + rows * cols].numpy()
        np.testing.assert_array_equal(flat.reshape(rows, cols), getattr(ground, name))
    for name, values in vars(ground.table).items():
        kept = getattr(bank, name)[index].numpy()
        np.testing.assert_array_equal(kept[: len(values)], values)
        assert (kept[len(values) :] == (255 if name == "class_of" else 0)).all()
    assert bank.sources[bank.source[index]] == ground.source


def test_images_of_different_sizes_come_back_exactly(grounds):
    bank = Bank(grounds, slots=1, slot_size=24)
    assert len(bank) == 4 and bank.sources == ["source 0", "source 1"]
    for index, ground in enumerate(grounds):
        assert_holds(bank, index, ground)


def test_levels_are_means_of_squares(grounds):
    bank = Bank(grounds)
    for index, number in ((0, 1), (0, 2), (2, 3)):
        rows, cols = bank.layout.size[index, number].tolist()
        step = 2**number
        squares = grounds[index].rgb[: rows * step, : cols * step].reshape(rows, step, cols, step, 3)
        # Each level is made of the rounded one before it.
        np.testing.assert_allclose(level(bank, index, number), squares.mean((1, 3)), atol=0.6 * number)
    odd = [tuple(bank.layout.size[1, number].tolist()) for number in range(LEVELS)]
    assert odd == [(33, 20), (17, 10), (9, 5), (5, 3)]


def test_slots_are_filled_in_turn_and_then_the_oldest_goes(grounds):
    bank = Bank(grounds, slots=2, slot_size=32)
    scenes = [
        rectangles((32, 32), *places, classes=(WATER, FIELD), source="scenes", image_id=str(i), seed=i)
        for i, places in enumerate([((0, 0, 20, 20), (22, 0, 32, 32)), ((4, 4, 9, 9),), ((9, 9, 30, 30),)])
    ]
    assert bank.filled == 3 and not bank.full
    bank.put(scenes[0])
    assert bank.filled == 4 and not bank.full
    bank.put(scenes[1])
    assert bank.filled == 5 and bank.full
    assert_holds(bank, 3, scenes[0])
    bank.put(scenes[2])
    assert bank.filled == 5 and bank.full
    # It has fewer parts than the one before it in that place: nothing of that one is left.
    assert_holds(bank, 3, scenes[2])
    assert_holds(bank, 4, scenes[1])
    bank.put(scenes[0])
    assert_holds(bank, 3, scenes[2])
    assert_holds(bank, 4, scenes[0])
    for index, ground in enumerate(grounds):
        assert_holds(bank, index, ground)
