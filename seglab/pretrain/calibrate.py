"""Making the predicted IoU honest after training: the head that predicts it is fitted again, to prompts as in use."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seglab.models.decoder import CANDIDATES
from seglab.pretrain.bank import Bank
from seglab.pretrain.evaluate import answers
from seglab.pretrain.losses import judgement_loss
from seglab.pretrain.step import Network
from seglab.pretrain.windows import Windows

STEPS, BATCH, RATE = 300, 512, 3e-4
"""Of the fit. Chosen by cross validation over images of training ground; from 100 to 1000 steps the mean IoU of what is
shown differs by less than half a point."""


@dataclass(frozen=True)
class Judged:
    """Answers to prompts, and how good they were."""

    features: Tensor
    """(N, D), what the head predicts from."""
    true: Tensor
    """(N, 3) IoU of the candidates."""
    weight: Tensor
    """(N,), so that every dataset counts the same for each number of clicks."""


def calibrate(network: Network, bank: Bank, windows: Windows, clicks: int = 3) -> dict[str, float]:
    """Fit the IoU head again, with the loss that it was trained with, and nothing else.

    In training, masks change from step to step, windows are turned and recoloured, and clicks lie anywhere in an
    object, so that the head judges masks which nobody will see. Here everything else is finished and all is as in
    use: which of the candidates is shown depends on small differences. Call it with training ground only.

    Args:
        network: in eval mode; its IoU head is changed.
        bank: of training ground.
        windows: what to fit to.
        clicks: up to how many clicks per object; a box is taken too.

    Returns:
        {"before", "after"}: mean IoU of the candidate with the highest predicted IoU, on these windows.
    """
    head = network.model.sam.mask_decoder.iou_prediction_head
    judged = _judged(network, bank, windows, clicks)
    before = _chosen(head, judged)
    fitted = copy.deepcopy(head).requires_grad_(True)
    generator = torch.Generator(judged.true.device).manual_seed(0)
    optimizer = torch.optim.Adam(fitted.parameters(), lr=RATE)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        some = torch.randint(len(judged.true), (BATCH,), generator=generator, device=judged.true.device)
        loss = judgement_loss(fitted(judged.features[some])[:, CANDIDATES], judged.true[some]) * judged.weight[some]
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    # What it says of the single mask, which answers class prompts, is used by nobody.
    head.load_state_dict(fitted.state_dict())
    return {"before": before, "after": _chosen(head, judged)}


@torch.no_grad()
def _judged(network: Network, bank: Bank, windows: Windows, clicks: int) -> Judged:
    seen: list[Tensor] = []
    head = network.model.sam.mask_decoder.iou_prediction_head
    hook = head.register_forward_pre_hook(lambda module, given: seen.append(given[0].float()))
    features, true, groups = [], [], []
    try:
        for some, prompt, iou, _ in answers(network, bank, windows, clicks, ranked=False):
            features.append(seen.pop())
            true.append(iou)
            number = clicks if prompt == "box" else int(prompt) - 1
            groups.append(bank.source[some.image] * (clicks + 1) + number)
    finally:
        hook.remove()
    group = torch.cat(groups)
    weight = 1 / torch.bincount(group)[group]
    return Judged(torch.cat(features), torch.cat(true), weight / weight.mean())


@torch.no_grad()
def _chosen(head: nn.Module, judged: Judged) -> float:
    """Mean IoU of the candidates with the highest predicted IoU."""
    best = head(judged.features)[:, CANDIDATES].argmax(1, keepdim=True)
    return float((judged.true.gather(1, best)[:, 0] * judged.weight).mean())
