"""Held-out ground is chosen fairly, once, and leaves enough to learn from."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.training.blocks import LARGEST_SHARE, MINIMUM_HELD_OUT, MINIMUM_LABELLED, SHARE, choose_blocks
from seglab.training.plan import Labels, TrainingObject, plan

SIDE = 100


def scattered(count: int, rows: int, cols: int, seed: int = 0, size: float = 16) -> dict[int, shapely.Geometry]:
    """Squares in a scene, by id."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((0, 0), (cols - size, rows - size), (count, 2))
    return {i: shapely.box(x, y, x + size, y + size) for i, (x, y) in enumerate(places, start=1)}


def held(ground: shapely.Geometry, objects: dict[int, shapely.Geometry]) -> set[int]:
    return {i for i, outline in objects.items() if ground.intersects(outline)}


scenes = st.tuples(
    st.integers(MINIMUM_LABELLED, 60), st.integers(350, 1500), st.integers(350, 1500), st.integers(0, 10**6)
)


@given(scenes)
@settings(max_examples=40, deadline=None)
def test_whole_blocks_about_a_fifth_and_most_objects_still_trainable(scene) -> None:
    count, rows, cols, seed = scene
    objects = scattered(count, rows, cols, seed)
    ground = choose_blocks((rows, cols), SIDE, objects, (), seed)
    if ground is None:
        return
    blocks = [
        shapely.box(c, r, min(c + SIDE, cols), min(r + SIDE, rows))
        for r in range(0, rows, SIDE)
        for c in range(0, cols, SIDE)
    ]
    shares = [block.intersection(ground).area / block.area for block in blocks]
    assert set(np.round(shares, 9)) <= {0.0, 1.0}  # a block is held out or it is not
    outside = held(ground, objects)
    assert 0 < len(outside) <= LARGEST_SHARE * count
    # and training has windows: the plan moves them off the ground, and never onto it
    labels = Labels(
        ("water",),
        tuple(
            TrainingObject(0, outline, Prompts(), centred(outline, rows, cols))
            for i, outline in objects.items()
            if i not in outside
        ),
        excluded=(ground,),
    )
    found = plan(labels, SIDE, (rows, cols), 1000)
    assert all(window.polygon.intersection(ground).area == 0 for window, _ in found.places)
    assert found.places


def centred(outline: shapely.Geometry, rows: int, cols: int) -> Window:
    """The window around an object."""
    left = int(np.clip(outline.centroid.x - SIDE / 2, 0, cols - SIDE))
    top = int(np.clip(outline.centroid.y - SIDE / 2, 0, rows - SIDE))
    return Window(left, top, SIDE, SIDE)


@pytest.mark.parametrize("count", [40, 200])
def test_shares_in_a_scene_with_room(count: int) -> None:
    objects = scattered(count, 2000, 2000)
    ground = choose_blocks((2000, 2000), SIDE, objects, ())
    assert len(held(ground, objects)) / count == pytest.approx(SHARE, abs=0.06)
    assert ground.area / 2000**2 == pytest.approx(SHARE, abs=0.06)


def test_the_same_seed_gives_the_same_ground_in_any_order() -> None:
    objects = scattered(40, 1000, 1000)
    shuffled = {i: objects[i] for i in np.random.default_rng(1).permutation(list(objects)).tolist()}
    first = choose_blocks((1000, 1000), SIDE, objects, (), seed=3)
    assert choose_blocks((1000, 1000), SIDE, shuffled, (), seed=3).equals(first)
    others = [choose_blocks((1000, 1000), SIDE, objects, (), seed=seed) for seed in range(4, 8)]
    assert any(not other.equals(first) for other in others)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_what_rounds_have_trained_on_is_left_to_them(seed: int) -> None:
    """The left half of the scene is trained on; the right half can judge."""
    objects = scattered(60, 1000, 1000, seed)
    trained = {i for i, outline in objects.items() if outline.bounds[0] < 500}
    ground = choose_blocks((1000, 1000), SIDE, objects, trained, seed)
    judges = held(ground, objects) - trained
    assert len(judges) >= MINIMUM_HELD_OUT
    assert len(held(ground, objects) & trained) <= len(judges) / 4


def test_all_in_one_place_holds_nothing_out() -> None:
    assert choose_blocks((90, 90), SIDE, scattered(20, 90, 90), ()) is None
    assert choose_blocks((1000, 1000), SIDE, scattered(20, 90, 90), ()) is None
    assert choose_blocks((1000, 1000), SIDE, {}, ()) is None


def test_an_object_on_the_edge_of_a_block_counts_as_on_it() -> None:
    """Objects are parted by whether they touch the ground, so the choice has to count alike."""
    objects = scattered(30, 1000, 1000) | {99: shapely.box(80, 40, 100, 60)}
    for seed in range(30):
        ground = choose_blocks((1000, 1000), SIDE, objects, (), seed)
        assert len(held(ground, objects)) <= LARGEST_SHARE * len(objects)


def test_a_very_large_scene_takes_no_longer_list_than_needed() -> None:
    objects = scattered(30, 3000, 3000)
    ground = choose_blocks((100_000, 100_000), SIDE, objects, ())
    assert len(ground.geoms) <= 500
    assert shapely.box(0, 0, 20_000, 20_000).covers(ground)
