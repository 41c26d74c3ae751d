"""KTDA's folders, on small images made here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from seglab.datasets.pairs import open_pairs, target_classes
from seglab.errors import DatasetError

MASK = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [4, 4, 0, 9]], np.uint8)


def make(root: Path, suffix: str, parts: dict[str, tuple[str, ...]]) -> Path:
    for part, names in parts.items():
        for kind in ("img_dir", "ann_dir"):
            (root / kind / part).mkdir(parents=True)
        for name in names:
            assert cv2.imwrite(
                str(root / "img_dir" / part / f"{name}{suffix}"), np.full((3, 4, 3), (10, 20, 30), np.uint8)
            )
            mask = Image.fromarray(MASK, mode="P")
            mask.putpalette([185, 101, 71, 248, 202, 155, 211, 232, 158, 138, 191, 104, 92, 144, 77])
            mask.save(root / "ann_dir" / part / f"{name}.png")
    return root


@pytest.fixture
def grass(tmp_path: Path) -> Path:
    return make(tmp_path / "data", ".tif", {"train": ("0", "1"), "val": ("9",)})


def test_palette_masks_are_class_indexes(grass):
    pairs = open_pairs(grass)
    assert (pairs.name, len(pairs), pairs.parts) == ("grass", 3, ((0, 1), (2,)))
    last = pairs.read(2)
    assert last.id == "val/9"
    assert last.rgb[0, 0].tolist() == [30, 20, 10]
    assert last.mask.tolist() == [[0, 1, 2, 3], [3, 2, 1, 0], [4, 4, 0, 255]]
    assert list(target_classes(pairs)) == ["low", "middle-low", "middle", "middle-high", "high"]


def test_clouds_have_four_classes_of_which_clear_is_the_background(tmp_path):
    pairs = open_pairs(make(tmp_path, ".png", {"train": ("a",), "val": ("b",), "test": ("c",)}))
    assert (pairs.name, len(pairs)) == ("l8_biome", 2)
    assert target_classes(pairs) == {"cloud shadow": 1, "thin cloud": 2, "cloud": 3}
    assert pairs.read(0).mask[2].tolist() == [255, 255, 0, 255]


def test_what_is_incomplete_or_mixed_is_refused(grass):
    (grass / "ann_dir" / "train" / "1.png").unlink()
    with pytest.raises(DatasetError, match="unpack the dataset completely"):
        open_pairs(grass).read(1)
    (grass / "img_dir" / "val" / "9.tif").rename(grass / "img_dir" / "val" / "9.jpg")
    with pytest.raises(DatasetError, match=r"those of grass are all \.tif"):
        open_pairs(grass)
