"""One step's loss: clicks and class maps of the same windows, learned together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seglab.models.prompt_arrays import PromptArrays, encode_prompts, pad
from seglab.models.sam import AdaptedSam
from seglab.training.job import RoundConfig, TrainingChip
from seglab.training.losses import class_loss, prompted_loss
from seglab.training.prompting import simulated_prompt, with_correction


def batch_loss(
    model: AdaptedSam, embedding: Tensor, chips: Sequence[TrainingChip], config: RoundConfig, rng: np.random.Generator
) -> tuple[Tensor, list[float]]:
    """The loss of some chips: a sum, so that a step may be taken in parts.

    Args:
        model: decodes.
        embedding: (I, D, h, w), one per chip.
        chips: I of them.
        config: the recipe.
        rng: draws objects and prompts.

    Returns:
        Sum of the chips' losses (scalar), and the IoU of every prompted mask.
    """
    maps = model.decode_classes(embedding).float()
    targets = [torch.from_numpy(chip.class_target).to(maps.device) for chip in chips]
    total = config.class_weight * sum(class_loss(m, t) for m, t in zip(maps, targets, strict=True))
    picked = [(i, int(n)) for i, chip in enumerate(chips) for n in _picked(chip, config, rng)]
    if not picked:
        return total, []
    prompted, ious = _prompted(model, embedding, chips, picked, config, rng)
    return total + prompted, ious


def _picked(chip: TrainingChip, config: RoundConfig, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(len(chip.masks))[: config.objects_per_step]


def _prompted(
    model: AdaptedSam,
    embedding: Tensor,
    chips: Sequence[TrainingChip],
    picked: Sequence[tuple[int, int]],
    config: RoundConfig,
    rng: np.random.Generator,
) -> tuple[Tensor, list[float]]:
    """A first prompt and one correction for the picked (chip, object) pairs; every chip weighs the same."""
    device = embedding.device
    pixel = model.spec.image_size / chips[0].class_target.shape[0]
    masks = np.stack([chips[i].masks[n] for i, n in picked])
    target = torch.from_numpy(masks).to(device)
    images = torch.tensor([i for i, _ in picked], device=device)
    weight = 1 / torch.bincount(images, minlength=len(chips)).float()[images]
    prompts = [_first_prompt(chips[i], n, config, pixel, rng) for i, n in picked]
    logits, predicted = _decode(model, embedding, pad(prompts), None, images)
    first, _ = prompted_loss(logits.float(), predicted.float(), target, config.bce)
    best = logits.detach().float()[torch.arange(len(picked)), predicted.detach().argmax(1)]
    guess = (best > 0).cpu().numpy()
    corrected = [with_correction(p, m, g, pixel, rng) for p, m, g in zip(prompts, masks, guess, strict=True)]
    logits, predicted = _decode(model, embedding, pad(corrected), best[:, None], images)
    second, iou = prompted_loss(logits.float(), predicted.float(), target, config.bce)
    return (weight * (first + second) / 2).sum(), iou.tolist()


def _first_prompt(
    chip: TrainingChip, index: int, config: RoundConfig, pixel: float, rng: np.random.Generator
) -> PromptArrays:
    """What the person clicked, or a fresh click or box on the same object."""
    recorded = chip.prompts[index]
    if recorded is None or rng.random() >= config.recorded_share:
        return simulated_prompt(chip.masks[index], pixel, rng)
    return encode_prompts(*recorded)


def _decode(
    model: AdaptedSam, embedding: Tensor, prompts: PromptArrays, masks: Tensor | None, images: Tensor
) -> tuple[Tensor, Tensor]:
    coords = torch.from_numpy(prompts.coords).to(embedding.device)
    labels = torch.from_numpy(prompts.labels).to(embedding.device)
    return model.decode(embedding, coords, labels, masks, None if len(embedding) == 1 else images)
