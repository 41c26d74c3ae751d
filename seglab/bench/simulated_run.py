"""What a run of `seglab simulate` is made of, and what its annotator's work costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seglab.training.job import RoundConfig

GOOD = 0.85
"""IoU with the true object from which the person accepts."""
CLICKS = 5
"""Clicks after which the person draws the object by hand."""
DRAWN = 5
"""Clicks that drawing counts as: assumed."""
REVIEWED = 1
"""Clicks to mark a window as reviewed, with or without objects in it."""
BATCH = 5
"""Windows that are suggested at once, as in a session."""
VIEWS = 3
"""Views of each labelled window that a round trains on."""
STEPS = 30
"""Steps of a round."""
LEARNING_RATE = 3e-4
"""Of a round."""


@dataclass(frozen=True)
class SimulatedRun:
    """One strategy on one folder with one seed: equal runs give equal curves, up to rounding."""

    folder: str
    """The dataset's folder; or a scene's file, with `labels`."""
    model: str
    weights: str
    """Hash of the model's weights."""
    strategy: str
    seed: int
    """Of the first windows, of what the strategy draws by chance and of training."""
    rounds: int
    share: float
    """Of the clicks that all of the pool takes: the budget."""
    pool: int
    """Windows to choose from, at most."""
    held_out: int
    """Windows that judge, at most."""
    steps: int
    """Of each round."""
    adapter: str
    place: str
    """Where the adapter begins: see models.adapters.base.first_block."""
    labels: str | None = None
    """The file of a scene's labels."""
    class_name: str | None = None
    """Of all objects of that file; None where it tells."""
    checkpoint: str | None = None
    device: str | None = None

    @property
    def dataset(self) -> str:
        """The dataset's name, or the scene's."""
        return Path(self.folder).name if self.labels is None else Path(self.folder).stem

    def config(self, number: int) -> RoundConfig:
        """The recipe of round `number`, 1 for the first: class maps alone are learned and no preview is made."""
        return RoundConfig(
            seed=1000 * self.seed + number, steps=self.steps, learning_rate=LEARNING_RATE, preview_steps=0
        )

    def identity(self) -> dict[str, Any]:
        """All on which the figures depend, as JSON."""
        costs = {"good": GOOD, "clicks": CLICKS, "drawn": DRAWN, "reviewed": REVIEWED, "batch": BATCH, "views": VIEWS}
        named = {k: v for k, v in asdict(self).items() if v is not None or k not in ("labels", "class_name")}
        return named | {"dataset": self.dataset, "recipe": asdict(self.config(1)), "costs": costs}
