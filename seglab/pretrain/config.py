"""A pretraining run's settings, read from a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from seglab.errors import PretrainError


@dataclass(frozen=True)
class PoolPlan:
    """How many crops are prepared; see samples.build_pool."""

    size: int = 112
    scenes: int = 2200
    per_scene: int = 4
    real_per_dataset: int = 600
    seed: int = 1


@dataclass(frozen=True)
class Phase:
    """One part of the run, with its own crop size and losses."""

    until: float
    """It ends at this share of the wall-clock budget."""
    pool: str
    """A key of Config.pools."""
    images: int = 4
    """Crops per step and process, even."""
    objects: int = 8
    """Prompted objects per crop."""
    rounds: int = 2
    """Prompts per object: the first and corrections; 0 trains the encoder and class prompts alone."""
    dense_weight: float = 0.5
    real_share: float = 0.5
    """Share of crops that are real imagery."""
    other: str = ""
    """A second pool that some steps draw from: another key of Config.pools, or empty."""
    other_share: float = 0.0
    """Share of such steps."""
    other_images: int = 2
    """Crops per such step."""


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes."""

    model: str = "tiny"
    seed: int = 0
    minutes: float = 85.0
    """Wall-clock budget, minutes; the learning rate's schedule follows it."""
    learning_rate: float = 8e-4
    warmup: int = 100
    """Steps."""
    weight_decay: float = 0.05
    ema: float = 0.998
    """Decay of the averaged weights per step."""
    boxes: float = 0.4
    """Share of boxes among first prompts in mixed steps (six of ten)."""
    exemplars: int = 2
    """Class prompts per crop."""
    half: bool = True
    """Encode in bfloat16."""
    export_minutes: float = 10.0
    """Weights, figures and a checkpoint are written this often."""
    leave_out: tuple[str, ...] = ()
    """Datasets that are not trained on (to test on ground and kinds never seen)."""
    pools: dict[str, PoolPlan] = field(default_factory=lambda: {"small": PoolPlan()})
    phases: tuple[Phase, ...] = (Phase(1.0, "small"),)

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
        PretrainError: a key is no setting, or a phase names a pool that is not there.
    """
    try:
        raw = dict(raw)
        if "pools" in raw:
            raw["pools"] = {name: PoolPlan(**plan) for name, plan in raw["pools"].items()}
        if "phases" in raw:
            raw["phases"] = tuple(Phase(**phase) for phase in raw["phases"])
        if "leave_out" in raw:
            raw["leave_out"] = tuple(raw["leave_out"])
        config = Config(**raw)
    except TypeError as error:
        known = sorted(f.name for f in fields(Config))
        raise PretrainError(f"the configuration has a wrong key ({error}); settings are {known}") from error
    named = {phase.pool for phase in config.phases} | {phase.other for phase in config.phases if phase.other}
    missing = named - set(config.pools)
    if missing:
        raise PretrainError(f"phases name pools that are not there: {sorted(missing)}; add them under 'pools'")
    return config
