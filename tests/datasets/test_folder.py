"""Reading labelled imagery, and what counts as an object in it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.datasets.folder import LabelledImage, data_root, objects_of, open_dataset, open_datasets
from seglab.datasets.splits import load_splits, split_ids
from seglab.errors import DatasetError


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    """Two images of 40 x 60 with two ponds each; the first has instances, the second has not."""
    folder = tmp_path / "ponds"
    for part in ("images", "masks", "instances"):
        (folder / part).mkdir(parents=True)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 5:15] = 1
    mask[20:32, 30:50] = 1
    mask[0, :] = 255
    for name in ("a", "b"):
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.dstack([mask * 90] * 3))
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    ids = np.where(mask == 1, 7, 0).astype(np.uint16)
    cv2.imwrite(str(folder / "instances" / "a.png"), ids)
    card = {"classes": {"0": "background", "1": "pond"}, "licence": "CC0", "attribution": "nobody"}
    (folder / "dataset.json").write_text(json.dumps(card))
    return folder


def test_reads_image_mask_and_instances(dataset_folder):
    dataset = open_datasets(dataset_folder.parent)["ponds"]
    image = dataset.read("a")
    assert image.rgb.shape == (40, 60, 3) and image.rgb.dtype == np.uint8
    assert set(np.unique(image.mask)) == {0, 1, 255}
    assert set(np.unique(image.instances)) == {0, 7}
    assert dataset.read("b").instances is None
    assert dataset.targets == (1,) and dataset.licence == "CC0"


def test_a_dataset_folder_itself_is_one_dataset_under_its_own_name(dataset_folder, monkeypatch):
    monkeypatch.chdir(dataset_folder)
    for given in (dataset_folder, "."):
        assert {name: d.name for name, d in open_datasets(given).items()} == {"ponds": "ponds"}


def test_objects_are_instances_or_else_components(dataset_folder):
    dataset = open_dataset(dataset_folder)
    whole = objects_of(dataset.read("a"), dataset.targets)
    assert [int(o.mask.sum()) for o in whole] == [100 + 240]
    parts = objects_of(dataset.read("b"), dataset.targets)
    assert sorted(int(o.mask.sum()) for o in parts) == [100, 240]
    assert {o.label for o in parts} == {1}
    assert len(objects_of(dataset.read("b"), dataset.targets, min_area=101)) == 1


def test_many_objects_are_cut_to_the_same_choice_every_time():
    mask = np.zeros((90, 90), np.uint8)
    for row in range(0, 90, 10):
        for col in range(0, 90, 10):
            mask[row : row + 8, col : col + 8] = 1
    image = LabelledImage("grid", "one", np.zeros((90, 90, 3), np.uint8), mask, None)
    first, again = objects_of(image, (1,)), objects_of(image, (1,))
    assert len(first) == 20
    assert all((a.mask == b.mask).all() for a, b in zip(first, again, strict=True))
    other = objects_of(image, (1,), seed=1)
    assert any((a.mask != b.mask).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda f: (f / "masks" / "a.png").unlink(), "masks/a.png"),
        (lambda f: cv2.imwrite(str(f / "masks" / "a.png"), np.zeros((3, 3), np.uint8)), "same size"),
        (lambda f: (f / "images" / "a.png").write_bytes(b"not an image"), "cannot read"),
    ],
)
def test_a_damaged_image_says_what_to_do(dataset_folder, spoil, word):
    dataset = open_dataset(dataset_folder)
    spoil(dataset_folder)
    with pytest.raises(DatasetError, match=word):
        dataset.read("a")


def test_a_folder_without_datasets_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="SEGLAB_DATA"):
        open_datasets(tmp_path)
    with pytest.raises(DatasetError, match=r"dataset\.json"):
        open_dataset(tmp_path)


def test_the_environment_names_the_data(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "absent"))
    assert data_root() is None


def test_no_image_is_in_both_parts_and_no_ground_either():
    splits = load_splits()
    assert len(splits) == 8
    for name, parts in splits.items():
        assert parts["train"] and parts["val"], name
        assert not set(parts["train"]) & set(parts["val"]), name

    def ground(name: str, part: str, key) -> set[str]:
        return {key(i) for i in splits[name][part]}

    mosaic = lambda i: i.split("_")[0]  # noqa: E731
    assert not ground("landcover_dubai", "train", mosaic) & ground("landcover_dubai", "val", mosaic)
    scene = lambda i: i.split("_")[-1]  # noqa: E731
    assert not ground("cloud_l8", "train", scene) & ground("cloud_l8", "val", scene)
    tiles = {p: [int(i.split("-")[1]) for i in splits["buildings_kampala"][p]] for p in ("train", "val")}
    assert min(tiles["train"]) - max(tiles["val"]) > 10
    twins = (
        {"hflipped_302", "hflipped_304"},
        {"Landslide010", "Landslide011"},
        {"Landslide014", "Landslide015"},
    )
    for pair in twins:
        assert any(pair <= set(parts[part]) for parts in splits.values() for part in parts)


def test_an_unlisted_dataset_has_no_split():
    with pytest.raises(DatasetError, match=r"splits\.json"):
        split_ids("somewhere_else", "train")


def test_the_split_covers_the_data_that_is_here():
    if data_root() is None:
        pytest.skip("no labelled data here: set SEGLAB_DATA")
    splits = load_splits()
    for name, dataset in open_datasets().items():
        assert set(splits[name]["train"]) | set(splits[name]["val"]) == set(dataset.files), name
