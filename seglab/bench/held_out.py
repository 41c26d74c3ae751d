"""Ground that nobody labels, and how a model does there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch

from seglab.bench.ground import Ground, GroundImage, Thing, spread
from seglab.core.metrics import confusion
from seglab.core.windows import Window
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import DatasetError
from seglab.evaluation.clicks import box_protocol, click_protocol
from seglab.inference.mapper import class_probabilities
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache

CLICKS = (1, 3)
"""After how many clicks IoU is taken."""
EMBEDDING_BYTES = 32 * 2**20
"""Budget of the embeddings in memory: they are used twice, one right after the other."""


@dataclass(frozen=True)
class Caches:
    """The caches that the encoders of a benchmark share."""

    embeddings: ArrayCache
    prefixes: ArrayCache

    def encoder(self, image: GroundImage, model: AdaptedSam) -> WindowEncoder:
        """The encoder of an image."""
        return WindowEncoder(image.scene, model, self.embeddings, self.prefixes)


@dataclass(frozen=True)
class Place:
    """One window of held-out ground and the objects looked for in it. S model pixels a side."""

    image: GroundImage
    window: Window
    things: tuple[Thing, ...]
    masks: np.ndarray
    """(N, S, S) bool."""
    truth: np.ndarray
    """(S, S) uint8: see GroundImage.truth."""


@dataclass(frozen=True)
class Figures:
    """How a model does on held-out ground."""

    iou: Mapping[str, list[float]]
    """Per object, in the order of `HeldOut.objects`: "1", "3" after so many clicks, "box" for its exact box."""
    confusion: np.ndarray
    """(C + 1, C + 2) int64, background first: see core.metrics.confusion."""


class HeldOut:
    """Objects of images that nobody labels, each in the window that a session would open for it.

    Args:
        ground: the images.
        size: side of the model's input, model pixels.
        limit: objects, at most; a fixed choice, spread evenly over the images.
        stack: keeps the images open.

    Raises:
        DatasetError: there is no object in the images.
    """

    def __init__(self, ground: Ground, size: int, limit: int, stack: ExitStack) -> None:
        self.class_count = len(ground.classes)
        images = [stack.enter_context(ground.open(i)) for i in ground.ids]
        chosen = spread([len(image.things) for image in images], limit, np.random.default_rng(0))
        if not chosen:
            raise DatasetError(f"the validation images of {ground.dataset.name!r} hold no object; check its masks")
        seen: dict[tuple[int, Window], list[Thing]] = {}
        for i, number in chosen:
            thing = images[i].things[number]
            seen.setdefault((i, thing.window(size, images[i].scene.grid.shape)), []).append(thing)
        places = (_place(images[i], window, things) for (i, window), things in seen.items())
        self.places = tuple(place for place in places if place.things)

    @property
    def objects(self) -> list[tuple[str, int]]:
        """(image, number) of each object, in the order of the figures."""
        return [(thing.image, thing.number) for place in self.places for thing in place.things]

    def measure(self, model: AdaptedSam, prompts: Mapping[int, torch.Tensor], caches: Caches) -> Figures:
        """Click and box every object, and map every window.

        The prefixes of the windows come from the cache when the model's frozen prefix has seen them before.

        Args:
            model: in eval mode.
            prompts: (prompt_dim,) class prompt by 0-based class index, for the classes that have one; at least one.
            caches: where prefixes are kept.
        """
        found: dict[str, list[float]] = {str(count): [] for count in CLICKS} | {"box": []}
        table = np.zeros((self.class_count + 1, self.class_count + 2), np.int64)
        mapped = np.array([0, *(i + 1 for i in prompts)])
        stacked = torch.stack(list(prompts.values()))
        for place in self.places:
            encoder = caches.encoder(place.image, model)
            with torch.inference_mode():
                embedding = encoder.embedding(place.window)
                for count, ious in click_protocol(model, embedding, place.masks, CLICKS).items():
                    found[str(count)] += ious
                found["box"] += box_protocol(model, embedding, place.masks)
            classes = mapped[class_probabilities(encoder, place.window, stacked).argmax(0)]
            table += confusion(classes, place.truth, self.class_count + 1)
        return Figures(found, table)


def _place(image: GroundImage, window: Window, things: Sequence[Thing]) -> Place:
    masks = [image.mask_in(thing, window) for thing in things]
    # An object smaller than a model pixel of its window is not there to be found.
    seen = [i for i, mask in enumerate(masks) if mask.any()]
    shown = np.stack([masks[i] for i in seen]) if seen else np.zeros((0, *window.model_shape), bool)
    return Place(image, window, tuple(things[i] for i in seen), shown, image.truth_in(window))
