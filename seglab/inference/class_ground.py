"""What the classes say of the objects in a window: ground that hangs together, and how far a mask agrees with it."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from seglab.inference.mapper import probabilities
from seglab.inference.window_masks import Candidates, stability

COVERED = 0.3
"""Ground of which masks hold at least this share is theirs; other ground is an object as it is."""
_SUREST = 12.0
"""Log odds are clipped to -12..12: probabilities of single precision end there."""


class ClassGround:
    """The regions of the classes in a window, at the decoder's resolution: m cells a side.

    Args:
        logits: (C, m, m) float32, see mapper.class_logits.
        sought: 0-based indexes of the classes whose objects are wanted.
        wanted: (m, m) bool, where objects are wanted.
    """

    def __init__(self, logits: np.ndarray, sought: list[int], wanted: np.ndarray) -> None:
        likely = probabilities(logits, logits.shape[-2:])
        best = likely.argmax(0)
        numbers, kinds = np.zeros(best.shape, dtype=np.int32), [np.zeros(0, dtype=np.int64)]
        for kind in sought:
            found, count = ndimage.label((best == kind + 1) & wanted)
            numbers[found > 0] = found[found > 0] + sum(map(len, kinds))
            kinds.append(np.full(count, kind))
        self._numbers = numbers
        """(m, m), 0: no region."""
        self._kinds = np.concatenate(kinds)
        self._likely = torch.from_numpy(likely[1:])
        regions = numbers.ravel() == np.arange(1, len(self._kinds) + 1)[:, None]
        self._regions = torch.from_numpy(regions.astype(np.float32))
        """(R, m * m) 0 or 1."""

    def agreement(self, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """How far masks are the regions that they lie on.

        Args:
            masks: (N, m, m) bool.

        Returns:
            (N,) IoU of each with the region of which it holds most; (N,) share of it that lies on ground of that
            region's class; (N,) 0-based index of that class. 0 where a mask lies on no region.
        """
        flat = masks.flatten(1).float()
        if not len(self._kinds):
            return torch.zeros(len(flat)), torch.zeros(len(flat)), torch.zeros(len(flat), dtype=torch.int64)
        both, area = flat @ self._regions.T, flat.sum(1).clamp(min=1)
        held, region = both.max(1)
        kind = torch.from_numpy(self._kinds)[region]
        of_kind = torch.from_numpy(self._kinds)[None] == kind[:, None]
        share = (both * of_kind).sum(1) / area
        return held / (area + self._regions.sum(1)[region] - held).clamp(min=1), share, kind

    def uncovered(self, masks: torch.Tensor, least: int) -> tuple[Candidates, torch.Tensor]:
        """The regions that masks leave, as masks of their own: their score is the mean probability of their class.

        Args:
            masks: (K, m, m) bool, that are kept.
            least: cells, of the smallest region.

        Returns:
            The regions, without what masks hold; (N,) 0-based index of the class of each.
        """
        taken = masks.any(0) if len(masks) else torch.zeros(self._numbers.shape, dtype=torch.bool)
        size = self._regions.sum(1)
        open_ = (self._regions @ taken.flatten().float() < COVERED * size) & (size >= least)
        places = torch.nonzero(open_).flatten()
        kinds = torch.from_numpy(self._kinds)[places]
        likely = self._likely[kinds]
        inside = (self._regions[places] > 0).reshape(likely.shape) & ~taken
        odds = torch.logit(likely).clamp(-_SUREST, _SUREST)
        logits = torch.where(inside, odds.clamp(min=torch.finfo(odds.dtype).eps), -odds.abs())
        score = (likely * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)
        return Candidates(logits, score, stability(torch.where(inside, odds, -odds.abs()))), kinds
