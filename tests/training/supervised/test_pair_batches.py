"""Splitting, stretching and scaling of pairs."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from seglab.datasets.pair import Pair
from seglab.errors import DatasetError, TrainingError
from seglab.training.losses import IGNORE
from seglab.training.supervised.colour_jitter import ColourJitter
from seglab.training.supervised.pair_batches import BandScaling, PairReader, measure_bands, split
from tests.training.supervised.pair_sets import Discs

STILL = ColourJitter(0, 0, 0, 0)


class Wide:
    """One pair of 4 x 8 pixels whose left half is class 1 and whose last column is unknown."""

    name, classes, bands, extra_bands = "wide", {0: "background", 1: "left"}, (1, 2, 3), ()

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Pair:
        if index:
            raise DatasetError(f"there is no pair {index}")
        mask = np.repeat(np.array([[1, 1, 1, 1, 0, 0, 0, 255]], np.uint8), 4, axis=0)
        rgb = np.repeat(np.where(mask == 1, 200, 20).astype(np.uint8)[..., None], 3, axis=2)
        return Pair("one", rgb, mask)


def test_the_split_is_70_to_30_seeded_and_whole():
    first, second = split(100, 0.7, 42)
    assert (len(first), len(second)) == (70, 30)
    assert sorted(first + second) == list(range(100))
    assert (first, second) == split(100, 0.7, 42)
    assert first != split(100, 0.7, 43)[0]
    assert first != list(range(70))


def test_both_sides_of_a_split_have_something():
    assert [len(side) for side in split(2, 0.99, 0)] == [1, 1]
    with pytest.raises(TrainingError, match="cannot be split"):
        split(1, 0.7, 0)


def test_a_pair_is_stretched_to_a_square():
    batch = next(PairReader(Wide(), {"left": 1}, 16, STILL).stream([[0]]))
    assert batch.rgb.shape == (1, 16, 16, 3)
    assert batch.extra is None
    assert batch.target.dtype == np.int64
    assert batch.target[0, 5].tolist() == [1] * 8 + [0] * 6 + [IGNORE] * 2
    assert (batch.rgb[0, :, :6] == 200).all()
    assert (batch.rgb[0, :, 10:] == 20).all()


def test_batches_come_in_order_and_jitter_depends_on_seed_and_pair_alone():
    reader = PairReader(Discs(8), {"disc": 1}, 24, ColourJitter())
    together = list(reader.stream([[3, 1], [7], [0, 2, 5], [4], [6]], (1, 2)))
    assert [len(b.rgb) for b in together] == [2, 1, 3, 1, 1]
    alone = next(reader.stream([[5]], (1, 2)))
    assert np.array_equal(together[2].rgb[2], alone.rgb[0])
    assert not np.array_equal(alone.rgb, next(reader.stream([[5]], (1, 3))).rgb)
    plain = PairReader(Discs(8), {"disc": 1}, 24, STILL)
    assert np.array_equal(next(reader.stream([[5]])).rgb, next(plain.stream([[5]], (1, 2))).rgb)


def test_a_reading_error_reaches_the_consumer_and_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(DatasetError, match="no pair 1"):
        list(PairReader(Wide(), {"left": 1}, 8, STILL).stream([[0], [1], [0]]))
    for thread in [t for t in threading.enumerate() if t.name.startswith("seglab pairs")]:
        thread.join(5)
    assert threading.active_count() <= before


def test_extra_bands_are_scaled_by_their_percentiles_over_the_training_pairs():
    scaling = measure_bands(Discs(4), [0, 1])
    assert (scaling.low, scaling.high) == ((0.0,), (100.0,))
    assert scaling.apply(np.array([[[0.0, 50.0, 100.0, 1e6]]]))[0, 0].tolist() == [-1, 0, 1, 3]
    batch = next(PairReader(Discs(4), {"disc": 1}, 48, STILL, scaling).stream([[2]]))
    assert np.array_equal(batch.extra[0, 0] > 0, batch.target[0] == 1)


def test_a_band_without_contrast_does_not_divide_by_0():
    assert BandScaling((7.0,), (7.0,)).apply(np.full((1, 2, 2), 7.0)).tolist() == [[[-1, -1], [-1, -1]]]


def test_a_dataset_without_extra_bands_is_refused():
    with pytest.raises(TrainingError, match="no extra bands"):
        measure_bands(Wide(), [0])


def test_turned_pairs_keep_image_and_mask_together_and_the_teachers_image_unjittered():
    reader = PairReader(Wide(), {"left": 1}, 16, ColourJitter(), turns=True)
    seen = set()
    for epoch in range(20):
        batch = next(reader.stream([[0]], (7, epoch)))
        known = batch.target[0] != IGNORE
        bright = batch.plain[0, ..., 0] > 110
        # Between the two halves the image is smooth and the mask is not.
        assert (bright == (batch.target[0] == 1))[known].mean() > 0.9
        assert set(np.unique(batch.plain)) >= {20, 200}
        assert not np.array_equal(batch.rgb, batch.plain)
        seen.add(batch.target.tobytes())
    assert len(seen) == 4  # mirrored top to bottom the pair is itself


class Ramp(Wide):
    """One pair of 40 x 60 pixels whose colours say where they are: red the column, green the row."""

    def read(self, index: int) -> Pair:
        rows, cols = np.mgrid[:40, :60].astype(np.uint8)
        return Pair("ramp", np.stack([cols, rows, 0 * rows], -1), (cols > 29).astype(np.uint8))


def test_crops_are_the_four_corners_and_the_whole():
    reader = PairReader(Ramp(), {"left": 1}, 20, STILL, crops=True)
    seen = set()
    for epoch in range(40):
        batch = next(reader.stream([[0]], (1, epoch)))
        cols, rows = batch.rgb[0, 10, :, 0].astype(int), batch.rgb[0, :, 10, 1].astype(int)
        seen.add((cols[0] > 5, cols[-1] < 54, rows[0] > 3, rows[-1] < 36))
        known = np.abs(cols - 29.5) > 2
        assert ((cols > 29) == (batch.target[0, 10] == 1))[known].all()
    corners = {(right, not right, low, not low) for right in (True, False) for low in (True, False)}
    assert seen == corners | {(False,) * 4}
    assert next(reader.stream([[0]])).rgb[0, 10, 0, 0] < 3  # validation sees the whole
