"""Networks behind one face for supervised training: an adapted SAM, and the networks it is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from seglab.models.baselines import SMALLEST_BATCH
from seglab.models.prompt_arrays import pad
from seglab.models.sam import AdaptedSam
from seglab.models.spec import IMAGENET_MEAN, IMAGENET_STD
from seglab.training.losses import prompted_loss
from seglab.training.prompting import simulated_prompt
from seglab.training.supervised.map_loss import map_loss
from seglab.training.supervised.pair_batches import PairBatch

OBJECTS_PER_IMAGE = 4
"""Objects that are prompted for in one image of a step, at most."""
SMALLEST_OBJECT = 9
"""Mask pixels of the smallest object worth a click."""


class Segmenter(Protocol):
    """What supervised training needs of a network."""

    module: nn.Module
    input_size: int
    """Side of its input, pixels."""
    smallest_batch: int
    """Images that a training step needs at least."""

    def describe(self) -> dict[str, Any]:
        """What tells this network from another, JSON-serialisable."""

    def begin(self, batches: Iterable[PairBatch]) -> None:
        """Prepare for training from scratch, with some training pairs at hand."""

    def features(self, batch: PairBatch) -> Any:
        """What `logits` and `loss` start from."""

    def logits(self, features: Any) -> Tensor:
        """(B, C, h, w) logits of the classes against a background of logit 0."""

    def loss(self, features: Any, logits: Tensor, batch: PairBatch, rng: np.random.Generator) -> Tensor:
        """What a training step makes smaller, a scalar.

        Args:
            features: of the batch.
            logits: of the same, at the input's size: (B, C, S, S) float32.
            batch: with the truth.
            rng: draws what the loss needs to draw.
        """

    def state(self) -> dict[str, Tensor]:
        """All that training changes, by name."""


class SamSegmenter:
    """An adapted SAM.

    Args:
        model: with its adapter attached; what a round trains is unfrozen here.
        classes: C.
        prompt_free: TransLandSeg's binary mode, for one class: no sparse token at all. Otherwise a learned prompt for
            each class, whose logits compete with a background.
        prompted_weight: weight of simulated clicks and boxes beside the map.
    """

    smallest_batch = 1

    def __init__(self, model: AdaptedSam, classes: int, prompt_free: bool, prompted_weight: float = 0.0) -> None:
        self.module = model
        self.input_size = model.spec.image_size
        self._classes = classes
        self._prompt_free = prompt_free
        self._prompted_weight = prompted_weight
        prompts = torch.zeros(0 if prompt_free else classes, model.spec.prompt_dim, device=model.device)
        model.class_prompts = nn.Parameter(prompts)
        model.freeze_base()

    def describe(self) -> dict[str, Any]:
        """Model, adapter, place and mode."""
        adapter = self.module.adapter
        return {
            "model": self.module.spec.name,
            "adapter": None if adapter is None else adapter.name,
            "adapt_from": self.module.adapt_from,
            "mode": "prompt-free" if self._prompt_free else "classes",
            "parameters_trained": sum(p.numel() for p in self.state().values()),
        }

    def begin(self, batches: Iterable[PairBatch]) -> None:
        """Start each class's prompt from the mean embedding of its pixels in some training pairs."""
        if self._prompt_free:
            return
        model, found = self.module, [[] for _ in range(self._classes)]
        with torch.no_grad():
            for batch in batches:
                for embedding, target in zip(self.features(batch), torch.from_numpy(batch.target), strict=True):
                    for place, means in enumerate(found, start=1):
                        mask = (target == place).to(model.device)
                        if mask.any():
                            means.append(model.exemplar(embedding.float(), mask))
            for prompt, means in zip(model.class_prompts, found, strict=True):
                if means:
                    prompt.copy_(torch.stack(means).mean(0))

    def features(self, batch: PairBatch) -> Tensor:
        """(B, D, h, w) image embeddings, from pixels: jittered images have no cache."""
        image = self.module.preprocess(torch.from_numpy(batch.rgb))
        if batch.extra is None:
            return self.module.encode(image)
        return self.module.encode(image, torch.from_numpy(batch.extra).to(self.module.device))

    def logits(self, features: Tensor) -> Tensor:
        """(B, C, 4h, 4w)."""
        return self.module.decode_prompt_free(features) if self._prompt_free else self.module.decode_classes(features)

    def loss(self, features: Tensor, logits: Tensor, batch: PairBatch, rng: np.random.Generator) -> Tensor:
        """TransLandSeg's loss of the map, and that of simulated prompts where they have a weight."""
        loss = map_loss(logits, torch.from_numpy(batch.target).to(logits.device))
        prompted = self.prompted(features, batch.target, rng) if self._prompted_weight else None
        return loss if prompted is None else loss + self._prompted_weight * prompted

    def prompted(self, features: Tensor, target: np.ndarray, rng: np.random.Generator) -> Tensor | None:
        """The loss of a click or a loose box on some objects (connected areas of one class) of each image.

        Returns:
            A scalar; None where there are no objects.
        """
        spec = self.module.spec
        found = [(i, mask) for i, image in enumerate(target) for mask in _objects(image, spec.mask_size, rng)]
        if not found:
            return None
        pixel = spec.image_size / spec.mask_size
        prompts = pad([simulated_prompt(mask, pixel, rng) for _, mask in found])
        device = features.device
        logits, predicted = self.module.decode(
            features,
            torch.from_numpy(prompts.coords).to(device),
            torch.from_numpy(prompts.labels).to(device),
            image_index=torch.tensor([i for i, _ in found], device=device),
        )
        masks = torch.from_numpy(np.stack([mask for _, mask in found])).to(device)
        return prompted_loss(logits.float(), predicted.float(), masks)[0].mean()

    def state(self) -> dict[str, Tensor]:
        """What a round trains."""
        return dict(self.module.trained_parameters())


class BaselineSegmenter:
    """A network from segmentation-models-pytorch: see `seglab.models.baselines`.

    Args:
        module: on its device.
        name: what it is, for the record.
        input_size: side of its input, pixels: that of the SAM it is compared with.
    """

    smallest_batch = SMALLEST_BATCH

    def __init__(self, module: nn.Module, name: str, input_size: int) -> None:
        self.module = module
        self.input_size = input_size
        self._name = name
        self._device = next(module.parameters()).device

    def describe(self) -> dict[str, Any]:
        """Its name and size; all of it is trained."""
        return {"model": self._name, "parameters_trained": sum(p.numel() for p in self.module.parameters())}

    def begin(self, batches: Iterable[PairBatch]) -> None:
        """Nothing to prepare."""

    def features(self, batch: PairBatch) -> Tensor:
        """(B, 3, S, S): the normalised image itself."""
        image = torch.from_numpy(batch.rgb).to(self._device).permute(0, 3, 1, 2).float()
        mean, std = (image.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        return (image - mean) / std

    def logits(self, features: Tensor) -> Tensor:
        """(B, C, S, S)."""
        return self.module(features)

    def loss(self, features: Tensor, logits: Tensor, batch: PairBatch, rng: np.random.Generator) -> Tensor:
        """The loss of the map."""
        return map_loss(logits, torch.from_numpy(batch.target).to(logits.device))

    def state(self) -> dict[str, Tensor]:
        """Weights and running statistics."""
        return self.module.state_dict()


def _objects(target: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """(size, size) bool masks of some connected areas of a target map (S, S), of any class."""
    small = cv2.resize(np.maximum(target, 0).astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    found = []
    for place in np.unique(small[small > 0]):
        count, ids, stats, _ = cv2.connectedComponentsWithStats((small == place).astype(np.uint8))
        found += [ids == i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= SMALLEST_OBJECT]
    return [found[i] for i in rng.permutation(len(found))[:OBJECTS_PER_IMAGE]]
