"""What is true of a labelled image, and how objects are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seglab.bench.ground import FILL, LARGEST_VIEW, Ground, open_ground, spread
from seglab.core.masks import rasterize
from seglab.core.metrics import IGNORE
from seglab.core.windows import Window
from seglab.datasets.folder import open_dataset
from seglab.errors import DatasetError
from tests.bench_units.conftest import BLOBS, SIZE, UNKNOWN


@pytest.fixture
def ground(dataset_path: Path) -> Ground:
    return open_ground(open_dataset(dataset_path), "val")


def test_objects_are_the_true_ones(ground: Ground) -> None:
    with ground.open(ground.ids[0]) as image:
        truth = image.truth
        masks = [rasterize(thing.outline, (SIZE, SIZE)) for thing in image.things]
        clicks = [(thing.click.col, thing.click.row) for thing in image.things]
    assert ground.classes == ("landslide",) and ground.has_background
    assert np.array_equal(np.any(masks, axis=0), truth == 1)
    assert not (masks[0] & masks[1]).any()
    for (col, row), (blob_col, blob_row, _) in zip(clicks, BLOBS, strict=True):
        assert abs(col - blob_col) <= 1.5 and abs(row - blob_row) <= 1.5


def test_truth_in_a_window_is_that_of_the_pixels_in_the_middle(ground: Ground) -> None:
    with ground.open(ground.ids[0]) as image:
        fine = image.truth_in(Window(0, 0, 224, 224))
        coarse = image.truth_in(Window(0, 0, 448, 448, 2))
        truth = image.truth
    assert np.array_equal(fine[:SIZE, :SIZE], truth)
    assert (fine[SIZE:] == IGNORE).all() and (fine[:, SIZE - UNKNOWN :] == IGNORE).all()
    assert coarse.shape == (224, 224)
    assert np.array_equal(coarse[: SIZE // 2, : SIZE // 2], truth[1::2, 1::2])


@pytest.mark.parametrize("size", [32, 64, 224])
def test_an_object_is_seen_whole_unless_the_scene_would_be_a_speck(ground: Ground, size: int) -> None:
    with ground.open(ground.ids[0]) as image:
        for thing in image.things:
            left, top, right, bottom = thing.outline.bounds
            scale = thing.scale(size, (SIZE, SIZE))
            extent = max(right - left, bottom - top)
            assert scale == 1 or extent > FILL * size * scale / 2  # the next finer one would cut it
            assert extent <= FILL * size * scale or 2 * size * scale > LARGEST_VIEW * SIZE
            assert thing.window(size, (SIZE, SIZE)).contains(thing.click.col, thing.click.row)


def test_a_folder_without_the_images_of_the_split_is_refused(dataset_path: Path) -> None:
    dataset = open_dataset(dataset_path)
    dataset.files.pop("Landslide001")
    with pytest.raises(DatasetError, match="Landslide001"):
        open_ground(dataset, "train")


@pytest.mark.parametrize("limit", [0, 3, 7, 100])
def test_spread_takes_evenly(limit: int) -> None:
    counts = [1, 9, 0, 4]
    chosen = spread(counts, limit, np.random.default_rng(3))
    assert chosen == spread(counts, limit, np.random.default_rng(3))
    assert len(chosen) == len(set(chosen)) == min(limit, sum(counts))
    taken = [sum(group == i for group, _ in chosen) for i in range(len(counts))]
    assert all(item < counts[group] for group, item in chosen)
    for i, count in enumerate(counts):  # nobody has two more than a group that still has some
        assert taken[i] == count or taken[i] >= max(taken) - 1
