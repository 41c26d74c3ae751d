"""The scenes that a round learns from and is judged on: what is labelled in each, and the model that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from seglab.app.history.state import State
from seglab.app.maps.found_objects import accepted_sizes
from seglab.app.maps.mapping import map_scale
from seglab.app.rounds.held_out import Seen, Split, split_objects
from seglab.app.rounds.rounds import CurrentModel
from seglab.training.blocks import LARGEST_SHARE, MINIMUM_HELD_OUT, MINIMUM_LABELLED, SHARE, choose_blocks

RecordGround = Callable[["RoundScene", BaseGeometry, int], None]
"""Called with a scene, the ground that is held out there from now on, and the side of its blocks; scene pixels."""


@dataclass(frozen=True)
class RoundScene:
    """One scene, when a round starts."""

    name: str
    current: CurrentModel
    """The model that the round starts from, looking at this scene."""
    state: State
    seen: Seen
    """By that model, in this scene."""

    @cached_property
    def split(self) -> Split:
        """Its objects, parted into training and held out."""
        return split_objects(self.state, self.seen)

    @property
    def side(self) -> int:
        """Of a window of the map's scale, scene pixels."""
        return self.current.encoder.model.spec.image_size * map_scale(self.state)


def common_resolution(scenes: Sequence[RoundScene]) -> float | None:
    """Ground metres per model pixel at which most objects were accepted, by the scene with the most of them; None where
    it has no CRS."""
    most = max(scenes, key=lambda one: len(one.state.objects))
    size = most.current.encoder.scene.grid.pixel_size_m
    return None if size is None else size * map_scale(most.state)


def with_held_out(scenes: Sequence[RoundScene], record: RecordGround) -> list[RoundScene]:
    """The scenes with ground to judge rounds on, chosen when there are enough objects, once and for all.

    Blocks are held out of scenes with enough objects. Of those with fewer, whole scenes are, as soon as there are
    enough in all of them together.
    """
    found: list[RoundScene] = []
    for one in scenes:
        state, ground = one.state, None
        if state.held_out is None and len(state.objects) >= MINIMUM_LABELLED:
            outlines = {o.id: o.geometry for o in state.objects}
            windows = {o.id: o.window for o in state.objects}
            shape = one.current.encoder.scene.grid.shape
            ground = choose_blocks(shape, one.side, outlines, windows, one.seen.of(state.objects))
        found.append(_hold(one, ground, one.side, record))
    small = {one.name: len(one.state.objects) for one in found if _is_small(one)}
    trained = [one.name for one in found if one.seen.of(one.state.objects)]
    wanted = choose_scenes(small, [one.name for one in found if one.state.held_out is not None], trained)
    return [_hold(one, _whole(one) if one.name in wanted else None, one.side, record) for one in found]


def typical_sizes(scenes: Sequence[RoundScene]) -> dict[str, float]:
    """The median size of the accepted objects of each class, model pixels at the scale of each, by class name."""
    return accepted_sizes(made for one in scenes for made in one.state.objects)


def choose_scenes(
    counts: Mapping[str, int], held: Collection[str], trained: Collection[str], seed: int = 0
) -> set[str]:
    """Which scenes to hold out as a whole, so that about a fifth of the objects is: none where that cannot be had.

    Args:
        counts: objects by scene, of those with too few to hold out a part.
        held: scenes that are held out already.
        trained: scenes that the round has learned from, which can judge nothing.
        seed: of the order.
    """
    total = sum(counts.values())
    if total < MINIMUM_LABELLED:
        return set()
    enough, most = max(MINIMUM_HELD_OUT, SHARE * total), LARGEST_SHARE * total
    kept = sum(count for name, count in counts.items() if name in held)
    chosen: set[str] = set()
    free = sorted(name for name in counts if name not in held and name not in trained)
    for name in np.random.default_rng(seed).permutation(free).tolist():
        if kept >= enough:
            break
        if kept + counts[name] <= most:
            chosen.add(name)
            kept += counts[name]
    return chosen if kept >= MINIMUM_HELD_OUT else set()


def _is_small(one: RoundScene) -> bool:
    """Whether a scene is held out as a whole or not at all."""
    held = one.state.held_out
    return len(one.state.objects) < MINIMUM_LABELLED if held is None else held.equals(_whole(one))


def _whole(one: RoundScene) -> BaseGeometry:
    rows, cols = one.current.encoder.scene.grid.shape
    return shapely.MultiPolygon([shapely.box(0, 0, cols, rows)])


def _hold(one: RoundScene, ground: BaseGeometry | None, side: int, record: RecordGround) -> RoundScene:
    if ground is None:
        return one
    record(one, ground, side)
    return replace(one, state=replace(one.state, held_out=ground))
