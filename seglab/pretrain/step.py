"""One training step: every crop is encoded once and then segmented from many prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seglab.models.candidates import logits_at_clicks, rank_candidates
from seglab.pretrain.batches import Batch, Exemplars, draw_exemplars
from seglab.pretrain.clicks import corrections, first_prompts, more_clicks
from seglab.pretrain.losses import candidates_loss, click_loss, dense_loss, mask_iou, mask_loss
from seglab.pretrain.network import CropSam, DenseHead

MANY = 0.35
"""Share of steps whose objects start with several clicks."""
CLICK = 0.3
"""Weight of obeying the clicks."""


@dataclass(frozen=True)
class StepPlan:
    """What a step does; see Config for the meaning of the shares."""

    rounds: int
    """Prompts per object: the first and corrections."""
    boxes: float
    exemplars: int
    """Class prompts per crop."""
    dense_weight: float
    prompt_weight: float = 1.0
    half: bool = False
    """Encode in bfloat16 (weights stay float32); the decoder is too small to gain from it on a CPU."""


def train_step(
    model: CropSam, head: DenseHead, batch: Batch, plan: StepPlan, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch, and figures to log.

    Returns:
        loss (scalar, with graph) and values: loss parts, IoU after each round, exemplar IoU.
    """
    device = model.device
    model.place(batch.rgb.shape[1], rng)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=plan.half):
        embedding = model.encode(model.preprocess(batch.rgb))
    embedding = embedding.float()
    pairs, classes = head(embedding)
    dense = dense_loss(pairs, classes, batch.cells.to(device), batch.semantic.to(device))
    values = {"dense": dense.item()}
    loss = plan.dense_weight * dense
    exemplars = draw_exemplars(rng, batch, plan.exemplars)
    if exemplars is not None:
        part, iou = exemplar_loss(model, embedding, exemplars)
        loss = loss + part
        values |= {"exemplar": part.item(), "exemplar_iou": iou}
    if plan.rounds:
        part, more = prompted_loss(model, embedding, batch, plan, rng)
        loss = loss + plan.prompt_weight * part
        values |= more
    values["loss"] = loss.item()
    return loss, values


def exemplar_loss(model: CropSam, embedding: Tensor, exemplars: Exemplars) -> tuple[Tensor, float]:
    """Class prompts: the prompt is the mean embedding over an example, the answer is every pixel of its class.

    Returns:
        loss (scalar) and mean IoU of the class masks.
    """
    device = embedding.device
    size = embedding.shape[-1]
    weight = functional.adaptive_avg_pool2d(exemplars.source_mask.to(device)[:, None], size)
    source = embedding[torch.from_numpy(exemplars.source_image).to(device)]
    sparse = (source * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1e-6)
    index = torch.from_numpy(exemplars.image_index).to(device)
    logits, quality = model.decode_tokens(embedding, sparse[:, None], image_index=index)
    target = functional.adaptive_avg_pool2d(exemplars.target.to(device), logits.shape[-1])
    known = functional.adaptive_avg_pool2d(exemplars.known.to(device), logits.shape[-1])
    iou = mask_iou(logits[:, :1].detach(), target, known)
    loss = mask_loss(logits[:, :1], target, known).mean() + functional.mse_loss(quality[:, :1], iou)
    return loss, iou.mean().item()


def prompted_loss(
    model: CropSam, embedding: Tensor, batch: Batch, plan: StepPlan, rng: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Clicks and boxes, then corrections that see the mask before.

    Returns:
        mean loss over rounds (scalar) and the best predicted candidate's IoU after each round.
    """
    device = embedding.device
    index = torch.from_numpy(batch.image_index).to(device)
    truth = torch.from_numpy(batch.masks).to(device).float()
    target = functional.adaptive_avg_pool2d(truth, 4 * embedding.shape[-1])
    hard = (target > 0.5).cpu().numpy()
    scale = batch.rgb.shape[1] / target.shape[-1]
    coords, labels = first_prompts(rng, batch.masks, plan.boxes if rng.random() < 0.6 else 0.0)
    if rng.random() < MANY:
        # Few rounds are trained, but many clicks are given in use: start some objects with several.
        more, signs = more_clicks(rng, batch.masks, int(rng.integers(1, 4)))
        coords, labels = np.concatenate([more, coords], 1), np.concatenate([signs, labels], 1)
    previous: Tensor | None = None
    total, values = embedding.new_zeros(()), {}
    for round_ in range(plan.rounds):
        points, kinds = torch.from_numpy(coords).to(device), torch.from_numpy(labels).to(device)
        logits, quality = model.decode(embedding, points, kinds, previous, index)
        loss, iou = candidates_loss(logits, quality, target)
        obeyed = click_loss(logits_at_clicks(logits, points, model.spec.patch), kinds)
        total = total + loss + CLICK * obeyed
        chosen = rank_candidates(logits.detach(), quality.detach(), points, kinds, model.spec.patch)[:, :1]
        values[f"iou{round_ + 1}"] = iou.gather(1, chosen).mean().item()
        if round_ + 1 == plan.rounds:
            break
        best = logits.detach().gather(1, chosen[..., None, None].expand(-1, -1, *logits.shape[-2:]))
        click, sign = corrections(rng, hard, (best[:, 0] > 0).cpu().numpy(), scale)
        coords, labels = np.concatenate([coords, click], 1), np.concatenate([labels, sign], 1)
        # Sometimes the mask is withheld: a session may have clicks only.
        previous = best.float().clamp(-12, 12) if rng.random() < 0.85 else None
    values["prompted"] = total.item() / plan.rounds
    return total / plan.rounds, values
