"""Pairs of a folder, and classes as training targets."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.datasets.pairs import PartlyLabelled, as_target, open_pairs, target_classes, with_unlabelled
from seglab.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((6, 8, 3), 90, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), np.array([[0, 2, 1, 255, 0, 0, 0, 0]] * 6, np.uint8))
    classes = {"0": "background", "1": "road", "2": "water"}
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": classes}), encoding="utf-8")
    return tmp_path


def test_a_folder_is_read_pair_by_pair(folder):
    dataset = open_pairs(folder)
    pair = dataset.read(1)
    assert (len(dataset), pair.id, pair.extra) == (2, "b", None)
    assert pair.rgb.shape == (6, 8, 3)
    assert pair.mask[0].tolist() == [0, 2, 1, 255, 0, 0, 0, 0]


def test_targets_are_the_classes_in_the_order_asked_for(folder):
    dataset = open_pairs(folder)
    assert target_classes(dataset) == {"road": 1, "water": 2}
    assert target_classes(dataset, ("water",)) == {"water": 2}
    with pytest.raises(DatasetError, match="no class 'lake'; its classes are background, road, water"):
        target_classes(dataset, ("lake",))


def test_other_classes_are_background_and_unknown_stays_unknown(folder):
    mask = open_pairs(folder).read(0).mask[:1]
    assert as_target(mask, {"water": 2, "road": 1}, ignore=-1).tolist() == [[0, 1, 2, -1, 0, 0, 0, 0]]
    assert as_target(mask, {"water": 2}, ignore=-1).tolist() == [[0, 1, 0, -1, 0, 0, 0, 0]]


def test_a_folder_without_a_layout_is_refused_with_the_layout(tmp_path):
    with pytest.raises(DatasetError, match=r"masks/NAME.png .* dataset.json"):
        open_pairs(tmp_path)
    with pytest.raises(DatasetError, match="there is no folder"):
        open_pairs(tmp_path / "nowhere")


def test_the_split_of_a_folder_is_kept(folder):
    card = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))

    def splitting(**split):
        (folder / "dataset.json").write_text(json.dumps(card | {"split": split}), encoding="utf-8")
        return open_pairs(folder)

    assert open_pairs(folder).parts is None
    assert splitting(train=["b"], val=["a"], test=[]).parts == ([1], [0])
    assert splitting(train=["a", "b"], val=[], test=[]).parts is None  # nobody has chosen what to validate on
    with pytest.raises(DatasetError, match="no image in 'val'"):
        assert splitting(train=["a"], val=[], test=["b"]).parts
    with pytest.raises(DatasetError, match=r"lacks the images \['c'\]"):
        splitting(train=["a", "b"], val=["c"])


def test_hidden_labels_are_unknown_and_the_image_stays(folder):
    pairs = open_pairs(folder)
    shown = PartlyLabelled(pairs, frozenset({1}))
    assert (shown.read(1).mask == 255).all()
    assert np.array_equal(shown.read(1).rgb, pairs.read(1).rgb)
    assert np.array_equal(shown.read(0).mask, pairs.read(0).mask)
    assert (len(shown), shown.classes, shown.name) == (len(pairs), pairs.classes, pairs.name)


def test_a_guess_stands_for_labels_and_is_brought_to_the_images_size(folder):
    pairs = open_pairs(folder)
    guess = np.array([[0, 2], [255, 0]], np.uint8)
    shown = PartlyLabelled(pairs, frozenset({0, 1}), {1: guess})
    rows, cols = pairs.read(1).mask.shape
    assert np.array_equal(shown.read(1).mask, guess.repeat(rows // 2, 0).repeat(cols // 2, 1))
    assert (shown.read(0).mask == 255).all()


def test_images_without_a_mask_are_unknown_where_that_is_wanted(folder):
    (folder / "masks" / "a.png").unlink()
    with pytest.raises(DatasetError, match="no readable mask"):
        open_pairs(folder).read(0)
    pairs, lacking = with_unlabelled(open_pairs(folder))
    assert (len(pairs), lacking) == (2, [0])
    assert (pairs.read(0).mask == 255).all()
    assert pairs.read(0).rgb.shape == (6, 8, 3)
    assert (pairs.read(1).mask == 2).any()
