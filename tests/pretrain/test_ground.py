"""Labelled ground: parts are numbered and described right, and come back from their files."""

from __future__ import annotations

import numpy as np
import pytest

from seglab.errors import PretrainError
from seglab.pretrain import ground as module
from seglab.pretrain.ground import (
    MIN_PART,
    PROCEDURAL,
    Ground,
    label_ground,
    load_ground,
    procedural_ground,
    save_ground,
)
from seglab.pretrain.scenes import scene
from tests.pretrain.made_ground import BUILDING, FIELD, GRASS, WATER, rectangles


@pytest.fixture
def made() -> Ground:
    """A field that a road of water parts into two, a house in the larger piece, and a speck."""
    return rectangles(
        (60, 80),
        (0, 0, 40, 50),
        (25, 0, 29, 60),
        (5, 10, 15, 16),
        (60, 3, 63, 6),
        classes=(FIELD, WATER, BUILDING, BUILDING),
        parents={3: 1},
        source="made up",
    )


def test_connected_pieces_of_objects_are_parts(made):
    table = made.table
    # The speck of nine pixels is no part.
    assert table.object_of.tolist() == [0, 1, 1, 2, 3]
    assert table.area.tolist() == [0, 25 * 50 - 60, 11 * 50, 4 * 60, 60]
    assert table.class_of.tolist() == [255, FIELD, FIELD, WATER, BUILDING]
    assert table.parent_of.tolist() == [0, 0, 0, 0, 1]
    assert table.box[1:].tolist() == [[0, 0, 25, 50], [29, 0, 40, 50], [25, 0, 29, 60], [5, 10, 15, 16]]
    assert np.bincount(made.parts.ravel())[1:].tolist() == table.area[1:].tolist()
    assert (made.parts[:50, 29:40] == 2).all() and (made.parts[10:16, 5:15] == 4).all()
    assert made.parts[4, 61] == 0 and made.semantic[4, 61] == BUILDING and made.semantic[59, 79] == GRASS


def test_objects_of_one_class_that_touch_stay_apart():
    made = rectangles((20, 40), (0, 0, 20, 20), (20, 0, 40, 20))
    assert sorted(made.table.object_of.tolist()) == [0, 1, 2]


def test_of_too_many_parts_the_largest_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MAX_PARTS", 4)
    made = rectangles((40, 40), (0, 0, 5, 5), (10, 0, 20, 10), (0, 20, 15, 35), (30, 0, 37, 7), (30, 30, 36, 36))
    assert made.table.area.tolist() == [0, 225, 100, 49]
    assert made.table.object_of.tolist() == [0, 3, 2, 4]
    assert made.parts.max() == 3 and made.parts[32, 32] == 0


def test_a_part_may_be_as_small_as_the_least_and_no_smaller():
    made = rectangles((20, 20), (0, 0, MIN_PART, 1), (0, 5, MIN_PART - 1, 6))
    assert made.table.object_of.tolist() == [0, 1]


def test_an_object_without_a_part_and_an_image_without_objects():
    empty = label_ground("made up", "0", np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.uint8), np.zeros((8, 9)))
    assert empty.parts.shape == (8, 9) and not empty.parts.any() and len(empty.table.area) == 1


def test_scenes_are_ground_with_all_their_objects():
    made, sample = procedural_ground(3, 96), scene(3, 96)
    assert (made.source, made.id) == (PROCEDURAL, "3")
    np.testing.assert_array_equal(made.rgb, sample.rgb)
    np.testing.assert_array_equal(made.semantic, sample.semantic)
    shown = made.parts > 0
    np.testing.assert_array_equal(made.table.object_of[made.parts[shown]], sample.instances[shown])
    expected = [sample.parents.get(int(owner), 0) for owner in made.table.object_of[1:]]
    assert made.table.parent_of[1:].tolist() == expected
    left_out = (sample.instances > 0) & ~shown
    assert left_out.sum() < 0.05 * shown.sum()


def test_files_give_back_what_was_written(tmp_path, made):
    smooth = np.indices(made.parts.shape).sum(0)[..., None].repeat(3, 2).astype(np.uint8) + np.uint8([0, 30, 60])
    made = Ground(made.source, "b 2", smooth, made.semantic, made.parts, made.table)
    save_ground(tmp_path, made)
    save_ground(tmp_path, rectangles((20, 30), (0, 0, 9, 9), source="made up", image_id="a"))
    first, back = load_ground(tmp_path)
    assert (first.id, back.id, back.source) == ("a", "b 2", "made up")
    # WebP loses a little; a swapped or shifted channel would be tens off.
    assert np.abs(back.rgb.astype(int) - smooth).mean() < 3 and back.rgb.dtype == np.uint8
    for name in ("semantic", "parts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name))
        assert getattr(back, name).dtype == getattr(made, name).dtype
    for name, values in vars(made.table).items():
        np.testing.assert_array_equal(getattr(back.table, name), values)


def test_sources_can_be_left_out(tmp_path):
    for source in ("a", "b", "c"):
        save_ground(tmp_path, rectangles((20, 30), (0, 0, 9, 9), source=source))
    assert [ground.source for ground in load_ground(tmp_path, ("b",))] == ["a", "c"]
    with pytest.raises(PretrainError, match="no prepared ground"):
        list(load_ground(tmp_path, ("a", "b", "c")))


def test_no_ground_is_refused(tmp_path):
    with pytest.raises(PretrainError, match="no prepared ground"):
        list(load_ground(tmp_path / "nowhere"))


@pytest.mark.parametrize("kept", [None, 0, 300])
@pytest.mark.parametrize("suffix", ["npz", "webp"])
def test_a_damaged_file_is_refused(tmp_path, suffix, kept):
    """Files with something else in them, empty files and files that were cut off."""
    save_ground(tmp_path, rectangles((40, 40), (0, 0, 9, 9), source="made up"))
    path = tmp_path / "made up" / f"0.{suffix}"
    path.write_bytes(b"nothing" if kept is None else path.read_bytes()[:kept])
    with pytest.raises(PretrainError, match="damaged"):
        list(load_ground(tmp_path))


def test_labels_without_their_image_are_refused(tmp_path):
    save_ground(tmp_path, rectangles((40, 40), (0, 0, 9, 9), source="made up"))
    (tmp_path / "made up" / "0.webp").unlink()
    with pytest.raises(PretrainError, match="damaged"):
        list(load_ground(tmp_path))
