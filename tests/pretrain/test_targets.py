"""What is asked for: the window's own part first, whole objects, classes, and examples of a class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seglab.pretrain.bank import Bank
from seglab.pretrain.ground import MAX_PARTS, Ground, label_ground
from seglab.pretrain.scenes import CLASSES, UNKNOWN
from seglab.pretrain.targets import BACKGROUND, MIN_AREA, Objects, choose_exemplars, choose_objects, token_cells
from seglab.pretrain.windows import View, Windows
from tests.pretrain.made_ground import BUILDING, FIELD, GRASS, WATER, rectangles, whole_views

SIZE = 64
Seen = tuple[Bank, Windows, View]


@pytest.fixture(scope="module")
def town() -> Ground:
    """A field with a house in it and a road across it, and two ponds."""
    return rectangles(
        (SIZE, SIZE),
        (0, 0, 40, 40),
        (4, 4, 12, 12),
        (20, 0, 24, 50),
        (50, 0, 60, 10),
        (44, 30, 64, 60),
        classes=(FIELD, BUILDING, CLASSES.index("road"), WATER, WATER),
        parents={2: 1},
    )


def part_at(ground: Ground, col: int, row: int) -> int:
    return int(ground.parts[row, col])


def drawn(seen: Seen, count: int, seed: int, classes: float = 0.0) -> Objects:
    return choose_objects(*seen, count, torch.Generator().manual_seed(seed), classes)


def test_the_windows_own_part_comes_first(town):
    """Alone, or as its whole object with what lies in it."""
    field, house, pond = part_at(town, 1, 1), part_at(town, 5, 5), part_at(town, 52, 2)
    seen = whole_views([town] * 3, [field, house, pond])
    owner = torch.from_numpy(town.table.object_of[town.parts].astype(np.int64))
    parts = torch.from_numpy(town.parts.astype(np.int64))
    alone = torch.stack([parts == field, parts == house, parts == pond])
    whole = torch.stack([(owner == 1) | (owner == 2), owner == 2, owner == 4])
    assert (alone[0] != whole[0]).any()
    count_whole, count_alone = 0, 0
    for seed in range(40):
        objects = drawn(seen, 4, seed)
        assert objects.masks.shape == (12, SIZE, SIZE) and (objects.weight == 1).all()
        assert objects.classes[::4].tolist() == [FIELD, BUILDING, WATER]
        first = objects.masks[::4]
        assert (first[1:] == alone[1:]).all()
        count_alone += bool((first[0] == alone[0]).all())
        count_whole += bool((first[0] == whole[0]).all())
    assert count_alone + count_whole == 40 and 3 < count_whole < 20


def test_no_object_comes_twice_while_there_are_others(town):
    seen = whole_views([town], [part_at(town, 5, 5)])
    view = seen[2]
    for seed in range(20):
        masks = drawn(seen, 5, seed).masks
        # A mask that means more than one part is told by its class and place; parts alone are all different.
        single = [mask for mask in masks if len(view.parts[0][mask].unique()) == 1]
        assert len(torch.stack(single).flatten(1).unique(dim=0)) == len(single)


def test_objects_are_drawn_by_their_extent():
    """Of two others, of 40 and 10 pixels across, the large one comes next four times in five."""
    made = rectangles((SIZE, SIZE), (0, 0, 40, 40), (50, 0, 60, 10), (50, 50, 60, 60))
    seen = whole_views([made], [3])
    second = [int(drawn(seen, 2, seed).masks[1].sum()) for seed in range(300)]
    assert set(second) == {1600, 100}
    assert second.count(1600) / 300 == pytest.approx(0.8, abs=0.08)


def test_all_of_a_class(town):
    seen = whole_views([town, town], [part_at(town, 52, 2), part_at(town, 1, 1)])
    objects = drawn(seen, 4, 0, classes=1.0)
    cover = torch.from_numpy(town.semantic)[None] == objects.classes[:, None, None]
    assert (objects.masks == cover).all()
    assert objects.masks[0].sum() == 10 * 10 + 20 * 30


def test_a_part_whose_class_is_unknown_is_not_asked_for_by_class():
    made = rectangles((SIZE, SIZE), (0, 0, 20, 20), (30, 30, 50, 50), classes=(UNKNOWN, UNKNOWN))
    seen = whole_views([made], [1])
    assert drawn(seen, 2, 0, classes=1.0).masks.sum((1, 2)).tolist() == [400, 400]


def test_a_view_with_few_objects_shows_them_again():
    made = rectangles((SIZE, SIZE), (0, 0, 20, 20), (30, 30, 60, 50))
    objects = drawn(whole_views([made], [2]), 5, 0)
    assert objects.masks.sum((1, 2)).tolist() == [400, 600, 400, 600, 400]
    assert objects.weight.tolist() == [1] * 5


@pytest.mark.parametrize("places", [(), ((0, 0, SIZE, SIZE),)])
def test_nothing_to_ask_for_has_no_weight(places):
    """An empty view, and one that a single object fills."""
    seen = whole_views([rectangles((SIZE, SIZE), *places)], [len(places)])
    objects = drawn(seen, 3, 0)
    assert objects.masks.shape == (3, SIZE, SIZE) and objects.weight.tolist() == [0] * 3


def test_parts_that_are_too_small_in_the_view_are_not_drawn():
    made = rectangles((SIZE, SIZE), (0, 0, 20, 20), (30, 30, 30 + MIN_AREA - 1, 31))
    assert len(made.table.area) == 3
    objects = drawn(whole_views([made], [2]), 2, 0)
    assert objects.masks.sum((1, 2)).tolist() == [400, 400] and objects.weight.tolist() == [1, 1]


def test_a_whole_object_that_fills_the_view_is_asked_for_in_part():
    """A field that a road parts, and all of it together would be nearly everything."""
    made = rectangles((SIZE, SIZE), (0, 0, 64, 64), (30, 0, 32, 64), classes=(FIELD, WATER))
    seen = whole_views([made], [1])
    for seed in range(20):
        assert drawn(seen, 1, seed).masks.sum() == 32 * 64


def exemplar_views(*grounds: Ground) -> Seen:
    return whole_views(list(grounds), [1] * len(grounds))


def flat(*places: tuple[int, int, int, int], classes: tuple[int, ...]) -> Ground:
    return rectangles((SIZE, SIZE), *places, classes=classes)


def test_examples_are_of_the_class_that_is_looked_for():
    first = flat((0, 0, 20, 20), (30, 0, 50, 20), (0, 40, 20, 60), (40, 40, 55, 60), classes=(WATER, FIELD, WATER, 255))
    second = flat((5, 5, 30, 30), (40, 40, 60, 60), (5, 40, 20, 60), classes=(BUILDING, BACKGROUND, FIELD))
    # Both views of a pair are of one image in training; here they differ, to tell them apart.
    seen = exemplar_views(first, second, second, first)
    view, sources, labels, several = seen[2], set(), set(), 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        found = choose_exemplars(view, drawn(seen, 4, seed), 3, generator)
        assert (found.weight == 1).all() and (found.known == (view.semantic != UNKNOWN)).all()
        for number in range(12):
            source, own = int(found.source_image[number]), number // 3
            assert source // 2 == own // 2
            label = view.semantic[source][found.source_mask[number]].unique().tolist()
            assert len(label) == 1 and label[0] not in (UNKNOWN, BACKGROUND)
            assert (found.target[number] == (view.semantic[own] == label[0])).all()
            sources.add(source == own)
            labels.add((source, label[0]))
            several += len(view.parts[source][found.source_mask[number]].unique()) > 1
    assert sources == {True, False}
    assert labels == {(i, kind) for i in (0, 3) for kind in (WATER, FIELD)} | {
        (i, kind) for i in (1, 2) for kind in (BUILDING, FIELD)
    }
    assert several > 5


def test_views_without_a_class_to_show_have_no_weight():
    nameless = flat((0, 0, 20, 20), (30, 0, 50, 20), classes=(UNKNOWN, BACKGROUND))
    empty = flat(classes=())
    seen = exemplar_views(nameless, nameless, empty, empty)
    found = choose_exemplars(seen[2], drawn(seen, 2, 0), 2, torch.Generator().manual_seed(0))
    assert found.weight.tolist() == [0] * 8


def test_a_class_that_is_everywhere_teaches_nothing():
    made = flat((0, 0, 30, 64), (30, 0, 64, 64), classes=(FIELD, FIELD))
    seen = exemplar_views(made, made)
    assert (seen[2].semantic == FIELD).all()
    found = choose_exemplars(seen[2], drawn(seen, 2, 0), 2, torch.Generator().manual_seed(0))
    assert found.weight.tolist() == [0] * 4


def test_a_view_that_is_mostly_unknown_teaches_no_class():
    made = flat((0, 0, 20, 20), (0, 20, 64, 64), (20, 0, 64, 20), classes=(WATER, UNKNOWN, UNKNOWN))
    seen = exemplar_views(made, made)
    found = choose_exemplars(seen[2], drawn(seen, 3, 0), 2, torch.Generator().manual_seed(0))
    assert found.weight.tolist() == [0] * 4


def test_a_cell_belongs_to_the_part_that_fills_it():
    parts = torch.zeros(1, 24, 24, dtype=torch.int64)
    parts[0, :8, :8] = 300
    parts[0, 8:16, 8:12] = 4
    parts[0, 16:, :5], parts[0, 16:, 5:8] = 7, 9
    cells = token_cells(parts, 8)[0]
    assert cells.tolist() == [[300, 0, 0], [0, MAX_PARTS, 0], [7, 0, 0]]


def test_the_smallest_object_of_many_parts_may_be_asked_for_as_a_whole():
    """Parts that were cut off by other things belong to it."""
    rgb, semantic = np.zeros((SIZE, SIZE, 3), np.uint8), np.full((SIZE, SIZE), GRASS, np.uint8)
    objects = np.zeros((SIZE, SIZE), np.int32)
    objects[:20, :20] = objects[40:60, 40:60] = 5
    made = label_ground("made up", "0", rgb, semantic, objects)
    seen = whole_views([made], [1])
    sizes = {int(drawn(seen, 1, seed).masks.sum()) for seed in range(30)}
    assert sizes == {400, 800}
