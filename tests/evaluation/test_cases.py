"""Windows around objects: fine where they are small, coarser where they are large, never beyond the image."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.datasets.folder import FolderDataset, open_dataset
from seglab.evaluation.cases import extent, window_cases


@pytest.fixture
def dataset(tmp_path: Path) -> FolderDataset:
    """One image of 300 x 400: a pond of 20 x 30 near the lower right corner, a lake of 200 x 60, a speck."""
    for part in ("images", "masks"):
        (tmp_path / "ponds" / part).mkdir(parents=True)
    mask = np.zeros((300, 400), np.uint8)
    mask[270:290, 365:395] = 1
    mask[20:220, 30:90] = 1
    mask[5:9, 200:204] = 1
    cv2.imwrite(str(tmp_path / "ponds" / "masks" / "a.png"), mask)
    cv2.imwrite(str(tmp_path / "ponds" / "images" / "a.png"), np.dstack([mask * 200] * 3))
    (tmp_path / "ponds" / "dataset.json").write_text(json.dumps({"classes": {"0": "background", "1": "pond"}}))
    return open_dataset(tmp_path / "ponds")


def test_each_object_has_a_window_of_its_own(dataset):
    cases = list(window_cases(dataset, ["a"], 100, 20))
    assert [(c.dataset, c.group, c.rgb.shape, c.masks.shape) for c in cases] == [
        ("ponds", "a", (100, 100, 3), (1, 100, 100))
    ] * 2
    areas = sorted(int(c.masks.sum()) for c in cases)
    # The pond in full detail; the lake in a window three times as coarse: 300 px, all that the image's height allows.
    assert areas[0] == 20 * 30
    assert areas[1] == pytest.approx(200 * 60 / 9, rel=0.05)


def test_the_object_is_whole_and_the_picture_belongs_to_it(dataset):
    for case in window_cases(dataset, ["a"], 100, 20):
        left, top, right, bottom = extent(case.masks[0])
        assert max(right - left, bottom - top) <= 70
        # Objects are bright in the picture, and no other object reaches into these windows by more than a little.
        assert case.rgb[case.masks[0]].mean() > 180 and case.rgb[~case.masks[0]].mean() < 20


def test_no_more_objects_than_asked_for(dataset):
    assert len(list(window_cases(dataset, ["a"], 100, 1))) == 1


def test_extent_ends_after_the_last_pixel():
    mask = np.zeros((9, 9), bool)
    mask[2:4, 5:8] = True
    assert extent(mask) == (5, 2, 8, 4)
