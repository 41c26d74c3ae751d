"""A pretraining run's settings, read from a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from seglab.errors import PretrainError


@dataclass(frozen=True)
class Phase:
    """One part of the run, with its own windows and losses."""

    until: float = 1.0
    """It ends at this share of the wall-clock budget."""
    size: int = 224
    """Side of the windows, pixels: the model's input, or less for quick steps on a CPU."""
    images: int = 64
    """Windows per step and process, even."""
    objects: int = 8
    """Prompted objects per window."""
    rounds: int = 3
    """Rounds of prompts that are learned from."""
    deepest: int = 6
    """Half of the steps start after up to this many corrections."""
    dense_weight: float = 0.3
    real_share: float = 0.5
    """Share of windows on real imagery."""
    loose: float = 1.0
    """Share of windows that are turned, shifted and scaled freely; the others are laid as in use. Colours likewise."""


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes."""

    model: str = "tiny"
    seed: int = 0
    minutes: float = 60.0
    """Wall-clock budget, minutes; the learning rate's schedule follows it."""
    learning_rate: float = 1e-3
    warmup: int = 200
    """Steps."""
    cooldown: float = 0.25
    """Share of the budget, at its end, in which the learning rate falls linearly to a hundredth."""
    weight_decay: float = 0.05
    ema: float = 0.999
    """Decay of the averaged weights per step."""
    boxes: float = 0.3
    """Share of boxes among first prompts."""
    classes: float = 0.1
    """Share of prompts that mean all of a class, in steps that start after corrections."""
    exemplars: int = 2
    """Class prompts per window."""
    half: bool = True
    """Encode and decode in bfloat16."""
    compiled: bool = False
    """Fuse the network with torch.compile."""
    graphed: bool = False
    """On a GPU, replay steps as CUDA graphs. All phases must then have windows of the model's full size, and the same
    `images` and `objects`."""
    scenes: int = 1024
    """Procedural scenes that are there at a time."""
    scene_size: int = 384
    """Their rows and columns, pixels."""
    workers: int = 0
    """Processes that make new scenes all the time; with 0, the same scenes serve the whole run, which repeats."""
    export_minutes: float = 10.0
    """Weights, figures and a checkpoint are written this often."""
    leave_out: tuple[str, ...] = ()
    """Datasets that are not trained on (to test on ground and kinds never seen)."""
    phases: tuple[Phase, ...] = (Phase(),)

    def to_json(self) -> dict[str, object]:
        """Plain values, for cards and checkpoints."""
        return json.loads(json.dumps(asdict(self)))


def load_config(path: str | Path) -> Config:
    """Read a configuration file.

    Raises:
        PretrainError: the file is missing, is not JSON, or has a key that is no setting.
    """
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PretrainError(f"cannot read the configuration {str(path)!r} ({error})") from error
    return parse_config(raw)


def parse_config(raw: dict) -> Config:
    """A Config from plain values.

    Raises:
        PretrainError: a key is no setting, or there is no phase.
    """
    try:
        raw = dict(raw)
        if "phases" in raw:
            raw["phases"] = tuple(Phase(**phase) for phase in raw["phases"])
        if "leave_out" in raw:
            raw["leave_out"] = tuple(raw["leave_out"])
        config = Config(**raw)
    except TypeError as error:
        known = sorted(f.name for f in fields(Config))
        raise PretrainError(f"the configuration has a wrong key ({error}); settings are {known}") from error
    if not config.phases or any(phase.images % 2 for phase in config.phases):
        raise PretrainError("a run needs at least one phase, each with an even number of 'images'")
    if config.workers and not config.scenes:
        raise PretrainError("workers make scenes, so there must be room for them: set 'scenes' to at least 1")
    if not 0 <= config.seed < 90:
        raise PretrainError("'seed' goes from 0 to 89: higher ones reach the scenes that validation is done on")
    return config
