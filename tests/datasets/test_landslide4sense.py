"""Landslide4Sense's HDF5 layout, on small files made here."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from seglab.datasets import landslide4sense
from seglab.datasets.pairs import open_pairs
from seglab.errors import DatasetError, MissingPackageError


def write_patch(images: Path, masks: Path, number: int, bands: np.ndarray) -> None:
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    with h5py.File(images / f"image_{number}.h5", "w") as file:
        file["img"] = bands
    with h5py.File(masks / f"mask_{number}.h5", "w") as file:
        file["mask"] = (bands[..., 3] > 2).astype(np.uint8)


def patch(value: float = 1.0) -> np.ndarray:
    """(8, 8, 14): band b (1-based) holds value * b / 10, and its top left pixel is more than full scale."""
    bands = np.full((8, 8, 14), value) * np.arange(1, 15) / 10
    bands[0, 0] = 12
    return bands


@pytest.mark.parametrize(
    ("images", "masks"), [("TrainData/img", "TrainData/mask"), ("img", "mask"), ("images/train", "annotations/train")]
)
def test_each_layout_is_found_and_ordered_by_number(tmp_path, images, masks):
    for number in (10, 9, 2):
        write_patch(tmp_path / images, tmp_path / masks, number, patch())
    dataset = open_pairs(tmp_path)
    assert [dataset.read(i).id for i in range(len(dataset))] == ["image_2", "image_9", "image_10"]
    assert dataset.classes == {0: "background", 1: "landslide"}


def test_colours_are_bands_4_3_2_over_ten(tmp_path):
    write_patch(tmp_path / "img", tmp_path / "mask", 1, patch(10.0))
    pair = open_pairs(tmp_path).read(0)
    assert pair.rgb.dtype == np.uint8
    # band 4 is 4.0 of 10: 4 / 10 * 255 = 102
    assert pair.rgb[5, 5].tolist() == [102, 76, 51]
    assert pair.rgb[0, 0].tolist() == [255, 255, 255]  # 12 of 10 is cut off: wrapped round it would be 50


def test_the_other_eleven_bands_come_along(tmp_path):
    write_patch(tmp_path / "img", tmp_path / "mask", 1, patch())
    dataset = open_pairs(tmp_path)
    pair = dataset.read(0)
    assert dataset.bands == (4, 3, 2)
    assert dataset.extra_bands == (1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
    np.testing.assert_allclose(pair.extra[:, 3, 3], np.array(dataset.extra_bands) / 10, rtol=1e-6)
    assert pair.mask.tolist()[0] == [1] + [0] * 7


def test_values_that_are_no_numbers_become_0(tmp_path):
    bands = patch()
    bands[4, 4] = np.nan
    write_patch(tmp_path / "img", tmp_path / "mask", 1, bands)
    pair = open_pairs(tmp_path).read(0)
    assert pair.rgb[4, 4].tolist() == [0, 0, 0]
    assert np.isfinite(pair.extra).all()


def test_an_image_without_a_mask_is_refused(tmp_path):
    write_patch(tmp_path / "img", tmp_path / "mask", 1, patch())
    (tmp_path / "mask" / "mask_1.h5").rename(tmp_path / "mask" / "mask_2.h5")
    with pytest.raises(DatasetError, match=r"no mask for 'image_1\.h5'"):
        open_pairs(tmp_path)


def test_a_damaged_or_misshapen_file_is_refused(tmp_path):
    write_patch(tmp_path / "img", tmp_path / "mask", 1, patch()[..., :13])
    with pytest.raises(DatasetError, match="14"):
        open_pairs(tmp_path).read(0)
    (tmp_path / "img" / "image_1.h5").write_bytes(b"cut off")
    with pytest.raises(DatasetError, match="cannot read 'img'"):
        open_pairs(tmp_path).read(0)


def test_without_h5py_the_message_says_what_to_install(tmp_path, monkeypatch):
    write_patch(tmp_path / "img", tmp_path / "mask", 1, patch())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackageError, match=r"seglab\[hdf5\]"):
        landslide4sense.find(tmp_path).read(0)
