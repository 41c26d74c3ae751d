"""The pretraining loop: wall-clock budget, averaged weights, resume, one process or several."""

from __future__ import annotations

import json
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed

from seglab.errors import CheckpointError, PretrainError
from seglab.models.checkpoint import load_weights
from seglab.models.device import choose_device
from seglab.models.spec import SPECS
from seglab.pretrain.bank import Bank
from seglab.pretrain.batches import Draw, draw_view
from seglab.pretrain.calibrate import calibrate
from seglab.pretrain.config import Config, Phase
from seglab.pretrain.evaluate import evaluate, fixed_windows
from seglab.pretrain.export import export_weights
from seglab.pretrain.feed import SceneFeed
from seglab.pretrain.ground import load_ground, procedural_ground
from seglab.pretrain.learner import Learner
from seglab.pretrain.step import StepPlan, plan_rounds

log = logging.getLogger(__name__)
VALIDATION_SCENES, VALIDATION_SEED = 16, 99_000_000
"""Procedural scenes that figures are taken on, and the seed of the first, far from those of training."""
VALIDATION_PARTS = 48
"""Objects per dataset in the figures taken during a run."""
CALIBRATION_PARTS = 192
"""Training objects per dataset that the predicted IoU is fitted to at the end."""
TAKEN = 2
"""New scenes that are taken in per step, at most."""
LOGGED = 50
"""Steps between lines of the log."""


@dataclass(frozen=True)
class Progress:
    """Told to the caller after every step."""

    step: int
    spent: float
    """Seconds of the budget used, earlier sittings included."""
    budget: float
    """Seconds."""


class Trainer:
    """One run and all its state; `save` and `load` carry it over to another sitting."""

    def __init__(self, config: Config, out: Path, ground: Path | None, device: str | None = None) -> None:
        """
        Args:
            config: the settings.
            out: folder of the run: checkpoint, log, weights.
            ground: folder of prepared ground (see prepare.py); None trains on procedural scenes alone.
            device: "cuda", "mps", "cpu"; None chooses.
        """
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.world > 1 and device is None and torch.cuda.is_available():
            device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        self.config, self.out = config, out
        self.device = choose_device(device)
        if self.device.type == "cuda":
            # Streams and graphs belong to the current device, whatever device their tensors are on.
            torch.cuda.set_device(self.device)
        if config.model not in SPECS:
            raise PretrainError(f"no model {config.model!r}; one of {sorted(SPECS)}")
        # Every process draws other data, and begins with the first one's weights.
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng([config.seed, self.rank])
        self.generator = torch.Generator(self.device).manual_seed(config.seed + 1000 * self.rank)
        self.bank = self._training_bank(ground)
        self.watched = self._watched_bank(ground)
        self.learner = Learner(config, self.bank, self.generator, self.world)
        self.step, self.spent, self.fresh = 0, 0.0, True

    # -- the loop

    def run(self, minutes: float | None = None, told: Callable[[Progress], None] | None = None) -> None:
        """Train until the budget is spent, exporting on the way.

        Args:
            minutes: budget instead of the configuration's; the schedule follows it.
            told: called after each step; may raise to stop.
        """
        budget = 60 * (self.config.minutes if minutes is None else minutes)
        with ExitStack() as stack:
            feed = None
            if self.config.workers:
                seed = self._scene_seed + 10_000_000 * (1 + self.step)
                feed = stack.enter_context(SceneFeed(self.config.workers, self.config.scene_size, seed))
            self._fill(feed)
            if self.fresh:
                self._first_weights()
            if self.world > 1:
                self.learner.agree()
            self._loop(budget, feed, told)
        self.milestone(last=True)

    def _loop(self, budget: float, feed: SceneFeed | None, told: Callable[[Progress], None] | None) -> None:
        if self.config.compiled or self.config.graphed:
            # The first step compiles, and captures its own plan, which is not training's time.
            self.advance(self.spent / budget)
        started, before = time.monotonic(), self.spent
        exported, stable = self.spent, self.spent > (1 - self.config.cooldown) * budget
        sums: dict[str, list[Tensor]] = {}
        while self.spent < budget:
            for scene in feed.ready(TAKEN) if feed is not None else ():
                self.bank.put(scene)
            values = self.advance(self.spent / budget)
            for key, value in values.items():
                sums.setdefault(key, []).append(value)
            if self.step % LOGGED == 0:
                self.write({"losses": {k: torch.stack(v).mean().item() for k, v in sums.items()}})
                sums = {}
            self.spent = before + time.monotonic() - started
            if self.world > 1:
                self._agree()
            if told is not None:
                told(Progress(self.step, self.spent, budget))
            if not stable and self.spent > (1 - self.config.cooldown) * budget:
                # From here another run may go on at the full learning rate, on other data: see `begin_from`.
                self.save(self.out / "stable.pt")
                stable = True
            if self.spent - exported > 60 * self.config.export_minutes:
                self.milestone()
                exported = self.spent

    def advance(self, share: float) -> dict[str, Tensor]:
        """One step.

        Args:
            share: how much of the budget is spent, 0..1: decides the phase and the learning rate.
        """
        config, phase = self.config, self.phase(share)
        first, rounds = plan_rounds(self.rng, phase.rounds, phase.deepest)
        self.learner.model.place(phase.size, self.rng)
        values = self.learner.step(
            Draw(phase, bool(self.rng.random() < phase.loose), config.classes if first else 0.0, config.exemplars),
            StepPlan(first, rounds, config.boxes, phase.dense_weight, config.half),
            self.rate(share),
            min(config.ema, (2 + self.step) / (11 + self.step)),
        )
        self.step += 1
        return values

    def phase(self, share: float) -> Phase:
        """The phase at that share of the budget."""
        return next((p for p in self.config.phases if share < p.until), self.config.phases[-1])

    def rate(self, share: float) -> float:
        """Learning rate: linear warm-up over steps, constant, then linearly down to a hundredth."""
        warm = min(1.0, (self.step + 1) / max(self.config.warmup, 1))
        left = (1 - min(share, 1.0)) / max(self.config.cooldown, 1e-6)
        return self.config.learning_rate * warm * max(min(left, 1.0), 0.01)

    # -- milestones

    def milestone(self, last: bool = False) -> None:
        """Checkpoint, export the averaged weights with a card, log figures by clicks.

        Args:
            last: fit the exported weights' predicted IoU to training ground first; the checkpoint stays.
        """
        if self.rank:
            return
        self.save(self.out / "checkpoint.pt")
        size, card = SPECS[self.config.model].image_size, {"model": self.config.model, "step": self.step}
        with self.learner.averaged() as network:
            if last:
                windows = fixed_windows(self.bank, size, CALIBRATION_PARTS)
                card["calibration"] = rounded(calibrate(network, self.bank, windows))
                self.write({"calibration": card["calibration"]})
            figures = evaluate(network, self.watched, fixed_windows(self.watched, size, VALIDATION_PARTS))
            exported = {k: v.detach().clone() for k, v in self.learner.model.sam.state_dict().items()}
        self.write({"validation": figures.by_source, "overall": figures.overall})
        export_weights(
            exported,
            self.out / f"{self.config.model}.safetensors",
            {
                **card,
                "seconds": round(self.spent),
                # on the windows that training watches; the figures to quote are those of the card (see report.py)
                "watched": rounded({"overall": figures.overall, "by_source": figures.by_source}),
                "config": self.config.to_json(),
            },
        )

    def write(self, values: dict[str, object]) -> None:
        """Append one line to the run's log."""
        if self.rank == 0:
            line = {"step": self.step, "seconds": round(self.spent, 1), **values}
            self.out.mkdir(parents=True, exist_ok=True)
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded(line)) + "\n")
            log.info("%s", rounded(line))

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on, atomically."""
        if self.rank:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "config": json.dumps(self.config.to_json()),
            "step": self.step,
            "spent": self.spent,
            **self.learner.state(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "generator": self.generator.get_state(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continue a run from its checkpoint.

        Raises:
            PretrainError: it is missing, damaged or of another model.
        """
        self.fresh = False
        with self._reading(path) as state:
            self._take(state)
            self.spent = float(state["spent"])
            if self.rank == 0:
                self.rng.bit_generator.state = json.loads(state["rng"])
                self.generator.set_state(state["generator"].cpu())
            else:
                self.rng = np.random.default_rng([self.config.seed, self.rank, self.step])
                self.generator.manual_seed(self.config.seed + 1000 * self.rank + self.step)

    def begin_from(self, path: Path) -> None:
        """Start a run of its own, with a fresh budget, from what another has learned.

        Args:
            path: a checkpoint, whose weights, optimiser and number of steps are taken over, or weights alone
                (.safetensors), such as the packaged ones.

        Raises:
            PretrainError: it is missing, damaged or of another model.
        """
        self.fresh = False
        if path.suffix == ".safetensors":
            try:
                load_weights(self.learner.model.sam, path, self.config.model)
            except CheckpointError as error:
                raise PretrainError(f"cannot begin from {str(path)!r} ({error}); begin anew without it") from error
            self.learner.average_anew()
            return
        with self._reading(path) as state:
            self._take(state)

    # -- parts

    @contextmanager
    def _reading(self, path: Path) -> Iterator[dict]:
        try:
            yield torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
            raise PretrainError(f"cannot go on from {str(path)!r} ({error}); begin anew without it") from error

    def _take(self, state: dict) -> None:
        self.learner.take(state)
        self.step = int(state["step"])

    @property
    def _scene_seed(self) -> int:
        return 1 + 1_000_000 * (self.config.seed + self.rank)

    def _training_bank(self, ground: Path | None) -> Bank:
        kept = [] if ground is None else list(load_ground(ground / "train", self.config.leave_out))
        return Bank(kept, self.config.scenes, self.config.scene_size, self.device)

    def _watched_bank(self, ground: Path | None) -> Bank:
        seeds = range(VALIDATION_SEED, VALIDATION_SEED + VALIDATION_SCENES)
        scenes = [procedural_ground(seed, self.config.scene_size) for seed in seeds]
        return Bank([*scenes, *([] if ground is None else load_ground(ground / "val"))], device=self.device)

    def _fill(self, feed: SceneFeed | None) -> None:
        """Lay in procedural scenes: with a feed an eighth of the places, since more will come; else all, by seed."""
        if feed is None:
            for seed in range(self._scene_seed, self._scene_seed + self.config.scenes):
                self.bank.put(procedural_ground(seed, self.config.scene_size))
        else:
            for _ in range(max(1, self.config.scenes // 8)):
                self.bank.put(feed.wait())

    def _first_weights(self) -> None:
        with torch.no_grad():
            _, view = draw_view(self.bank, self.config.phases[0], True, self.generator)
        self.learner.first_weights(view.rgb)
        self.fresh = False

    def _agree(self) -> None:
        # All processes leave the loop at the same step: the first one's clock counts.
        spent = torch.tensor([self.spent], device=self.device, dtype=torch.float64)
        distributed.broadcast(spent, 0)
        self.spent = float(spent)


def rounded(value: object) -> object:
    """The same nested values with floats at four digits, for logs and cards."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value
