"""How far two annotators of one scene agree: pixel by pixel, and object by object.

Neither of the two is the truth. Pixels that one has not labelled count as a category of their own, UNLABELLED; where
objects of one annotator overlap, the later one has the ground.

    IoU of a class = pixels that both call so / pixels that at least one calls so
    kappa          = (agreement - chance) / (1 - chance)
        J. Cohen, A coefficient of agreement for nominal scales, Educ. Psychol. Meas. 20 (1960) 37-46
    kappa of a class: the same with two categories, this class and all else
    precision, recall, F1 of objects: an object of the first is found in the second if one of the same class has an
        IoU of at least MATCH with it, each at most once
        M. Everingham et al., The PASCAL VOC challenge, Int. J. Comput. Vis. 88 (2010) 303-338
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import shapely
from affine import Affine
from rasterio import features
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab.core.metrics import accuracy, confusion, iou_per_class, kappa
from seglab.core.windows import Window, blocks

UNLABELLED = "unlabelled"
"""What the tables call pixels without a label."""
MATCH = 0.5
"""IoU from which on two outlines are of the same object."""
NEAR = 0.1
"""Share of the smaller of two objects that must be common ground before one can be the other, drawn otherwise."""
BLOCK = 1024
"""Side of the blocks in which pixels are compared: memory depends on it, not on the scene."""

STRENGTHS = (
    (0.0, "poor"),
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
    (1.0, "almost perfect"),
)
"""What a kappa of up to each bound is called; below 0 it is poor. See `strength`."""

Kind = Literal["class", "outline", "denied", "alone"]
"""How two annotators disagree about an object: they name another class; they draw it otherwise; the other one has
reviewed the place and sees nothing there; the other one has not labelled there."""


@dataclass(frozen=True)
class Annotated:
    """An object as one annotator has it."""

    id: int
    class_name: str
    geometry: BaseGeometry
    """Scene pixels, on pixel edges."""


@dataclass(frozen=True)
class Annotation:
    """One annotator's labels of a scene."""

    objects: Sequence[Annotated]
    """In order: where two overlap, the later one has the ground."""
    reviewed: Sequence[BaseGeometry] = ()
    """Extents in which everything is labelled, scene pixels."""


@dataclass(frozen=True)
class Pair:
    """An object that both have."""

    first: int
    second: int
    iou: float
    """At least MATCH."""
    same_class: bool


@dataclass(frozen=True)
class Disagreement:
    """What the two do not agree on."""

    kind: Kind
    first: int | None
    """The first annotator's object; None if the second one alone has it."""
    second: int | None
    iou: float
    """Of the two outlines; 0 where there is one only."""


@dataclass(frozen=True)
class ClassAgreement:
    """What two annotators agree on about one class; all else is not of it."""

    iou: float
    """Of its pixels; NaN where neither has used it."""
    kappa: float
    """Cohen's kappa over all pixels: this class or not; NaN where chance explains all."""
    pixels: tuple[int, int, int]
    """That the first calls so, that the second does, and that both do."""
    objects: tuple[int, int, int]
    """That both have with this class, and those that only the first and only the second has as this class."""


@dataclass(frozen=True)
class Agreement:
    """What two annotators agree on."""

    classes: tuple[str, ...]
    """Names of both."""
    pixels: np.ndarray = field(repr=False)
    """(n + 1, n + 1) int64, pixels by class of the first (rows) and of the second (columns); UNLABELLED is 0."""
    objects: np.ndarray = field(repr=False)
    """(n, 3) int64, objects by class: of the first, of the second, and those that both have with it."""
    agreed: tuple[Pair, ...]
    """Objects that both have, with the same class."""
    disagreements: tuple[Disagreement, ...]
    """Those of the first in their order, then those that the second alone has."""

    @property
    def counts(self) -> tuple[int, int]:
        """Objects of the first and of the second."""
        first, second, _ = self.objects.sum(axis=0).tolist()
        return first, second

    @property
    def by_class(self) -> dict[str, ClassAgreement]:
        """What they agree on about each class."""
        found = {}
        for place, (name, iou) in enumerate(self.iou.items(), start=1):
            common = int(self.pixels[place, place])
            pixels = int(self.pixels[place].sum()), int(self.pixels[:, place].sum()), common
            beside = pixels[0] - common, pixels[1] - common
            neither = int(self.pixels.sum()) - sum(beside) - common
            value = kappa(_with_none(np.array([[neither, beside[1]], [beside[0], common]])))
            first, second, both = self.objects[place - 1].tolist()
            found[name] = ClassAgreement(iou, value, pixels, (both, first - both, second - both))
        return found

    @property
    def iou(self) -> dict[str, float]:
        """Pixel IoU by class; NaN for one that neither has used."""
        values = iou_per_class(self._table)[1:]
        return {name: float(value) for name, value in zip(self.classes, values, strict=True)}

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that were used; NaN where there are none."""
        values = [value for value in self.iou.values() if not np.isnan(value)]
        return float(np.mean(values)) if values else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of the scene's pixels on which both say the same."""
        return accuracy(self._table)

    @property
    def kappa(self) -> float:
        """Cohen's kappa over all pixels, UNLABELLED as one of the categories."""
        return kappa(self._table)

    @property
    def kappa_of_labelled(self) -> float:
        """Cohen's kappa over the pixels that both have labelled: do they mean the same by the classes?"""
        return kappa(_with_none(self.pixels[1:, 1:]))

    @property
    def precision(self) -> float:
        """Share of the first's objects that the second has too; NaN without any."""
        return _share(len(self.agreed), self.counts[0])

    @property
    def recall(self) -> float:
        """Share of the second's objects that the first has too; NaN without any."""
        return _share(len(self.agreed), self.counts[1])

    @property
    def f1(self) -> float:
        """2 x agreed objects / objects of both; NaN without any."""
        return _share(2 * len(self.agreed), sum(self.counts))

    @property
    def _table(self) -> np.ndarray:
        return _with_none(self.pixels)

    def to_json(self) -> dict[str, Any]:
        """A value for JSON; None stands for what is not defined."""
        names = ("mean_iou", "accuracy", "kappa", "kappa_of_labelled", "precision", "recall", "f1")
        return {
            "classes": {name: _class_json(one) for name, one in self.by_class.items()},
            **{name: _plain(getattr(self, name)) for name in names},
            "objects": list(self.counts),
            "agreed": len(self.agreed),
            "pixels": {"categories": [UNLABELLED, *self.classes], "table": self.pixels.tolist()},
            "disagreements": [vars(one) for one in self.disagreements],
        }


def strength(kappa: float) -> str:
    """What a kappa is called, from "poor" to "almost perfect"; "" for NaN.

    The names are a convention: J. R. Landis, G. G. Koch, The measurement of observer agreement for categorical data,
    Biometrics 33 (1977) 159-174.
    """
    if np.isnan(kappa):
        return ""
    if kappa < 0:
        return STRENGTHS[0][1]
    return next((name for bound, name in STRENGTHS[1:] if kappa <= bound), STRENGTHS[-1][1])


def agreement(
    first: Annotation,
    second: Annotation,
    shape: tuple[int, int],
    block: int = BLOCK,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Agreement:
    """Compare two annotations of one scene.

    Args:
        first, second: by two annotators.
        shape: (rows, cols) of the scene.
        block: side of the blocks in which pixels are compared, scene pixels.
        tell: called with how many pixels are compared and how many there are; may raise, to end it.
    """
    named = (one.class_name for annotation in (first, second) for one in annotation.objects)
    classes = tuple(dict.fromkeys(named))
    pairs, overlaps = _matched(first.objects, second.objects)
    return Agreement(
        classes,
        _pixel_table(first.objects, second.objects, classes, shape, block, tell),
        _object_table(first.objects, second.objects, classes, pairs),
        tuple(pair for pair in pairs if pair.same_class),
        tuple(_disagreements(first, second, pairs, overlaps)),
    )


# -- pixels


def _pixel_table(
    first: Sequence[Annotated],
    second: Sequence[Annotated],
    classes: Sequence[str],
    shape: tuple[int, int],
    block: int,
    tell: Callable[[int, int], None],
) -> np.ndarray:
    value = {name: place for place, name in enumerate(classes, start=1)}
    size = len(classes) + 1
    table = np.zeros((size, size), dtype=np.int64)
    trees = [STRtree([one.geometry for one in objects]) for objects in (first, second)]
    done, total = 0, shape[0] * shape[1]
    for window in blocks(shape, block):
        tell(done, total)
        found = [
            [objects[i] for i in sorted(tree.query(window.polygon))]
            for objects, tree in zip((first, second), trees, strict=True)
        ]
        if any(found):
            one, other = (_class_map(objects, value, window) for objects in found)
            table += confusion(other, one, size, ignore=-1)[:, :size]
        else:
            table[0, 0] += window.width * window.height
        done += window.width * window.height
    tell(done, total)
    return table


def _class_map(objects: Sequence[Annotated], value: dict[str, int], window: Window) -> np.ndarray:
    """(h, w) int32: 0 without label, else a class's value; later objects over earlier ones."""
    shapes = [(one.geometry, value[one.class_name]) for one in objects if not one.geometry.is_empty]
    if not shapes:
        return np.zeros(window.shape, dtype=np.int32)
    place = Affine.translation(window.col, window.row)
    return features.rasterize(shapes, out_shape=window.shape, transform=place, fill=0, dtype=np.int32)


def _with_none(pixels: np.ndarray) -> np.ndarray:
    """A table as core.metrics has it, with a last column for pixels of no class."""
    return np.hstack([pixels, np.zeros((len(pixels), 1), dtype=pixels.dtype)])


# -- objects


@dataclass(frozen=True)
class _Overlap:
    """Two objects, by their places in the two lists, that share a good part of their ground."""

    first: int
    second: int
    iou: float


def _matched(first: Sequence[Annotated], second: Sequence[Annotated]) -> tuple[list[Pair], list[_Overlap]]:
    """Objects that both have, each in one pair at most (the best first), and everything that lies over each other."""
    overlaps = sorted(_overlaps(first, second), key=lambda o: -o.iou)
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for one in overlaps:
        if one.iou >= MATCH and one.first not in taken[0] and one.second not in taken[1]:
            taken[0].add(one.first)
            taken[1].add(one.second)
            a, b = first[one.first], second[one.second]
            pairs.append(Pair(a.id, b.id, one.iou, a.class_name == b.class_name))
    return sorted(pairs, key=lambda pair: pair.first), overlaps


def _object_table(
    first: Sequence[Annotated], second: Sequence[Annotated], classes: Sequence[str], pairs: Iterable[Pair]
) -> np.ndarray:
    place = {name: i for i, name in enumerate(classes)}
    table = np.zeros((len(classes), 3), dtype=np.int64)
    of_class = {one.id: place[one.class_name] for one in first}
    for column, objects in enumerate((first, second)):
        for one in objects:
            table[place[one.class_name], column] += 1
    for pair in pairs:
        if pair.same_class:
            table[of_class[pair.first], 2] += 1
    return table


def _overlaps(first: Sequence[Annotated], second: Sequence[Annotated]) -> Iterator[_Overlap]:
    ours, theirs = (np.array([one.geometry for one in objects], dtype=object) for objects in (first, second))
    if not len(ours) or not len(theirs):
        return
    at, other = STRtree(theirs).query(ours, predicate="intersects")
    shared = shapely.area(shapely.intersection(ours[at], theirs[other]))
    areas = shapely.area(ours[at]), shapely.area(theirs[other])
    ious = shared / (areas[0] + areas[1] - shared)
    near = shared >= NEAR * np.minimum(*areas)
    yield from map(_Overlap, at[near].tolist(), other[near].tolist(), ious[near].tolist())


def _disagreements(
    first: Annotation, second: Annotation, pairs: Iterable[Pair], overlaps: Iterable[_Overlap]
) -> Iterator[Disagreement]:
    of_first, of_second = {pair.first: pair for pair in pairs}, {pair.second for pair in pairs}
    best: tuple[dict[int, _Overlap], dict[int, _Overlap]] = ({}, {})
    for one in overlaps:  # the best ones come first
        best[0].setdefault(one.first, one)
        best[1].setdefault(one.second, one)
    told: set[int] = set()
    for place, mine in enumerate(first.objects):
        pair, near = of_first.get(mine.id), best[0].get(place)
        if pair is not None:
            if not pair.same_class:
                yield Disagreement("class", pair.first, pair.second, pair.iou)
        elif near is not None:
            told.add(second.objects[near.second].id)
            yield Disagreement("outline", mine.id, second.objects[near.second].id, near.iou)
        else:
            yield Disagreement(_unseen(mine, second.reviewed), mine.id, None, 0.0)
    for place, theirs in enumerate(second.objects):
        near = best[1].get(place)
        if near is None:
            yield Disagreement(_unseen(theirs, first.reviewed), None, theirs.id, 0.0)
        elif theirs.id not in of_second | told:
            yield Disagreement("outline", first.objects[near.first].id, theirs.id, near.iou)


def _unseen(one: Annotated, reviewed: Sequence[BaseGeometry]) -> Kind:
    """Whether who does not have an object has looked at most of its place and found nothing."""
    seen = shapely.union_all(list(reviewed)).intersection(one.geometry).area
    return "denied" if seen > 0.5 * one.geometry.area else "alone"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _class_json(one: ClassAgreement) -> dict[str, Any]:
    both, first, second = one.objects
    objects = {"both": both, "first": first, "second": second}
    return {"iou": _plain(one.iou), "kappa": _plain(one.kappa), "objects": objects}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
