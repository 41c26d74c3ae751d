"""The objects that the model sees in one window: masks for many clicks, the good ones of them, each object once.

That is segment-anything's automatic mask generator (Kirillov et al. 2023, section 5 and appendix B), with masks
compared as masks and not as boxes, and with what classes know of the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from seglab.models.decoder import PreparedImage
from seglab.models.device import compute
from seglab.models.sam import AdaptedSam
from seglab.models.spec import PAD, POSITIVE

BATCH = 64
"""Clicks that are decoded at a time."""
STABILITY_OFFSET = 1.0
"""A stable mask hardly changes when its logits are cut this much higher or lower."""
MOST_CANDIDATES = 512
"""Of a window, the best: comparing all pairs takes their square."""


@dataclass(frozen=True)
class Keeping:
    """Which masks are kept."""

    least_iou: float = 0.5
    """Predicted IoU, 0 to 1."""
    least_stability: float = 0.7
    """0 to 1: see `stability`."""
    alike: float = 0.5
    """IoU from which two masks are of one object: the better one is kept."""
    inside: float = 0.7
    """A mask of which a better one covers this share is a part of that object."""
    least_agreement: float = 0.5
    """Predicted IoU times the IoU with the class's ground that a mask lies on, 0 to 1; where less agree, that ground is
    the object as it is."""
    least_share: float = 0.8
    """Of a mask's ground that its class holds."""


@dataclass(frozen=True)
class Candidates:
    """Masks of one window; m is the side of the decoder's masks."""

    logits: torch.Tensor
    """(N, m, m) float32."""
    iou: torch.Tensor
    """(N,) predicted IoU, 0 to 1."""
    stability: torch.Tensor
    """(N,) 0 to 1."""

    def __len__(self) -> int:
        return len(self.iou)

    def at(self, places: torch.Tensor) -> Candidates:
        """Some of them.

        Args:
            places: (K,) indexes or (N,) bool.
        """
        return Candidates(self.logits[places], self.iou[places], self.stability[places])

    def and_(self, others: Candidates) -> Candidates:
        """These, then others."""
        names = ("logits", "iou", "stability")
        return Candidates(*(torch.cat([getattr(self, name), getattr(others, name)]) for name in names))


def stability(logits: torch.Tensor) -> torch.Tensor:
    """How little masks depend on where their logits are cut: the IoU of the mask cut higher with the one cut lower.

    Args:
        logits: (N, ...).

    Returns:
        (N,) 0 to 1; 0 for a mask that is empty when cut lower.
    """
    flat = logits.flatten(1)
    high, low = ((flat > offset).sum(1) for offset in (STABILITY_OFFSET, -STABILITY_OFFSET))
    return high / low.clamp(min=1)


def decode_clicks(model: AdaptedSam, image: PreparedImage, clicks: np.ndarray, keeping: Keeping) -> Candidates:
    """All masks that clicks give, three each, without those that the model does not believe in.

    Args:
        model: to ask.
        image: the window's, as `model.prepare` makes it.
        clicks: (N, 2) (x, y) model pixels.
        keeping: its least IoU and stability count.
    """
    side = model.spec.mask_size
    found = [Candidates(torch.zeros(0, side, side), torch.zeros(0), torch.zeros(0))]
    for start in range(0, len(clicks), BATCH):
        points = torch.from_numpy(clicks[start : start + BATCH].astype(np.float32)).to(model.device)
        coords = torch.stack([points, torch.zeros_like(points)], dim=1)
        labels = torch.tensor([POSITIVE, PAD], device=model.device).expand(len(points), -1)
        with torch.inference_mode(), compute(model.device):
            logits, iou = model.decode(image, coords, labels)
        logits, iou = logits.float().flatten(0, 1), iou.float().flatten().clamp(0, 1)
        steady = stability(logits)
        good = (iou >= keeping.least_iou) & (steady >= keeping.least_stability)
        found.append(Candidates(logits[good].cpu(), iou[good].cpu(), steady[good].cpu()))
    return Candidates(*(torch.cat([getattr(one, name) for one in found]) for name in ("logits", "iou", "stability")))


def distinct(masks: torch.Tensor, rank: torch.Tensor, keeping: Keeping) -> torch.Tensor:
    """Non-maximum suppression by the masks themselves.

    Args:
        masks: (N, ...) bool.
        rank: (N,) the higher the better.
        keeping: `alike` and `inside` count.

    Returns:
        (K,) int64 indexes of those that are kept, the best first.
    """
    order = torch.argsort(rank, descending=True, stable=True)[:MOST_CANDIDATES]
    flat = masks[order].flatten(1).float()
    both, area = flat @ flat.T, flat.sum(1)
    alike = both / (area[:, None] + area[None] - both).clamp(min=1) >= keeping.alike
    covered = both / area[:, None].clamp(min=1) >= keeping.inside  # [i, j]: j covers i
    clash = (alike | covered).numpy()
    kept: list[int] = []
    for i in range(len(order)):
        if area[i] > 0 and not clash[i, kept].any():
            kept.append(i)
    return order[kept]
