"""Bijie's folders, on small images made here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.datasets.pairs import open_pairs
from seglab.errors import DatasetError


@pytest.fixture
def bijie(tmp_path: Path) -> Path:
    """Two landslides (masks with 255 and with 1) and one image without."""
    rng = np.random.default_rng(3)
    root = tmp_path / "Bijie-landslide-dataset"
    for kind, names in {"landslide": ("df001", "df002"), "non-landslide": ("no001",)}.items():
        for part in ("image", "dem", "mask") if kind == "landslide" else ("image", "dem"):
            (root / kind / part).mkdir(parents=True)
        for name in names:
            write(root / kind / "image" / f"{name}.png", rng.integers(0, 255, (10, 14, 3), np.uint8))
            write(root / kind / "dem" / f"{name}.png", np.full((10, 14), 40, np.uint8))
    mask = np.zeros((10, 14), np.uint8)
    mask[2:5, 3:9] = 1
    write(root / "landslide" / "mask" / "df001.png", mask * 255)
    write(root / "landslide" / "mask" / "df002.png", mask)
    return root


def write(path: Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image)


def test_the_published_part_is_the_landslides(bijie):
    dataset = open_pairs(bijie.parent)
    pairs = [dataset.read(i) for i in range(len(dataset))]
    assert [p.id for p in pairs] == ["landslide/df001", "landslide/df002"]
    assert [int(p.mask.sum()) for p in pairs] == [18, 18]
    assert pairs[0].rgb.shape == (10, 14, 3)
    assert dataset.extra_bands == (4,)
    assert pairs[0].extra.shape == (1, 10, 14)
    assert (pairs[0].extra == 40).all()


def test_images_without_a_landslide_have_an_empty_mask(bijie):
    dataset = open_pairs(bijie, non_landslide=True)
    last = dataset.read(2)
    assert (len(dataset), last.id) == (3, "non-landslide/no001")
    assert not last.mask.any()


def test_a_copy_without_elevation_has_no_extra_band(bijie):
    for path in (bijie / "landslide" / "dem").iterdir():
        path.unlink()
    (bijie / "landslide" / "dem").rmdir()
    dataset = open_pairs(bijie)
    assert dataset.extra_bands == ()
    assert dataset.read(0).extra is None


def test_missing_and_misfitting_files_are_refused(bijie):
    write(bijie / "landslide" / "mask" / "df001.png", np.zeros((9, 14), np.uint8))
    (bijie / "landslide" / "mask" / "df002.png").unlink()
    dataset = open_pairs(bijie)
    with pytest.raises(DatasetError, match="give them one size"):
        dataset.read(0)
    with pytest.raises(DatasetError, match="has no 'df002'"):
        dataset.read(1)


def test_an_incomplete_archive_is_refused(tmp_path):
    (tmp_path / "landslide" / "image").mkdir(parents=True)
    with pytest.raises(DatasetError, match="non-landslide"):
        open_pairs(tmp_path, non_landslide=True)
    with pytest.raises(DatasetError, match="holds no image"):
        open_pairs(tmp_path)
