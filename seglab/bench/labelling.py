"""A simulated person who labels images one after another, as somebody at a session would.

The person clicks in the middle of an object, looks at the mask, and clicks in the middle of its largest error until
the mask is good or patience ends. A good mask is accepted as the model drew it; what is still not good then is painted
right with the brush, so that its true outline is accepted. In an image where every object is labelled the person marks
the whole image as reviewed, if the dataset says where nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from seglab.app.prompting.proposals import Draft
from seglab.app.rounds.rounds import CurrentModel
from seglab.bench.ground import Ground, GroundImage, Thing
from seglab.core.annotator import next_click
from seglab.core.masks import rasterize
from seglab.core.metrics import iou
from seglab.core.prompts import Point, Prompts
from seglab.core.windows import Window
from seglab.training.samples import Labels, TrainingObject

GOOD = 0.85
"""IoU with the true object from which the person accepts what the model drew."""
CLICKS = 3
"""Clicks after which the person takes the brush."""
PER_IMAGE = 5
"""Objects labelled in an image before the person goes to the next one; the rest when all images have been visited."""


@dataclass(frozen=True)
class Labelled:
    """One accepted object."""

    image: GroundImage
    thing: Thing
    outline: BaseGeometry
    """What was accepted, scene pixels."""
    prompts: Prompts
    window: Window
    clicks: int
    brushed: bool
    """Whether the brush was needed."""

    def as_training(self, class_index: int) -> TrainingObject:
        """What training takes."""
        return TrainingObject(class_index, self.outline, self.prompts, self.window)


def label_with(current: CurrentModel, image: GroundImage, thing: Thing) -> Labelled:
    """Click an object with a model's help, and accept it.

    Args:
        current: the model, with the encoder of that image.
        image, thing: what is labelled.
    """
    shape = image.scene.grid.shape
    truth = rasterize(thing.outline, shape)
    scale = thing.scale(current.encoder.model.spec.image_size, shape)
    draft, prompts, point = Draft(), Prompts(), thing.click
    quality = 0.0
    while point is not None and quality < GOOD and len(prompts.points) < CLICKS:
        prompts = prompts.with_point(point)
        guess = draft.prompt(current, prompts, scale).full()
        quality = iou(guess, truth)
        point = correction(truth, guess)
    mask = draft.mask
    brushed = quality < GOOD
    outline = thing.outline if brushed else mask.polygon
    return Labelled(image, thing, outline, prompts, mask.window, len(prompts.points), brushed)


def label_outright(image: GroundImage, thing: Thing, size: int) -> Labelled:
    """The true outline and one click in its middle: labels that depend on no model.

    Args:
        image, thing: what is labelled.
        size: side of the model's input, model pixels.
    """
    window = thing.window(size, image.scene.grid.shape)
    return Labelled(image, thing, thing.outline, Prompts((thing.click,)), window, 1, False)


def correction(truth: np.ndarray, guess: np.ndarray) -> Point | None:
    """`next_click`, looking only where there is anything.

    Args:
        truth, guess: (rows, cols) bool.
    """
    either = truth | guess
    rows, cols = np.flatnonzero(either.any(1)), np.flatnonzero(either.any(0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(cols[0])
    crop = slice(top, rows[-1] + 1), slice(left, cols[-1] + 1)
    found = next_click(truth[crop], guess[crop])
    return None if found is None else replace(found, col=found.col + left, row=found.row + top)


class Annotator:
    """Goes through images in a random order and labels their objects.

    Args:
        ground: the images.
        seed: of the orders of images and of the objects in each.
        stack: keeps the images open that were visited.
    """

    def __init__(self, ground: Ground, seed: int, stack: ExitStack) -> None:
        self.labelled: list[Labelled] = []
        """All that was accepted so far, in order."""
        self.ground = ground
        self._seed = seed
        self._stack = stack
        self._work = self._visits()

    def label(self, accept: Callable[[GroundImage, Thing], Labelled], count: int) -> list[Labelled]:
        """Label the next objects.

        Args:
            accept: labels one object: `label_with` or `label_outright`.
            count: how many.

        Returns:
            What was labelled; fewer where no more objects are left.
        """
        fresh = [accept(image, thing) for image, thing in islice(self._work, count)]
        self.labelled += fresh
        return fresh

    def labels(self, classes: Sequence[str]) -> list[tuple[GroundImage, Labels]]:
        """What training may know, image by image.

        Args:
            classes: names, in the order of the round's class prompts; every accepted object has one of them.
        """
        names = self.ground.classes
        by_image: dict[str, list[Labelled]] = {}
        for item in self.labelled:
            by_image.setdefault(item.image.id, []).append(item)
        found = []
        for items in by_image.values():
            image = items[0].image
            objects = tuple(item.as_training(classes.index(names[item.thing.class_index])) for item in items)
            found.append((image, Labels(tuple(classes), objects, self._reviewed(image, len(items)))))
        return found

    def _reviewed(self, image: GroundImage, labelled: int) -> tuple[BaseGeometry, ...]:
        """The whole image, once all its objects are labelled."""
        if not self.ground.has_background or labelled < len(image.things):
            return ()
        rows, cols = image.scene.grid.shape
        return (box(0, 0, cols, rows),)

    def _visits(self) -> Iterator[tuple[GroundImage, Thing]]:
        order = np.random.default_rng(self._seed).permutation(len(self.ground.ids))
        left: list[tuple[GroundImage, list[Thing]]] = []
        for i in order:
            image = self._stack.enter_context(self.ground.open(self.ground.ids[i]))
            chance = np.random.default_rng([self._seed, *image.id.encode()])
            things = [image.things[j] for j in chance.permutation(len(image.things))]
            yield from ((image, thing) for thing in things[:PER_IMAGE])
            left.append((image, things[PER_IMAGE:]))
        while any(things for _, things in left):
            for image, things in left:
                yield from ((image, thing) for thing in things[:PER_IMAGE])
            left = [(image, things[PER_IMAGE:]) for image, things in left]
