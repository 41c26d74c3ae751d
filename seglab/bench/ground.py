"""Labelled images as a benchmark uses them: a scene each, its true objects, and the true class of every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from shapely.geometry import MultiPolygon

from seglab.app.prompting.proposals import window_for
from seglab.core.annotator import first_click
from seglab.core.masks import polygons_of, rasterize
from seglab.core.metrics import IGNORE
from seglab.core.prompts import Point, Prompts
from seglab.core.raster import Scene
from seglab.core.windows import Window
from seglab.datasets.folder import FolderDataset, LabelledImage, objects_of
from seglab.datasets.splits import Part
from seglab.errors import DatasetError

FILL = 0.7
"""An annotator zooms out until an object spans at most this share of what the model sees."""
LARGEST_VIEW = 1.5
"""Nobody zooms out so far that the window's side is more than this many times the scene's."""
EVERY_OBJECT = 100_000
"""More objects than an image has: the benchmark makes its own choice of them."""


@dataclass(frozen=True)
class Thing:
    """One true object."""

    image: str
    """Id of its image."""
    number: int
    """Its place among the image's objects."""
    class_index: int
    """0-based index of its class in `Ground.classes`."""
    outline: MultiPolygon
    """On pixel edges, scene pixels."""
    click: Point
    """Where a person clicks first: the middle of the object, scene pixels."""

    def scale(self, size: int, shape: tuple[int, int]) -> int:
        """Scene pixels per model pixel at which a person looks at it: the finest at which it is seen whole.

        Args:
            size: side of the model's input, model pixels.
            shape: (rows, cols) of the scene.
        """
        left, top, right, bottom = self.outline.bounds
        scale = 1
        while max(right - left, bottom - top) > FILL * size * scale and 2 * size * scale <= LARGEST_VIEW * max(shape):
            scale *= 2
        return scale

    def window(self, size: int, shape: tuple[int, int]) -> Window:
        """The window in which a session shows it at the first click; arguments as for `scale`."""
        return window_for(Prompts((self.click,)), None, size, self.scale(size, shape), shape)


@dataclass(frozen=True)
class GroundImage:
    """One image with all that is true of it."""

    id: str
    scene: Scene
    things: tuple[Thing, ...]
    truth: np.ndarray
    """(rows, cols) uint8: 0 background, 1..C classes, IGNORE where nobody knows."""

    def truth_in(self, window: Window) -> np.ndarray:
        """The true classes at the model's resolution: those of the scene pixel in the middle of each model pixel.

        Returns:
            window.model_shape uint8, IGNORE outside the scene.
        """
        whole = np.full(window.shape, IGNORE, np.uint8)
        inside, place = window.overlap(self.truth.shape)
        whole[inside] = self.truth[place]
        height, width = window.model_shape
        middle = window.scale // 2
        return whole[middle :: window.scale, middle :: window.scale][:height, :width]

    def mask_in(self, thing: Thing, window: Window) -> np.ndarray:
        """(window.model_shape) bool: where an object is."""
        return rasterize(thing.outline, window)


@dataclass(frozen=True)
class Ground:
    """One part of a dataset."""

    dataset: FolderDataset
    ids: tuple[str, ...]
    """Its images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that a person labels."""
        return tuple(self.dataset.classes[i] for i in self.dataset.targets)

    @property
    def has_background(self) -> bool:
        """Whether "nothing here" is one of the dataset's classes, so that what is not labelled is known too."""
        return len(self.dataset.targets) < len(self.dataset.classes)

    @contextmanager
    def open(self, image_id: str) -> Iterator[GroundImage]:
        """Open one of the images, as a session would.

        Raises:
            DatasetError: the image or its labels cannot be read.
        """
        image = self.dataset.read(image_id)
        with Scene.open(self.dataset.files[image_id]) as scene:
            yield GroundImage(image_id, scene, tuple(self._things(image)), self.truth(image))

    def _things(self, image: LabelledImage) -> Iterator[Thing]:
        for number, found in enumerate(objects_of(image, self.dataset.targets, limit=EVERY_OBJECT)):
            rows, cols = np.flatnonzero(found.mask.any(1)), np.flatnonzero(found.mask.any(0))
            crop = found.mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
            col, row = first_click(crop)
            yield Thing(
                image.id,
                number,
                self.dataset.targets.index(found.label),
                polygons_of(found.mask),
                Point(col + int(cols[0]), row + int(rows[0])),
            )

    def truth(self, image: LabelledImage) -> np.ndarray:
        """The true class of every pixel of an image: see GroundImage.truth."""
        table = np.full(256, IGNORE, np.uint8)
        for label in self.dataset.classes:
            table[label] = 0
        for i, label in enumerate(self.dataset.targets):
            table[label] = i + 1
        return table[image.mask]


def open_ground(dataset: FolderDataset, part: Part) -> Ground:
    """One part of a dataset by its own split, else by the committed one.

    Raises:
        DatasetError: the dataset is not in the split, or the folder lacks one of its images.
    """
    ids = dataset.ids(part)
    missing = [i for i in ids if i not in dataset.files]
    if missing:
        raise DatasetError(f"{dataset.name!r} lacks the images {missing[:3]!r} of its split; complete the folder")
    return Ground(dataset, tuple(ids))


def spread(counts: Sequence[int], limit: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Choose items evenly from groups: one of each group, then a second one of each, and so on.

    Args:
        counts: how many items each group has.
        limit: how many to choose, at most.
        rng: source of chance; which items of a group come first, and which groups come last.

    Returns:
        (group, item) pairs, sorted.
    """
    orders = [list(rng.permutation(count)) for count in counts]
    ranks = enumerate(rng.permutation(len(counts)))
    turns = sorted((turn, rank, int(group)) for rank, group in ranks for turn in range(counts[group]))
    return sorted((group, int(orders[group][turn])) for turn, _, group in turns[:limit])
