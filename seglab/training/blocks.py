"""Which ground of a scene is held out: whole blocks, that no training window may overlap, chosen once per project."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

MINIMUM_LABELLED = 16
"""Objects that a project has before ground is held out: fewer are all needed to learn from."""
MINIMUM_HELD_OUT = 5
"""Objects without which a round is not judged: an interval over fewer says nothing."""
SHARE = 0.2
"""Of the scene's blocks, and of the objects, that is held out."""
LARGEST_SHARE = 0.4
"""Of the objects, that may be held out where blocks cannot be had smaller."""
TRIES = 64
"""Draws, of which the best is taken."""
MOST_EMPTY = 400
"""Blocks without an object that are held out, at most: for objects that are labelled later."""
PLACES = 5
"""Places per axis that are tried for a window that shows an object and no held-out ground."""


def choose_blocks(
    shape: tuple[int, int],
    side: int,
    objects: Mapping[int, BaseGeometry],
    trained: Collection[int],
    seed: int = 0,
) -> MultiPolygon | None:
    """Ground to judge rounds on: about a fifth of the scene's blocks, with about a fifth of the objects.

    Blocks are squares of a lattice. Those whose objects no round has trained on come first, for the others can judge
    nothing. A choice is taken only if most other objects can still be shown in a window that overlaps none of it.
    Blocks without an object are held out as well, so that what is labelled later is parted alike.

    Args:
        shape: (rows, cols) of the scene.
        side: of a block, and of a training window, scene pixels.
        objects: outline of each object by its id, scene pixels.
        trained: ids of objects that a round has trained on.
        seed: of the draws; the order of `objects` does not matter.

    Returns:
        The blocks' union in scene pixels, or None where no choice leaves enough to train on (a scene of one block).
    """
    if not objects:
        return None
    lattice = _Lattice.over(shape, side, objects, trained)
    rng = np.random.default_rng(seed)
    draws = [lattice.draw(rng) for _ in range(TRIES)]
    fitting = [held for held in draws if held and lattice.leaves_enough(held)]
    if not fitting:
        return None
    best = min(fitting, key=lattice.cost)
    squares = [lattice.square(block) for block in sorted(best | lattice.empty_ones(best, rng))]
    union = shapely.union_all(squares)
    return union if isinstance(union, MultiPolygon) else MultiPolygon([union])


@dataclass(frozen=True)
class _Lattice:
    """A scene's blocks and the objects on them. A block is (row, col)."""

    shape: tuple[int, int]
    side: int
    touching: dict[tuple[int, int], frozenset[int]]
    """Objects that touch a block, for the blocks that have any."""
    centres: dict[int, tuple[float, float]]
    """(col, row) of each object, in the scene."""
    trained: frozenset[int]

    @classmethod
    def over(
        cls, shape: tuple[int, int], side: int, objects: Mapping[int, BaseGeometry], trained: Collection[int]
    ) -> _Lattice:
        """The lattice of a scene."""
        touching: dict[tuple[int, int], set[int]] = {}
        bare = cls(shape, side, {}, {}, frozenset(trained))
        centres = {}
        for number, outline in sorted(objects.items()):
            left, top, right, bottom = outline.bounds
            centres[number] = (
                min(max((left + right) / 2, 0), shape[1] - 1),
                min(max((top + bottom) / 2, 0), shape[0] - 1),
            )
            # What only touches a block's edge counts: that is how objects are parted into training and held out.
            rows = range(max(0, math.ceil(top / side) - 1), min(bare.rows, int(bottom // side) + 1))
            cols = range(max(0, math.ceil(left / side) - 1), min(bare.cols, int(right // side) + 1))
            for block in ((row, col) for row in rows for col in cols):
                if bare.square(block).intersects(outline):
                    touching.setdefault(block, set()).add(number)
        return cls(shape, side, {b: frozenset(found) for b, found in touching.items()}, centres, frozenset(trained))

    @property
    def rows(self) -> int:
        return math.ceil(self.shape[0] / self.side)

    @property
    def cols(self) -> int:
        return math.ceil(self.shape[1] / self.side)

    @property
    def wanted(self) -> int:
        """How many blocks to hold out."""
        return max(1, round(SHARE * self.rows * self.cols))

    def square(self, block: tuple[int, int]) -> BaseGeometry:
        """A block's outline, cut at the scene's edge."""
        top, left = block[0] * self.side, block[1] * self.side
        return shapely.box(left, top, min(left + self.side, self.shape[1]), min(top + self.side, self.shape[0]))

    def held(self, blocks: Collection[tuple[int, int]]) -> set[int]:
        """The objects that touch some blocks."""
        return set().union(*(self.touching[block] for block in blocks))

    def draw(self, rng: np.random.Generator) -> frozenset[tuple[int, int]]:
        """Blocks with objects, in an order of chance, until enough objects are held out that can judge."""
        blocks = sorted(self.touching)
        order = [blocks[i] for i in rng.permutation(len(blocks))]
        order.sort(key=lambda block: bool(self.touching[block] & self.trained))
        enough = max(MINIMUM_HELD_OUT, SHARE * len(self.centres))
        most = LARGEST_SHARE * len(self.centres)
        chosen, held = [], frozenset()
        for block in order:
            if len(held) >= enough:
                break
            if len(held | self.touching[block]) <= most:
                chosen.append(block)
                held |= self.touching[block]
        return frozenset(chosen)

    def leaves_enough(self, blocks: Collection[tuple[int, int]]) -> bool:
        """Whether at least half of all objects can be trained on."""
        return 2 * len(self.trainable(blocks)) >= len(self.centres)

    def cost(self, blocks: frozenset[tuple[int, int]]) -> float:
        """How far a choice is from what is wanted; 1 for all objects lost or a whole share missed."""
        count, held = len(self.centres), self.held(blocks)
        judges = len(held - self.trained)
        lost = 1 - (len(self.trainable(blocks)) + len(held)) / count
        too_many_blocks = max(0.0, len(blocks) / self.wanted - 1)
        too_few_judges = max(0.0, 1 - judges / MINIMUM_HELD_OUT)
        return (
            abs(len(held) / count - SHARE) + lost + len(held & self.trained) / count + too_many_blocks + too_few_judges
        )

    def trainable(self, blocks: Collection[tuple[int, int]]) -> set[int]:
        """The objects that are not held out and whose centre some window shows that overlaps no block of those."""
        closed = np.zeros((self.rows, self.cols), dtype=bool)
        for block in blocks:
            closed[block] = True
        left_over = sorted(self.centres.keys() - self.held(blocks))
        centres = np.array([self.centres[number] for number in left_over]).reshape(-1, 2)
        cols = self._origins(centres[:, 0], self.shape[1])
        rows = self._origins(centres[:, 1], self.shape[0])
        free = np.zeros(len(left_over), dtype=bool)
        for top in rows.T:
            for left in cols.T:
                free |= ~self._overlaps(closed, top, left)
        return {number for number, found in zip(left_over, free, strict=True) if found}

    def _origins(self, centre: np.ndarray, extent: int) -> np.ndarray:
        """(N, PLACES + 1) left or top edges of windows that hold each centre: at even steps, and the block itself."""
        last = max(0, extent - self.side)
        low = np.clip(centre - self.side + 1, 0, last)
        high = np.clip(centre, 0, last)
        even = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, PLACES)
        own = np.clip(centre // self.side * self.side, 0, last)
        return np.floor(np.concatenate([even, own[:, None]], axis=1)).astype(int)

    def _overlaps(self, closed: np.ndarray, top: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Whether the windows at (top, left) overlap closed blocks; a window is as large as a block."""
        found = np.zeros(len(top), dtype=bool)
        bottom = np.minimum(top + self.side, self.shape[0]) - 1
        right = np.minimum(left + self.side, self.shape[1]) - 1
        for row in (top, bottom):
            for col in (left, right):
                found |= closed[row // self.side, col // self.side]
        return found

    def empty_ones(self, held: Collection[tuple[int, int]], rng: np.random.Generator) -> set[tuple[int, int]]:
        """Blocks without an object that make up the share, near to the objects in a scene of very many blocks."""
        count = min(self.wanted - len(held), MOST_EMPTY)
        empty = [(r, c) for r in range(self.rows) for c in range(self.cols) if (r, c) not in self.touching]
        if count <= 0 or not empty:
            return set()
        places = np.array(empty)
        middle = np.mean(list(self.centres.values()), axis=0)[::-1] / self.side
        near = np.argsort(((places + 0.5 - middle) ** 2).sum(1), kind="stable")[: round(count / SHARE)]
        picked = rng.choice(near, size=min(count, len(near)), replace=False)
        return {empty[i] for i in picked}
