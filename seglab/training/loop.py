"""One round of training: adapter, mask decoder and class prompts on what was accepted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.device import compute
from seglab.models.prompt_arrays import PromptArrays, encode_prompts, pad
from seglab.models.sam import AdaptedSam
from seglab.training.losses import class_loss, prompted_loss
from seglab.training.prompting import simulated_prompt, with_correction
from seglab.training.samples import Chip, batches


@dataclass(frozen=True)
class RoundConfig:
    """How a round is trained."""

    steps: int = 120
    """Optimiser steps, one chip each."""
    learning_rate: float = 4e-4
    """AdamW's, reached after the warm-up."""
    warmup: int = 5
    """Steps of linear warm-up."""
    weight_decay: float = 1e-4
    """AdamW's."""
    objects_per_step: int = 6
    """Prompted objects per step, at most."""
    recorded_share: float = 0.5
    """How often the person's own prompts are replayed instead of simulated ones."""
    class_weight: float = 1.0
    """Weight of the class map's loss against the prompted loss."""
    orientations: int = 8
    """Flips and quarter turns of each window, 1 to 8."""
    seed: int = 0


@dataclass(frozen=True)
class RoundResult:
    """What a round's training gave."""

    tensors: dict[str, np.ndarray]
    """Trained values by parameter name."""
    losses: tuple[float, ...]
    """Loss of every step."""
    fit_iou: float | None
    """Mean IoU of the prompted masks over the last fifth of the steps, on the training objects themselves; None
    where no object was prompted for."""
    seconds: float
    config: dict[str, float]


def train_round(reporter: Reporter, model: AdaptedSam, chips: Sequence[Chip], config: RoundConfig) -> RoundResult:
    """Train a model's adapter, decoder and class prompts in place.

    Args:
        reporter: told step, loss and IoU; may cancel between steps.
        model: a model of its own (see AdaptedSam.branch_off), frozen base, on its device.
        chips: at least one.
        config: the recipe.

    Raises:
        TrainingError: there is nothing to train on.
    """
    if config.steps < 1 or not chips:
        raise TrainingError(
            f"{config.steps} steps on {len(chips)} windows is no training; ask for at least one step, and label "
            "something where the scene has data"
        )
    started = time.monotonic()
    rng = np.random.default_rng(config.seed)
    model.freeze_base()
    parameters = model.trained_parameters()
    optimiser = torch.optim.AdamW(parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, config))
    losses: list[float] = []
    ious: list[float] = []
    for step, chip in enumerate(batches(chips, config.steps, rng)):
        loss, iou = _step_loss(model, chip, config, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if iou is not None:
            ious.append(iou)
        live = {"loss": float(np.mean(losses[-10:]))} | ({"iou": float(np.mean(ious[-10:]))} if ious else {})
        reporter.update(step + 1, config.steps, message="training", **live)
    model.requires_grad_(False)
    last = ious[-max(1, len(ious) // 5) :]
    return RoundResult(
        {name: p.detach().cpu().numpy() for name, p in parameters.items()},
        tuple(losses),
        float(np.mean(last)) if last else None,
        time.monotonic() - started,
        asdict(config),
    )


def _rate(step: int, config: RoundConfig) -> float:
    """Linear warm-up, then a cosine to a twentieth."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    share = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.05 + 0.95 * 0.5 * (1 + float(np.cos(np.pi * min(1.0, share))))


def _step_loss(
    model: AdaptedSam, chip: Chip, config: RoundConfig, rng: np.random.Generator
) -> tuple[Tensor, float | None]:
    """The loss of one chip, and the mean IoU of its prompted masks."""
    with compute(model.device):
        embedding = model.encode_suffix(chip.prefix.to(model.device, torch.float32))
        target = torch.from_numpy(chip.class_target).to(model.device)
        loss = config.class_weight * class_loss(model.decode_classes(embedding)[0].float(), target)
        if len(chip.masks) == 0:
            return loss, None
        picked = rng.permutation(len(chip.masks))[: config.objects_per_step]
        prompted, iou = _prompted(model, embedding, chip, picked, config, rng)
    return loss + prompted, iou


def _prompted(
    model: AdaptedSam,
    embedding: Tensor,
    chip: Chip,
    picked: np.ndarray,
    config: RoundConfig,
    rng: np.random.Generator,
) -> tuple[Tensor, float]:
    """A first prompt and one correction for the picked objects."""
    pixel = model.spec.image_size / chip.masks.shape[1]
    masks = chip.masks[picked]
    target = torch.from_numpy(masks).to(model.device)
    prompts = [_first_prompt(chip, i, config, pixel, rng) for i in picked]
    logits, predicted = _decode(model, embedding, pad(prompts), None)
    first, _ = prompted_loss(logits.float(), predicted.float(), target)
    best = logits.detach().float()[torch.arange(len(picked)), predicted.detach().argmax(1)]
    guess = (best > 0).cpu().numpy()
    corrected = [with_correction(p, m, g, pixel, rng) for p, m, g in zip(prompts, masks, guess, strict=True)]
    logits, predicted = _decode(model, embedding, pad(corrected), best[:, None])
    second, iou = prompted_loss(logits.float(), predicted.float(), target)
    return (first + second) / 2, float(iou.mean())


def _first_prompt(chip: Chip, index: int, config: RoundConfig, pixel: float, rng: np.random.Generator) -> PromptArrays:
    """What the person clicked, or a fresh click or box on the same object."""
    recorded = chip.prompts[index]
    if recorded is None or rng.random() >= config.recorded_share:
        return simulated_prompt(chip.masks[index], pixel, rng)
    return encode_prompts(*recorded)


def _decode(model: AdaptedSam, embedding: Tensor, prompts: PromptArrays, masks: Tensor | None) -> tuple[Tensor, Tensor]:
    coords = torch.from_numpy(prompts.coords).to(model.device)
    labels = torch.from_numpy(prompts.labels).to(model.device)
    return model.decode(embedding, coords, labels, masks)
