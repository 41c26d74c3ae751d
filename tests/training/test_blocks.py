"""Held-out ground is chosen fairly, once, and leaves enough to learn from."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.training import blocks
from seglab.training.blocks import (
    KEPT,
    LARGEST_SHARE,
    LEAST_KEPT,
    MINIMUM_HELD_OUT,
    MINIMUM_LABELLED,
    SHARE,
    choose_blocks,
)
from seglab.training.plan import Labels, TrainingObject, plan

SIDE = 100


def scattered(count: int, rows: int, cols: int, seed: int = 0, size: float = 16) -> dict[int, shapely.Geometry]:
    """Squares in a scene, by id."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((0, 0), (cols - size, rows - size), (count, 2))
    return {i: shapely.box(x, y, x + size, y + size) for i, (x, y) in enumerate(places, start=1)}


def held(ground: shapely.Geometry, objects: dict[int, shapely.Geometry]) -> set[int]:
    return {i for i, outline in objects.items() if ground.intersects(outline)}


def windows_of(objects: dict[int, shapely.Geometry], rows: int, cols: int, scale: int = 1) -> dict[int, Window]:
    """The window around each object."""
    side, found = SIDE * scale, {}
    for number, outline in objects.items():
        left = int(np.clip(outline.centroid.x - side / 2, 0, max(0, cols - side)))
        top = int(np.clip(outline.centroid.y - side / 2, 0, max(0, rows - side)))
        found[number] = Window(left, top, side, side, scale)
    return found


def chosen(shape: tuple[int, int], objects: dict[int, shapely.Geometry], trained=(), seed: int = 0):
    """The ground for objects that were all accepted at the map's scale."""
    return choose_blocks(shape, SIDE, objects, windows_of(objects, *shape), trained, seed)


def left_to_train(
    ground: shapely.Geometry, objects: dict[int, shapely.Geometry], windows: dict[int, Window], shape: tuple[int, int]
) -> dict[int, tuple[int, int, int]]:
    """(all, not held out, shown by the plan) objects by scale; no window of the plan overlaps the ground."""
    outside = held(ground, objects)
    training = [i for i in objects if i not in outside]
    made = tuple(TrainingObject(0, objects[i], Prompts(), windows[i]) for i in training)
    found = plan(Labels(("water",), made, excluded=(ground,)), SIDE, shape, 10**6, False)
    assert all(window.polygon.intersection(ground).area == 0 for window, _ in found.places)
    shown = {training[n] for indices in found.objects.values() for n in indices}
    assert len(shown) == len(training) - found.left_out
    scales = {i: windows[i].scale for i in objects}
    return {
        scale: tuple(sum(scales[i] == scale for i in some) for some in (objects, training, shown))
        for scale in sorted(set(scales.values()))
    }


@pytest.mark.parametrize("size", [8, 30, 60])
def test_whole_blocks_about_a_fifth_and_most_objects_still_trainable(size: float) -> None:
    given_up = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(MINIMUM_LABELLED, 60))
        rows, cols = (int(v) for v in rng.integers(500, 1500, 2))
        objects = scattered(count, rows, cols, seed, size)
        ground = chosen((rows, cols), objects, seed=seed)
        if ground is None:
            given_up += 1
            continue
        squares = [
            shapely.box(c, r, min(c + SIDE, cols), min(r + SIDE, rows))
            for r in range(0, rows, SIDE)
            for c in range(0, cols, SIDE)
        ]
        shares = [block.intersection(ground).area / block.area for block in squares]
        assert set(np.round(shares, 9)) <= {0.0, 1.0}  # a block is held out or it is not
        ((count, training, shown),) = left_to_train(
            ground, objects, windows_of(objects, rows, cols), (rows, cols)
        ).values()
        assert (1 - LARGEST_SHARE) * count <= training < count
        assert shown >= KEPT * training
    assert given_up == 0


FINE, COARSE, COARSER = (1, 20), (4, 120), (8, 200)
"""Scale and size of objects."""
MIXES = {
    "many fine": (2700, {FINE: 60, COARSE: 15}),
    "many coarse": (2700, {FINE: 15, COARSE: 45}),
    "three scales": (2700, {FINE: 40, COARSE: 12, COARSER: 6}),
    "one coarse": (2700, {FINE: 40, COARSE: 1}),
    "little room": (1200, {FINE: 40, COARSER: 6}),
}


def mixed(extent: int, mix: dict, seed: int) -> tuple[dict[int, shapely.Geometry], dict[int, Window]]:
    """Objects of several scales, and their windows."""
    objects: dict[int, shapely.Geometry] = {}
    windows: dict[int, Window] = {}
    for (scale, size), count in mix.items():
        some = scattered(count, extent, extent, 10 * seed + scale, size)
        more = {len(objects) + number: outline for number, outline in some.items()}
        objects |= more
        windows |= windows_of(more, extent, extent, scale)
    return objects, windows


@pytest.mark.parametrize(("extent", "mix"), MIXES.values(), ids=list(MIXES))
def test_at_every_scale_most_objects_stay_trainable(extent: int, mix: dict) -> None:
    """Windows of coarse scales are four and eight blocks wide: scattered blocks would leave them no room."""
    for seed in range(8):
        objects, windows = mixed(extent, mix, seed)
        ground = choose_blocks((extent, extent), SIDE, objects, windows, (), seed)
        assert ground is not None  # never given up
        assert len(held(ground, objects)) >= MINIMUM_HELD_OUT
        for count, training, shown in left_to_train(ground, objects, windows, (extent, extent)).values():
            assert shown >= LEAST_KEPT * count
            assert shown >= KEPT * training


def test_coarse_windows_are_judged_in_several_places() -> None:
    """Blocks as large as the coarse windows, scattered: one region would say less about the scene."""
    for seed in range(5):
        objects, windows = mixed(2700, MIXES["many coarse"][1], seed)
        ground = choose_blocks((2700, 2700), SIDE, objects, windows, (), seed)
        assert ground.convex_hull.area > 1.6 * ground.area


def test_where_no_choice_keeps_enough_the_one_that_keeps_most_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "KEPT", 1.01)
    for seed in range(3):
        objects, windows = mixed(1200, MIXES["little room"][1], seed)
        ground = choose_blocks((1200, 1200), SIDE, objects, windows, (), seed)
        for _, training, shown in left_to_train(ground, objects, windows, (1200, 1200)).values():
            assert shown == training


def test_windows_as_large_as_the_scene_leave_nothing_to_hold_out() -> None:
    objects = scattered(30, 800, 800)
    assert choose_blocks((800, 800), SIDE, objects, windows_of(objects, 800, 800, 8), ()) is None
    assert choose_blocks((800, 800), SIDE, objects, windows_of(objects, 800, 800), ()) is not None


@pytest.mark.parametrize("count", [40, 200])
def test_shares_in_a_scene_with_room(count: int) -> None:
    objects = scattered(count, 2000, 2000)
    ground = chosen((2000, 2000), objects)
    assert len(held(ground, objects)) / count == pytest.approx(SHARE, abs=0.06)
    assert ground.area / 2000**2 == pytest.approx(SHARE, abs=0.06)


def test_the_same_seed_gives_the_same_ground_in_any_order() -> None:
    objects = scattered(40, 1000, 1000)
    shuffled = {i: objects[i] for i in np.random.default_rng(1).permutation(list(objects)).tolist()}
    first = chosen((1000, 1000), objects, seed=3)
    assert chosen((1000, 1000), shuffled, seed=3).equals(first)
    others = [chosen((1000, 1000), objects, seed=seed) for seed in range(4, 8)]
    assert any(not other.equals(first) for other in others)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_what_rounds_have_trained_on_is_left_to_them(seed: int) -> None:
    """The left half of the scene is trained on; the right half can judge."""
    objects = scattered(60, 1000, 1000, seed)
    trained = {i for i, outline in objects.items() if outline.bounds[0] < 500}
    ground = chosen((1000, 1000), objects, trained, seed)
    judges = held(ground, objects) - trained
    assert len(judges) >= MINIMUM_HELD_OUT
    assert len(held(ground, objects) & trained) <= len(judges) / 4


def test_all_in_one_place_holds_nothing_out() -> None:
    assert chosen((90, 90), scattered(20, 90, 90)) is None
    assert chosen((1000, 1000), scattered(20, 90, 90)) is None
    assert chosen((1000, 1000), {}) is None


def test_an_object_on_the_edge_of_a_block_counts_as_on_it() -> None:
    """Objects are parted by whether they touch the ground, so the choice has to count alike."""
    objects = scattered(30, 1000, 1000) | {99: shapely.box(80, 40, 100, 60)}
    for seed in range(30):
        ground = chosen((1000, 1000), objects, seed=seed)
        assert len(held(ground, objects)) <= LARGEST_SHARE * len(objects)


def test_a_very_large_scene_takes_no_longer_list_than_needed() -> None:
    objects = scattered(30, 3000, 3000)
    ground = chosen((100_000, 100_000), objects)
    assert len(ground.geoms) <= 500
    assert shapely.box(0, 0, 20_000, 20_000).covers(ground)
