"""Rounds: trained versions of a project's model, from labels to a saved round and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seglab.app.state import LabelledObject, State
from seglab.core.masks import rasterize
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import NoLabelsError, RoundMismatchError
from seglab.jobs import Reporter
from seglab.models.adapters.atl import AtlAdapter
from seglab.models.sam import AdaptedSam
from seglab.training.loop import RoundConfig, train_round
from seglab.training.samples import Labels, TrainingObject, build_chips

EXEMPLARS = 8
"""A new class's prompt is the mean embedding of its first objects, this many at most."""
MINIMUM_BOTTLENECK = 16
"""The published bottleneck, width // 32, is made for wide encoders; narrow ones get at least this."""


@dataclass(frozen=True)
class Round:
    """A trained version of the model."""

    number: int
    parent: int
    """The round it started from; 0 for the model before any."""
    card: dict[str, Any]
    """What it was trained on and how it did: the card.json in its folder."""


@dataclass(frozen=True)
class CurrentModel:
    """The model in use."""

    number: int
    """Its round; 0 before any."""
    encoder: WindowEncoder
    trained: dict[str, torch.Tensor]
    """(prompt_dim,) class prompt by class name, for the classes the round knows."""

    def class_prompts(self, objects: Sequence[LabelledObject]) -> dict[str, torch.Tensor]:
        """A prompt for every class that has one: trained, else the mean embedding of the class's first objects.

        Args:
            objects: all accepted objects.
        """
        prompts = dict(self.trained)
        model = self.encoder.model
        for name in sorted({o.class_name for o in objects} - set(self.trained)):
            means = []
            for obj in [o for o in objects if o.class_name == name][:EXEMPLARS]:
                mask = torch.from_numpy(rasterize(obj.geometry, obj.window))
                with torch.inference_mode():
                    means.append(model.exemplar(self.encoder.embedding(obj.window)[0], mask))
            prompts[name] = torch.stack(means).mean(0)
        return prompts


def labels_of(state: State) -> Labels:
    """The training snapshot of a project's state.

    Raises:
        NoLabelsError: nothing is accepted yet.
    """
    if not state.objects:
        raise NoLabelsError("nothing is accepted yet; click an object, accept its mask, then retrain")
    classes = tuple(state.classes)
    objects = tuple(TrainingObject(classes.index(o.class_name), o.geometry, o.prompts, o.window) for o in state.objects)
    return Labels(classes, objects, state.reviewed)


def new_adapter(model: AdaptedSam) -> AtlAdapter:
    """An untrained ATL branch for a model, at the place where its frozen prefix ends."""
    spec = model.spec
    return AtlAdapter(
        spec.width,
        spec.depth,
        spec.patch,
        model.adapt_from,
        max(MINIMUM_BOTTLENECK, spec.width // 32),
    )


def train(
    reporter: Reporter,
    encoder: WindowEncoder,
    labels: Labels,
    prompts: dict[str, torch.Tensor],
    config: RoundConfig,
) -> tuple[AdaptedSam, dict[str, np.ndarray], dict[str, Any]]:
    """Train the next version of a model.

    Args:
        reporter: progress and cancel.
        encoder: the current model; it is not changed.
        labels: what to learn from.
        prompts: the prompt that each labelled class starts from.
        config: the recipe.

    Returns:
        the new model, its tensors by name, and the part of its card that training knows.
    """
    torch.manual_seed(config.seed)
    model = encoder.model.branch_off()
    if model.adapter is None:
        model.attach(new_adapter(model))
    # Classes that nobody has an object of stay out of the softmax.
    known = [name for name in labels.classes if name in prompts]
    model.class_prompts = torch.nn.Parameter(torch.stack([prompts[name] for name in known]).clone().to(model.device))
    objects = tuple(
        TrainingObject(known.index(labels.classes[o.class_index]), o.geometry, o.prompts, o.window)
        for o in labels.objects
    )
    own = Labels(tuple(known), objects, labels.reviewed)
    chips = build_chips(reporter, own, encoder.scene, encoder, config.steps, config.orientations)
    result = train_round(reporter, model, chips, config)
    card = {
        "model": model.spec.name,
        "prefix": model.prefix_hash(),
        "adapter": "atl-a",
        "adapt_from": model.adapt_from,
        "classes": known,
        "bands": list(encoder.scene.bands),
        "pixel_size_m": encoder.scene.grid.pixel_size_m,
        "objects": len(objects),
        "chips": len(chips),
        "config": result.config,
        "losses": [round(v, 4) for v in result.losses],
        "fit_iou": result.fit_iou,
        "validated": False,
        "seconds": round(result.seconds, 2),
        "device": str(model.device),
    }
    return model, result.tensors, card


def restore(base: AdaptedSam, tensors: dict[str, np.ndarray], card: dict[str, Any], bands: Sequence[int]) -> AdaptedSam:
    """The model of a saved round.

    Args:
        base: the model before any round.
        tensors, card: as saved.
        bands: the bands in use.

    Raises:
        RoundMismatchError: the round was trained for other weights, bands or places.
    """
    expected = {
        "model": base.spec.name,
        "prefix": base.prefix_hash(),
        "adapt_from": base.adapt_from,
        "bands": list(bands),
    }
    for key, value in expected.items():
        if card.get(key) != value:
            raise RoundMismatchError(
                f"round {card.get('round')} was trained for {key}={card.get(key)!r} and this session uses {value!r}; "
                "open the project with the settings the round was trained for, or roll back to round 0"
            )
    model = base.branch_off()
    model.attach(new_adapter(model))
    model.class_prompts = torch.nn.Parameter(torch.zeros(len(card["classes"]), base.spec.prompt_dim))
    parameters = model.trained_parameters()
    if set(parameters) != set(tensors) or any(parameters[n].shape != t.shape for n, t in tensors.items()):
        raise RoundMismatchError(
            f"round {card.get('round')} does not fit model {base.spec.name!r}; roll back to another round"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(np.array(tensors[name])))
    return model.requires_grad_(False).eval().to(base.device)


def trained_prompts(model: AdaptedSam, card: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The class prompts of a round by class name."""
    return dict(zip(card["classes"], model.class_prompts.detach(), strict=True))
