"""Objects put together from what overlapping windows see of them.

Each window sees parts of objects. Two parts of neighbouring windows are of one object when they agree on the ground
that both windows see, and each is the other's best match there: that makes a graph, whose connected components are the
objects. Parts that touch inside one window are two objects to that window, so they never end up in one, however the
others are linked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from shapely.affinity import translate
from shapely.geometry import MultiPolygon

from seglab.core.outlines import find_regions, strips_of
from seglab.core.windows import Window
from seglab.inference.blend import taper

AGREE = 0.5
"""IoU on shared ground from which two parts are of one object."""
DOUBTED = 0.5
"""An object that is cut in every window that found it is none if windows that see it from nearer by did not find so
much of it."""
SPECK = 0.05
"""Pieces that hold less than this share of an object are left out: windows never agree to the cell."""
_AROUND = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Part:
    """What one window sees of an object."""

    place: Window
    """The mask's place, cells."""
    mask: np.ndarray
    """(place.height, place.width) bool."""
    class_value: int
    score: float
    """Predicted IoU, 0 to 1."""
    stability: float
    """0 to 1."""
    cut: bool
    """Whether it reaches an edge of its window beyond which the scene goes on."""

    @property
    def area(self) -> int:
        """Cells."""
        return int(np.count_nonzero(self.mask))

    def inside(self, window: Window) -> np.ndarray:
        """(window.height, window.width) bool: the mask as far as it lies there."""
        found = np.zeros(window.shape, dtype=bool)
        both = _common(self.place, window)
        if both is not None:
            found[_slices(both, window)] = self.mask[_slices(both, self.place)]
        return found


@dataclass(frozen=True)
class WholeObject:
    """An object put together from its parts."""

    outline: MultiPolygon
    """On the edges of cells, in cells; valid."""
    class_value: int
    """That of most of its parts, each weighted by its area and score."""
    score: float
    """Mean over its parts, weighted by area."""
    stability: float
    """The same."""


@dataclass
class _Node:
    part: Part
    window: Window
    links: dict[int, float]
    """IoU on the shared ground, by node."""
    doubt: float = 0.0
    """Share that windows which do not know the part see from nearer by."""


class ObjectGraph:
    """Takes windows row by row, and hands out objects as soon as no later window can reach them.

    What it holds grows with a row of windows and with the objects that reach into it.
    """

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {}
        self._windows: dict[Window, list[int]] = {}
        self._count = 0

    def add(self, window: Window, parts: Sequence[Part]) -> None:
        """Add what a window sees.

        Args:
            window: cells; of the same side as the others.
            parts: in it.
        """
        names = list(range(self._count, self._count + len(parts)))
        self._count += len(parts)
        self._nodes |= {name: _Node(part, window, {}) for name, part in zip(names, parts, strict=True)}
        for other, theirs in self._windows.items():
            shared = _common(window, other)
            if shared is not None:
                self._link(names, theirs, shared)
                self._doubt(names, other, shared)
                self._doubt(theirs, window, shared)
        self._windows[window] = names

    def finished(self, row: float = float("inf")) -> Iterator[WholeObject]:
        """The objects that are complete, which are forgotten then.

        Args:
            row: where the windows begin that are yet to come, cells; infinity if there are none.
        """
        names = np.array(sorted(self._nodes), dtype=np.int64)
        if len(names):
            for component in _components(names, {name: node.links for name, node in self._nodes.items()}):
                if max(_bottom(self._nodes[name].window) for name in component) <= row:
                    for group in self._objects(component):
                        yield from self._merged(group)
                    for name in component:
                        del self._nodes[name]
        self._windows = {window: names for window, names in self._windows.items() if _bottom(window) > row}

    # -- which parts are of one object

    def _link(self, ours: Sequence[int], theirs: Sequence[int], shared: Window) -> None:
        """Link parts of two windows that are each other's best match on the ground that both see."""
        ours, mine = self._seen(ours, shared)
        theirs, other = self._seen(theirs, shared)
        if not ours or not theirs:
            return
        both = mine @ other.T
        iou = both / np.maximum(mine.sum(1)[:, None] + other.sum(1)[None] - both, 1)
        for i, j in enumerate(iou.argmax(1).tolist()):
            if iou[i, j] >= AGREE and iou[:, j].argmax() == i:
                for one, two in ((ours[i], theirs[j]), (theirs[j], ours[i])):
                    self._nodes[one].links[two] = float(iou[i, j])

    def _seen(self, names: Sequence[int], shared: Window) -> tuple[list[int], np.ndarray]:
        """Those that reach into a window, and their masks there, (N, cells) float32."""
        near = [name for name in names if _common(self._nodes[name].part.place, shared) is not None]
        masks = [self._nodes[name].part.inside(shared).ravel() for name in near]
        kept = [i for i, mask in enumerate(masks) if mask.any()]
        stacked = np.stack([masks[i] for i in kept]) if kept else np.zeros((0, shared.width * shared.height), bool)
        return [near[i] for i in kept], stacked.astype(np.float32)

    def _doubt(self, names: Sequence[int], window: Window, shared: Window) -> None:
        """Note how much of parts another window sees from nearer by, and without them."""
        theirs = set(self._windows.get(window, ()))
        for name in names:
            node = self._nodes[name]
            if not node.part.cut or theirs & node.links.keys():
                continue
            nearer = _weights(window, shared) > _weights(node.window, shared)
            share = np.count_nonzero(node.part.inside(shared) & nearer) / node.part.area
            node.doubt = max(node.doubt, share)

    def _objects(self, component: Sequence[int]) -> list[list[int]]:
        """A component's objects: links from the best one on, as long as no two parts that touch in a window meet."""
        group = {name: [name] for name in component}
        links = {(iou, a, b) for a in component for b, iou in self._nodes[a].links.items() if a < b}
        for _, a, b in sorted(links, key=lambda link: (-link[0], link[1], link[2])):
            one, two = group[a], group[b]
            if one is not two and not any(self._touch(i, j) for i in one for j in two):
                one.extend(two)
                group |= dict.fromkeys(two, one)
        return list({id(names): sorted(names) for names in group.values()}.values())

    def _touch(self, a: int, b: int) -> bool:
        """Whether two parts lie side by side in one window."""
        one, two = self._nodes[a], self._nodes[b]
        if one.window != two.window:
            return False
        place = two.part.place
        around = Window(place.col - 1, place.row - 1, place.width + 2, place.height + 2)  # of cells that touch
        grown = ndimage.binary_dilation(np.pad(two.part.mask, 1), _AROUND)
        return bool((one.part.inside(around) & grown).any())

    # -- what they are together

    def _merged(self, names: Sequence[int]) -> Iterator[WholeObject]:
        """One object, or none."""
        nodes = [self._nodes[name] for name in names]
        parts = [node.part for node in nodes]
        areas = np.array([part.area for part in parts], dtype=float)
        if all(part.cut for part in parts) and np.average([n.doubt for n in nodes], weights=areas) >= DOUBTED:
            return
        outline = _outline(nodes)
        if outline.is_empty:
            return
        votes: dict[int, float] = {}
        for part, area in zip(parts, areas, strict=True):
            votes[part.class_value] = votes.get(part.class_value, 0) + area * part.score
        score, stability = (float(np.average([getattr(p, of) for p in parts], weights=areas)) for of in _MEANS)
        yield WholeObject(outline, min(votes, key=lambda value: (-votes[value], value)), score, stability)


_MEANS = ("score", "stability")


def _components(names: np.ndarray, links: dict[int, dict[int, float]]) -> list[list[int]]:
    place = {name: i for i, name in enumerate(names.tolist())}
    pairs = [(place[a], place[b]) for a, others in links.items() for b in others]
    rows, cols = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(pairs), dtype=bool), (rows, cols)), shape=(len(names),) * 2)
    count, label = csgraph.connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    return [part.tolist() for part in np.split(names[order], np.cumsum(np.bincount(label, minlength=count))[:-1])]


def _outline(nodes: Sequence[_Node]) -> MultiPolygon:
    """Where windows see the same ground they vote as in a map: the nearer its middle it is, the more a window says."""
    place = _around([node.part.place for node in nodes])
    strips = (Window(place.col, place.row + strip.row, strip.width, strip.height) for strip in strips_of(place.shape))
    regions = find_regions(((_vote(nodes, strip).view(np.uint8), ()) for strip in strips), ignored=0)
    pieces = [translate(region.outline, place.col, place.row) for region in regions]
    total = sum(piece.area for piece in pieces)
    return MultiPolygon([piece for piece in pieces if piece.area >= SPECK * total])


def _vote(nodes: Sequence[_Node], strip: Window) -> np.ndarray:
    """(strip.height, strip.width) bool: what the windows that found an object hold for it."""
    yes, all_ = (np.zeros(strip.shape, dtype=np.float32) for _ in range(2))
    for window in {node.window for node in nodes}:
        both = _common(window, strip)
        if both is not None:
            all_[_slices(both, strip)] += _weights(window, both)
    for node in nodes:
        both = _common(node.part.place, strip)
        if both is not None:
            mask = node.part.mask[_slices(both, node.part.place)]
            yes[_slices(both, strip)] += mask * _weights(node.window, both)
    return yes > all_ / 2


@cache
def _taper(side: int) -> np.ndarray:
    return taper(side)


def _weights(window: Window, inside: Window) -> np.ndarray:
    """What a window's look at ground inside it weighs, (inside.height, inside.width) float32."""
    return _taper(window.width)[_slices(inside, window)]


def _bottom(window: Window) -> int:
    return window.row + window.height


def _common(one: Window, other: Window) -> Window | None:
    """The ground that two windows share; None where there is none."""
    left, top = max(one.col, other.col), max(one.row, other.row)
    width = min(one.col + one.width, other.col + other.width) - left
    height = min(_bottom(one), _bottom(other)) - top
    return Window(left, top, width, height) if width > 0 and height > 0 else None


def _around(windows: Sequence[Window]) -> Window:
    """The smallest window that holds all of them."""
    left, top = min(w.col for w in windows), min(w.row for w in windows)
    return Window(left, top, max(w.col + w.width for w in windows) - left, max(map(_bottom, windows)) - top)


def _slices(inside: Window, of: Window) -> tuple[slice, slice]:
    """Where a window lies in the array of another one that holds it."""
    top, left = inside.row - of.row, inside.col - of.col
    return slice(top, top + inside.height), slice(left, left + inside.width)
