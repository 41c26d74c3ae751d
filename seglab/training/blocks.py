"""Which ground of a scene is held out: whole blocks, that no training window may overlap, chosen once per project."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from seglab.core.windows import Window
from seglab.training.plan import origins, seen_whole

MINIMUM_LABELLED = 16
"""Objects that a project has before ground is held out: fewer are all needed to learn from."""
MINIMUM_HELD_OUT = 5
"""Objects without which a round is not judged: an interval over fewer says nothing."""
SHARE = 0.2
"""Of the scene's blocks, and of the objects, that is held out."""
LARGEST_SHARE = 0.4
"""Of the objects, that may be held out where blocks cannot be had smaller."""
KEPT, LEAST_KEPT = 0.8, 0.5
"""Of each scale's objects that are not held out, the share that training windows are to show, and the least that they
must; of all objects of each scale, at least LEAST_KEPT."""
TRIES = 64
"""Draws of each way, of which the best is taken."""
LOOKED_AT = 150
"""Objects of each scale that are looked at to tell what a draw leaves to train on, at most."""
MOST_EMPTY = 400
"""Blocks without an object that are held out, at most: for objects that are labelled later."""
STRETCHES = ((1.0, 1.0), (1.0, 16.0), (16.0, 1.0))
"""How much a step down, and a step right, counts in a region that grows: a square, a strip down, a strip across."""

Block = tuple[int, int]
"""(row, col) in a lattice."""


def choose_blocks(
    shape: tuple[int, int],
    side: int,
    objects: Mapping[int, BaseGeometry],
    windows: Mapping[int, Window],
    trained: Collection[int],
    seed: int = 0,
) -> MultiPolygon | None:
    """Ground to judge rounds on: about a fifth of the scene's blocks, with about a fifth of the objects.

    Blocks are squares of a lattice. Those whose objects no round has trained on come first, for the others can judge
    nothing. No training window may overlap them, and windows of coarse scales are larger than a block: so blocks as
    large as any object's window are tried too, and then one region instead of scattered blocks. The first way is taken
    that leaves KEPT of the objects of every scale to train on; if there is none, the draw that leaves most. Blocks
    without an object are held out as well, so that what is labelled later is parted alike.

    Args:
        shape: (rows, cols) of the scene.
        side: of the smallest blocks, scene pixels: that of a window of the map's scale.
        objects: outline of each object by its id, scene pixels.
        windows: in which each object was accepted, by its id.
        trained: ids of objects that a round has trained on.
        seed: of the draws; the order of `objects` does not matter.

    Returns:
        The blocks' union in scene pixels, or None where no choice leaves enough to train on (a scene of one block).
    """
    if not objects:
        return None
    rng = np.random.default_rng(seed)
    second: list[tuple[float, _Lattice, frozenset[Block]]] = []
    for lattice, compact in _ways(shape, side, objects, windows, trained):
        draws = [held for held in (lattice.draw(rng, compact) for _ in range(TRIES)) if held]
        kept = [lattice.kept(held) for held in draws]
        good = [held for held, share in zip(draws, kept, strict=True) if share >= KEPT]
        if good:
            return lattice.union(min(good, key=lattice.cost))
        second += [(share, lattice, held) for held, share in zip(draws, kept, strict=True) if share > 0]
    if not second:
        return None
    _, lattice, held = max(second, key=lambda found: found[0])
    return lattice.union(held)


def _ways(
    shape: tuple[int, int],
    side: int,
    objects: Mapping[int, BaseGeometry],
    windows: Mapping[int, Window],
    trained: Collection[int],
) -> Iterable[tuple[_Lattice, bool]]:
    """Lattices to draw from, and whether in one region; those that say more about the scene come first."""
    sides = sorted({side, *(max(w.width, w.height) for w in windows.values() if max(w.width, w.height) > side)})
    lattices = [_Lattice.over(shape, size, objects, windows, trained) for size in sides]
    for compact in (False, True):
        yield from ((lattice, compact) for lattice in lattices)


@dataclass(frozen=True)
class _Places:
    """Where windows may lie that show the objects of one scale."""

    side: tuple[int, int]
    """(rows, cols) of such a window, scene pixels."""
    ids: np.ndarray
    """(N,) the objects."""
    top: np.ndarray
    """(M,) int, of every window."""
    left: np.ndarray
    owner: np.ndarray
    """(M,) int: the index in `ids` of the object that each window shows."""


@dataclass(frozen=True)
class _Lattice:
    """A scene's blocks and the objects on them."""

    shape: tuple[int, int]
    side: int
    objects: Mapping[int, BaseGeometry]
    windows: Mapping[int, Window]
    trained: frozenset[int]

    @classmethod
    def over(
        cls,
        shape: tuple[int, int],
        side: int,
        objects: Mapping[int, BaseGeometry],
        windows: Mapping[int, Window],
        trained: Collection[int],
    ) -> _Lattice:
        """The lattice of a scene."""
        return cls(shape, side, dict(sorted(objects.items())), windows, frozenset(trained))

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

    @cached_property
    def touching(self) -> dict[Block, frozenset[int]]:
        """Objects that touch a block, for the blocks that have any.

        What only touches a block's edge counts: that is how objects are parted into training and held out.
        """
        found: dict[Block, set[int]] = {}
        for number, outline in self.objects.items():
            left, top, right, bottom = outline.bounds
            rows = range(max(0, math.ceil(top / self.side) - 1), min(self.rows, int(bottom // self.side) + 1))
            cols = range(max(0, math.ceil(left / self.side) - 1), min(self.cols, int(right // self.side) + 1))
            for block in ((row, col) for row in rows for col in cols):
                if self.square(block).intersects(outline):
                    found.setdefault(block, set()).add(number)
        return {block: frozenset(numbers) for block, numbers in found.items()}

    @cached_property
    def empty(self) -> np.ndarray:
        """(N, 2) blocks without an object, in a scene of very many blocks only those near to the objects."""
        free = np.ones((self.rows, self.cols), dtype=bool)
        for block in self.touching:
            free[block] = False
        blocks = np.argwhere(free)
        middle = np.mean([self.square(block).centroid.coords[0] for block in self.touching], axis=0)[::-1] / self.side
        near = np.argsort(((blocks + 0.5 - middle) ** 2).sum(1), kind="stable")
        return blocks[near[: round(MOST_EMPTY / SHARE)]]

    @cached_property
    def places(self) -> tuple[_Places, ...]:
        """Windows by their size that show each object: its own, and if it was seen whole, others that show it whole."""
        sizes = sorted({self.windows[n].shape for n in self.objects})
        return tuple(self._places(size, [n for n in self.objects if self.windows[n].shape == size]) for size in sizes)

    def _places(self, size: tuple[int, int], ids: list[int]) -> _Places:
        if len(ids) > LOOKED_AT:
            ids = sorted(np.random.default_rng(0).choice(ids, LOOKED_AT, replace=False).tolist())
        found: list[tuple[int, int, int]] = []
        for index, number in enumerate(ids):
            own, outline = self.windows[number], self.objects[number]
            found.append((own.row, own.col, index))
            if seen_whole(outline, own, self.shape):
                left, top, right, bottom = outline.bounds
                rows = origins(top, bottom, size[0], self.shape[0], self._edges(top, bottom, size[0]))
                cols = origins(left, right, size[1], self.shape[1], self._edges(left, right, size[1]))
                found += [(row, col, index) for row in rows.tolist() for col in cols.tolist()]
        top, left, owner = np.array(found).T
        return _Places(size, np.array(ids), top, left, owner)

    def _edges(self, low: float, high: float, size: int) -> np.ndarray:
        """The lattice's lines that a window which shows low..high can lie beside."""
        return np.arange(max(0, (high - size) // self.side), (low + size) // self.side + 1) * self.side

    def square(self, block: Block) -> BaseGeometry:
        """A block's outline, cut at the scene's edge."""
        top, left = block[0] * self.side, block[1] * self.side
        return shapely.box(left, top, min(left + self.side, self.shape[1]), min(top + self.side, self.shape[0]))

    def union(self, blocks: Collection[Block]) -> MultiPolygon:
        """The ground of some blocks."""
        found = shapely.union_all([self.square(block) for block in sorted(blocks)])
        return found if isinstance(found, MultiPolygon) else MultiPolygon([found])

    def held(self, blocks: Collection[Block]) -> set[int]:
        """The objects that touch some blocks."""
        return set().union(*(self.touching.get(block, ()) for block in blocks))

    def draw(self, rng: np.random.Generator, compact: bool) -> frozenset[Block]:
        """Blocks in an order of chance, until enough objects are held out that can judge, and empty ones with them.

        Args:
            rng: of the order.
            compact: take blocks that are near to one of them, instead of blocks from everywhere.
        """
        if not self.touching:
            return frozenset()
        order = rng.permutation(np.array(sorted(self.touching)))
        empty = rng.permutation(self.empty)
        if compact:
            start, stretch = order[0], np.array(STRETCHES[rng.integers(len(STRETCHES))])
            order, empty = (
                found[np.argsort(np.abs((found - start) * stretch).max(1), kind="stable")] for found in (order, empty)
            )
        chosen = self._enough([(int(row), int(col)) for row, col in order])
        count = max(0, min(self.wanted - len(chosen), MOST_EMPTY))
        return frozenset([*chosen, *((int(row), int(col)) for row, col in empty[:count])]) if chosen else frozenset()

    def _enough(self, blocks: Iterable[Block]) -> list[Block]:
        """The first blocks with enough objects; those that rounds have trained on come last."""
        enough = max(MINIMUM_HELD_OUT, SHARE * len(self.objects))
        most = LARGEST_SHARE * len(self.objects)
        chosen: list[Block] = []
        held: frozenset[int] = frozenset()
        for block in sorted(blocks, key=lambda block: bool(self.touching[block] & self.trained)):
            if len(held) >= enough:
                break
            if len(held | self.touching[block]) <= most:
                chosen.append(block)
                held |= self.touching[block]
        return chosen

    def cost(self, blocks: Collection[Block]) -> float:
        """How far a choice is from what is wanted; 1 for all objects lost or a whole share missed."""
        count, held = len(self.objects), self.held(blocks)
        judges = len(held - self.trained)
        too_many_blocks = max(0.0, len(blocks) / self.wanted - 1)
        too_few_judges = max(0.0, 1 - judges / MINIMUM_HELD_OUT)
        return (
            abs(len(held) / count - SHARE)
            + (1 - self.kept(blocks))
            + len(held & self.trained) / count
            + too_many_blocks
            + too_few_judges
        )

    def kept(self, blocks: Collection[Block]) -> float:
        """The share of the objects that are not held out which some free window shows, of the scale with the least.

        Returns:
            0 where that is less than LEAST_KEPT, or where it is of all objects of a scale.
        """
        held = np.array(sorted(self.held(blocks)))
        closed = np.zeros((self.rows + 1, self.cols + 1), dtype=np.int32)
        rows, cols = np.array(sorted(blocks)).T
        closed[rows + 1, cols + 1] = 1
        before = closed.cumsum(0).cumsum(1)  # closed blocks above and left of a lattice point
        shares = []
        for places in self.places:
            shown = np.zeros(len(places.ids), dtype=bool)
            shown[places.owner[self._free(before, places)]] = True
            left_over = ~np.isin(places.ids, held)
            trainable = int((shown & left_over).sum())
            if trainable < LEAST_KEPT * len(places.ids) or trainable < LEAST_KEPT * left_over.sum():
                return 0.0
            shares.append(trainable / left_over.sum())
        return float(min(shares))

    def _free(self, before: np.ndarray, places: _Places) -> np.ndarray:
        """Which windows overlap no closed block, from the counts of closed blocks above and left of lattice points."""
        tops, lefts = (np.clip(first // self.side, 0, None) for first in (places.top, places.left))
        bottoms = np.clip(-(-(places.top + places.side[0]) // self.side), 0, self.rows)
        rights = np.clip(-(-(places.left + places.side[1]) // self.side), 0, self.cols)
        closed = before[bottoms, rights] - before[tops, rights] - before[bottoms, lefts] + before[tops, lefts]
        return closed == 0
