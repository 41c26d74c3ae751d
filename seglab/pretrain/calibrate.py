"""Making the predicted IoUs of the three candidates comparable, after training: one offset per candidate."""

from __future__ import annotations

import torch

from seglab.pretrain.bank import Bank
from seglab.pretrain.evaluate import answers
from seglab.pretrain.step import Network
from seglab.pretrain.windows import Windows


def calibrate(network: Network, bank: Bank, windows: Windows, clicks: int = 3) -> list[float]:
    """Shift each candidate's predicted IoU by its mean error, so that the order of candidates can be trusted.

    The best of three candidates learns most, so each specialises; their predictions drift apart by a few points, which
    is enough to show the wrong one. Call it with training ground only.

    Args:
        network: in eval mode; the bias of its IoU head is changed.
        bank: of training ground.
        windows: what to measure on.
        clicks: up to how many clicks per object.

    Returns:
        The three offsets, in IoU.
    """
    errors = [
        true - predicted
        for _, prompt, true, predicted in answers(network, bank, windows, clicks, ranked=False)
        if prompt != "box"
    ]
    offsets = torch.cat(errors).mean(0)
    bias = network.model.sam.mask_decoder.iou_prediction_head.layers[-1].bias
    with torch.no_grad():
        bias[1:] += offsets.to(bias)
    return offsets.tolist()
