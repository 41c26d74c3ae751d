"""Labelled folders become ground: the split decides where, classes get their shared names."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from seglab.errors import DatasetError
from seglab.pretrain import prepare
from seglab.pretrain.ground import Ground, load_ground
from seglab.pretrain.prepare import prepare_ground
from seglab.pretrain.scenes import CLASSES, UNKNOWN

FOREST, WATER = CLASSES.index("forest"), CLASSES.index("water")
SPLIT = {"train": ["a", "b"], "val": ["c"]}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images of forest (class 0), two lakes, something that has no shared class, and an unknown strip."""
    folder = tmp_path / "data" / "lakes"
    for part in ("images", "masks", "instances"):
        (folder / part).mkdir(parents=True)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 5:15] = 1
    mask[20:32, 30:50] = 1
    mask[34:40, :20] = 2
    mask[0, :] = 255
    for name in "abc":
        cv2.imwrite(str(folder / "images" / f"{name}.png"), np.dstack([mask.clip(0, 2) * 90] * 3))
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    ids = np.zeros((40, 60), np.uint16)
    ids[20:32, 30:40], ids[20:32, 40:50] = 7, 9
    cv2.imwrite(str(folder / "instances" / "b.png"), ids)
    card = {"classes": {"0": "forest", "1": "water", "2": "something"}}
    (folder / "dataset.json").write_text(json.dumps(card))
    monkeypatch.setattr(prepare, "split_ids", lambda dataset, part: SPLIT[part] if dataset == "lakes" else [])
    return folder.parent


@pytest.fixture
def prepared(root: Path, tmp_path: Path) -> dict[str, Ground]:
    assert prepare_ground(tmp_path / "ground", str(root)) == 3
    return {ground.id: ground for ground in load_ground(tmp_path / "ground" / "train")}


def test_the_split_decides_the_folder(prepared, tmp_path):
    assert sorted(prepared) == ["a", "b"] and prepared["a"].source == "lakes"
    assert [ground.id for ground in load_ground(tmp_path / "ground" / "val")] == ["c"]


def test_classes_are_objects_of_many_parts_class_0_too(prepared):
    made = prepared["a"]
    table = made.table
    assert table.class_of.tolist() == [UNKNOWN, FOREST, WATER, UNKNOWN, WATER]
    forest, lake, something, pond = table.object_of[1:].tolist()
    assert lake == pond and len({0, forest, lake, something}) == 4
    assert table.area.tolist()[2:] == [240, 120, 100]
    assert made.parts[10, 30] == 1 and (made.parts[0] == 0).all()
    assert (made.semantic[0] == UNKNOWN).all() and (made.semantic[36, :20] == UNKNOWN).all()
    assert made.semantic[10, 30] == FOREST and made.semantic[10, 10] == WATER


def test_instances_come_before_classes(prepared):
    made = prepared["b"]
    assert sorted(made.table.object_of.tolist()) == [0, 7, 9]
    assert made.table.class_of.tolist() == [UNKNOWN, WATER, WATER]
    assert (made.parts > 0).sum() == 240


def test_an_instance_map_without_instances_says_nothing(root, tmp_path):
    cv2.imwrite(str(root / "lakes" / "instances" / "a.png"), np.zeros((40, 60), np.uint16))
    prepare_ground(tmp_path / "again", str(root))
    made = next(load_ground(tmp_path / "again" / "train"))
    assert made.id == "a" and WATER in made.table.class_of


def test_ground_appears_only_when_it_is_complete(root, tmp_path):
    image = root / "lakes" / "images" / "c.png"
    kept = image.read_bytes()
    image.unlink()
    with pytest.raises(DatasetError):
        prepare_ground(tmp_path / "ground", str(root))
    assert not (tmp_path / "ground").exists()
    # What an earlier attempt left behind is not taken for ground of this one.
    (tmp_path / "ground.partial" / "train" / "gone").mkdir(parents=True)
    image.write_bytes(kept)
    assert prepare_ground(tmp_path / "ground", str(root)) == 3
    assert [path.name for path in tmp_path.glob("ground*")] == ["ground"]
    assert [path.name for path in (tmp_path / "ground" / "train").iterdir()] == ["lakes"]


def test_every_shared_class_name_is_a_class():
    assert set(prepare.CLASS_OF.values()) <= set(CLASSES)
