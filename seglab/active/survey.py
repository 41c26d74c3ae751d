"""What was seen of a scene's windows in cheap passes: all that strategies know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from shapely.geometry.base import BaseGeometry

from seglab.core.windows import Window

BEFORE, BASE, FLIPS, IOUS, REFERENCE = "before", "base", "flips", "ious", "reference"
"""Passes beyond the classes of the model in use, which only some strategies need: see Survey.more."""


@dataclass(frozen=True)
class Survey:
    """N candidate windows of one scene, and what the passes over them gave."""

    windows: Sequence[Window]
    names: Sequence[str] = ("background",)
    """Of the classes, background first; that alone before any class has an object."""
    probabilities: Sequence[np.ndarray] = ()
    """Per window (C + 1, h, w) float32 by the model in use, adding up to 1; empty before any class has an object."""
    looks: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    """(N, D) mean image embedding of each window."""
    labelled_looks: np.ndarray | None = None
    """(L, D) the same of windows with labels; None where there are none."""
    start: tuple[float, float] | None = None
    """(col, row) of where the person is, scene pixels; None where nobody knows."""
    more: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    """Per window, by pass. BEFORE and BASE: (C + 1, h, w) probabilities by the round before and by the model before any
    round. FLIPS: (K, C + 1, h, w), of the window as it is and mirrored. IOUS: (C,) float32, the IoU that SAM expects of
    the mask at each class's peak, NaN where the class is nowhere. REFERENCE: (h, w) int, the class by a weak reference,
    0 for background, -1 where it says nothing."""


@dataclass(frozen=True)
class Scored:
    """How much a window is worth, and why."""

    score: float
    """Higher is more worth labelling; only comparable within one strategy and one survey."""
    reason: str
    """For a person, with `figures` in it."""
    figures: Mapping[str, float | str]
    """What the reason says, for a machine: shares and probabilities between 0 and 1, names of classes."""


@dataclass(frozen=True)
class Suggestion:
    """A window worth labelling."""

    window: Window
    geometry: BaseGeometry
    """The window's outline, scene pixels."""
    score: float
    """See Scored.score."""
    reason: str
    """Why, for a person."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """What the reason says, for a machine."""
    strategy: str = ""
    """Name of what chose it: see registry.STRATEGIES."""
