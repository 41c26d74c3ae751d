"""Blocks tile a scene, windows cover every block, and both depend on nothing but the scene's size."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.inference.lattice import Lattice

lattices = st.builds(
    Lattice,
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.sampled_from([16, 64]),
    st.integers(1, 3),
    st.floats(0, 0.6),
    st.integers(1, 150),
)


@settings(max_examples=60, deadline=None)
@given(lattices)
def test_every_pixel_is_in_one_block_and_every_cell_of_it_in_a_window(lattice: Lattice) -> None:
    seen = np.zeros(lattice.shape, dtype=int)
    for block in lattice.blocks():
        seen[block.pixels.slices] += 1
        covered = np.zeros(lattice.cells, dtype=bool)
        for place in lattice.places(block):
            covered[place.cells.clip(lattice.cells).slices] = True
        assert covered[block.cells.slices].all()
    assert (seen == 1).all()


@settings(max_examples=60, deadline=None)
@given(lattices)
def test_a_window_is_shared_if_several_blocks_need_it(lattice: Lattice) -> None:
    users: dict[tuple[int, int], int] = {}
    shared: dict[tuple[int, int], bool] = {}
    for block in lattice.blocks():
        for place in lattice.places(block):
            users[place.row, place.col] = users.get((place.row, place.col), 0) + 1
            shared[place.row, place.col] = place.shared
    assert {key: count > 1 for key, count in users.items()} == shared


def test_blocks_of_the_models_lie_on_the_tiles_of_files() -> None:
    tiny, vit_b = Lattice((20_000, 20_000), 224), Lattice((20_000, 20_000), 1024)
    assert (tiny.step, tiny.side) == (192, 1536)
    assert (vit_b.step, vit_b.side) == (896, 3584)
    assert tiny.block(1, 2).pixels.slices == (slice(1536, 3072), slice(3072, 4608))
