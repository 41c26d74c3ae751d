"""Which windows are labelled and which judge, and what is true in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seglab.bench.ground import Ground
from seglab.bench.window_pool import (
    LEAST_WINDOWS,
    PoolWindow,
    clickable,
    common_scale,
    left_out,
    parts_of,
    pool_windows,
    unseen_images,
)
from seglab.core.metrics import IGNORE
from seglab.core.windows import Window
from seglab.datasets.folder import open_dataset
from seglab.datasets.splits import split_ids
from seglab.errors import DatasetError
from tests.bench_units.conftest import BLOBS, NAME, SIZE, UNKNOWN


def test_ground_that_the_weights_learned_from_is_left_alone(dataset_path: Path) -> None:
    dataset = open_dataset(dataset_path)
    assert NAME in left_out("tiny_unseen") and NAME not in left_out("tiny")
    assert unseen_images(dataset, "tiny_unseen", None) == sorted(dataset.files)
    assert unseen_images(dataset, "tiny", None) == sorted(split_ids(NAME, "val"))
    assert unseen_images(dataset, "vit_b", None) == unseen_images(dataset, "tiny", "other.pth") == sorted(dataset.files)


def test_a_third_judges_in_runs_of_neighbours(dataset_path: Path) -> None:
    pool, judges = parts_of(open_dataset(dataset_path), "tiny_unseen", None)
    assert not set(pool.ids) & set(judges.ids) and len(pool.ids) + len(judges.ids) == 24
    assert [i[-3:] for i in judges.ids] == ["004", "005", "006", "013", "014", "015", "022", "023", "024"]


def test_one_image_cannot_judge_itself(dataset_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seglab.bench.window_pool.unseen_images", lambda *_: ["Landslide001"])
    with pytest.raises(DatasetError, match="two are needed"):
        parts_of(open_dataset(dataset_path), "tiny", None)


def test_a_window_holds_its_objects_and_knows_where_nobody_knows(dataset_path: Path) -> None:
    (one,) = pool_windows(Ground(open_dataset(dataset_path), ("Landslide001",)), SIZE, 5)
    assert one.rgb.shape == (SIZE, SIZE, 3) and one.classes == (0, 0)
    for col, row, _ in BLOBS:
        assert one.masks[:, row, col].sum() == 1 and one.truth[row, col] == 1
    assert (one.truth[:, -UNKNOWN:] == IGNORE).all()
    assert not one.masks[:, :, -UNKNOWN:].any()


def test_windows_come_evenly_from_the_images_and_always_the_same(dataset_path: Path) -> None:
    ground = Ground(open_dataset(dataset_path), ("Landslide001", "Landslide002", "Landslide003"))
    found = pool_windows(ground, SIZE // 2, 6)
    assert sorted(one.image for one in found) == [0, 0, 1, 1, 2, 2]
    assert len({one.name for one in found}) == 6
    assert [one.name for one in found] == [one.name for one in pool_windows(ground, SIZE // 2, 6)]


def test_the_scale_is_the_coarsest_with_enough_windows() -> None:
    assert common_scale([(1024, 1024)] * LEAST_WINDOWS, 224) == 4
    assert common_scale([(1024, 1024)] * (LEAST_WINDOWS - 1), 224) == 2
    assert common_scale([(100, 100)], 224) == 1


def test_specks_are_unknown_not_background() -> None:
    truth = np.zeros((8, 8), np.uint8)
    truth[:4] = 2  # an object
    truth[7, 7] = 1  # a speck
    truth[7, 1] = IGNORE
    masks = (truth == 2)[None]
    one = PoolWindow("a", Window(0, 0, 8, 8), 0, np.zeros((8, 8, 3), np.uint8), truth, masks, (1,))
    assert clickable(one, 4).tolist() == [[2] * 4, [2] * 4, [0] * 4, [-1, 0, 0, -1]]
