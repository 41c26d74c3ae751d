"""The pretraining loop: wall-clock budget, averaged weights, exact resume, one process or several."""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import distributed, nn

from seglab.errors import PretrainError
from seglab.evaluation.clicks import model_method
from seglab.models.device import choose_device
from seglab.models.spec import SPECS
from seglab.pretrain.batches import Sampler
from seglab.pretrain.calibrate import calibrate
from seglab.pretrain.config import Config, Phase, load_config
from seglab.pretrain.evaluate import evaluate, pool_cases
from seglab.pretrain.export import export_weights
from seglab.pretrain.network import CropSam, DenseHead, start
from seglab.pretrain.samples import Pool, build_pool, load_pool
from seglab.pretrain.step import StepPlan, train_step

log = logging.getLogger(__name__)
# Validation pools are small and fixed: scenes with seeds far from the training ones, and the held-out ground.
VALIDATION = {"scenes": 20, "per_scene": 4, "real_per_dataset": 40, "seed": 99_000_000}
VALIDATION_CROPS = 6
"""Crops per dataset in the figures taken during a run."""
VALIDATION_OBJECTS = 3
"""Objects per crop, likewise."""
CALIBRATION_CROPS, CALIBRATION_OBJECTS = 20, 2
"""Training crops per dataset, and objects per crop, that the predicted IoU is calibrated on."""


@dataclass(frozen=True)
class Progress:
    """Told to the caller after every step."""

    step: int
    spent: float
    """Seconds of the budget used, earlier sittings included."""
    budget: float
    """Seconds."""
    values: dict[str, float]


class Trainer:
    """One run and all its state; `save` and `load` carry it over to another sitting."""

    def __init__(
        self,
        config: Config,
        out: Path,
        device: str | None = None,
        data: str | None = None,
        pools: Path | None = None,
    ) -> None:
        """
        Args:
            config: the settings.
            out: folder of the run: checkpoint, log, weights.
            device: "cuda", "mps", "cpu"; None chooses.
            data: folder of labelled data; None finds it.
            pools: where prepared pools lie; None for OUT/pools.
        """
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.world > 1 and device is None and torch.cuda.is_available():
            device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        self.config, self.out, self.data = config, out, data
        self.device = choose_device(device)
        self.pool_folder = pools or out / "pools"
        self.pools: dict[str, Pool] = {}
        if config.model not in SPECS:
            raise PretrainError(f"no model {config.model!r}; one of {sorted(SPECS)}")
        # Every process builds the same network, and draws other data.
        torch.manual_seed(config.seed)
        spec = SPECS[config.model]
        self.model, self.head = CropSam(spec), DenseHead(spec.prompt_dim)
        self.rng = np.random.default_rng([config.seed, self.rank])
        # All processes open the pools together, before any of them waits for the others' gradients.
        for phase in config.phases:
            for name in filter(None, (phase.pool, phase.other)):
                self.pool(name)
        self._first_weights()
        self.model.to(self.device).train()
        self.head.to(self.device).train()
        self.parameters = [*self.model.sam.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        self.average = {k: v.detach().clone() for k, v in self.model.sam.state_dict().items()}
        self.step, self.spent = 0, 0.0

    # -- the loop

    def run(self, minutes: float | None = None, told: Callable[[Progress], None] | None = None) -> None:
        """Train until the budget is spent, exporting on the way.

        Args:
            minutes: budget instead of the configuration's; the schedule follows it.
            told: called after each step; may raise to stop.
        """
        budget = 60 * (self.config.minutes if minutes is None else minutes)
        started, before = time.monotonic(), self.spent
        exported = self.spent
        sums: dict[str, list[float]] = {}
        while self.spent < budget:
            values = self.advance(self.spent / budget)
            self.spent = before + time.monotonic() - started
            if self.world > 1:
                self._agree()
            for key, value in values.items():
                sums.setdefault(key, []).append(value)
            if told is not None:
                told(Progress(self.step, self.spent, budget, values))
            if self.step % 100 == 0:
                self.write({"losses": {k: float(np.mean(v)) for k, v in sums.items()}})
                sums = {}
            if self.spent - exported > 60 * self.config.export_minutes:
                self.milestone()
                exported = self.spent
        self.milestone(last=True)

    def advance(self, share: float) -> dict[str, float]:
        """One step.

        Args:
            share: how much of the budget is spent, 0..1: decides the phase and the learning rate.
        """
        phase = self.phase(share)
        other = bool(phase.other) and self.rng.random() < phase.other_share
        sampler = Sampler(
            self.pool(phase.other if other else phase.pool),
            phase.other_images if other else phase.images,
            phase.objects,
            phase.real_share,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(share)
        plan = StepPlan(
            phase.rounds, self.config.boxes, self.config.exemplars, phase.dense_weight, half=self.config.half
        )
        loss, values = train_step(self.model, self.head, sampler.draw(self.rng), plan, self.rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.world > 1:
            self._share_gradients()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        self._follow()
        return values

    def phase(self, share: float) -> Phase:
        """The phase at that share of the budget."""
        return next((p for p in self.config.phases if share < p.until), self.config.phases[-1])

    def rate(self, share: float) -> float:
        """Learning rate: linear warm-up over steps, then a cosine over the budget, down to a hundredth."""
        warm = min(1.0, (self.step + 1) / max(self.config.warmup, 1))
        cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
        return self.config.learning_rate * warm * max(cosine, 0.01)

    def pool(self, name: str, part: str = "train") -> Pool:
        """A prepared pool, made when it is not there yet (by the first process; the others wait)."""
        key = f"{name}-{part}"
        if key not in self.pools:
            plan = self.config.pools[name]
            counts = (
                VALIDATION
                if part == "val"
                else {
                    "scenes": plan.scenes,
                    "per_scene": plan.per_scene,
                    "real_per_dataset": plan.real_per_dataset,
                    "seed": plan.seed,
                }
            )
            if part == "val" and plan.real_per_dataset == 0:
                counts = {**counts, "real_per_dataset": 0}
            left_out = self.config.leave_out if part == "train" else ()
            if self.rank == 0:
                build_pool(self.pool_folder / key, plan.size, **counts, part=part, root=self.data, leave_out=left_out)
            if self.world > 1 and part == "train":
                distributed.barrier()
            self.pools[key] = load_pool(self.pool_folder / key)
        return self.pools[key]

    # -- milestones

    def milestone(self, last: bool = False) -> None:
        """Checkpoint, export the averaged weights with a card, log figures by clicks.

        Args:
            last: calibrate the exported weights' predicted IoU on training crops first (the checkpoint is not changed).
        """
        if self.rank:
            return
        self.save(self.out / "checkpoint.pt")
        with self.averaged() as model:
            if last:
                pool = self.pool(self.config.phases[-1].pool)
                offsets = calibrate(model, pool_cases(pool, CALIBRATION_CROPS, CALIBRATION_OBJECTS))
                self.write({"calibration": offsets})
            pool = self.pool(self.config.phases[-1].pool, "val")
            figures = evaluate(model_method(model), pool_cases(pool, VALIDATION_CROPS, VALIDATION_OBJECTS))
            exported = {k: v.detach().clone() for k, v in model.sam.state_dict().items()}
        self.write({"validation": figures.by_source, "overall": figures.overall})
        export_weights(
            exported,
            self.out / f"{self.config.model}.safetensors",
            {
                "model": self.config.model,
                "step": self.step,
                "seconds": round(self.spent),
                # on the crops that training watches; the figures to quote are those of the card (see report.py)
                "watched": {"overall": figures.overall, "by_source": figures.by_source},
                "config": self.config.to_json(),
            },
        )

    @contextmanager
    def averaged(self) -> Iterator[CropSam]:
        """The model with the averaged weights, for full-size input; training weights come back afterwards."""
        kept = {k: v.detach().clone() for k, v in self.model.sam.state_dict().items()}
        place, self.model.corner = self.model.corner, (0, 0)
        self.model.sam.load_state_dict(self.average)
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.sam.load_state_dict(kept)
            self.model.corner = place
            self.model.train()

    def write(self, values: dict[str, object]) -> None:
        """Append one line to the run's log."""
        if self.rank == 0:
            line = {"step": self.step, "seconds": round(self.spent, 1), **values}
            self.out.mkdir(parents=True, exist_ok=True)
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounded(line)) + "\n")
            log.info("%s", line)

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "config": json.dumps(self.config.to_json()),
            "step": self.step,
            "spent": self.spent,
            "model": self.model.sam.state_dict(),
            "head": self.head.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            PretrainError: it is missing, damaged or of another model.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.model.sam.load_state_dict(state["model"])
            self.head.load_state_dict(state["head"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = {k: v.to(self.device) for k, v in state["average"].items()}
            self.step, self.spent = int(state["step"]), float(state["spent"])
            if self.rank == 0:
                self.rng.bit_generator.state = json.loads(state["rng"])
            else:
                self.rng = np.random.default_rng([self.config.seed, self.rank, self.step])
        except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
            raise PretrainError(f"cannot resume from {str(path)!r} ({error}); leave out `resume` to start") from error

    # -- parts

    def _first_weights(self) -> None:
        phase = self.config.phases[0]
        sampler = Sampler(self.pool(phase.pool), 8, 1, phase.real_share)
        batch = sampler.draw(np.random.default_rng(self.config.seed))
        start(self.model, self.model.preprocess(batch.rgb))

    def _groups(self) -> list[dict[str, object]]:
        # Biases, norms, embeddings and position tables are not decayed, as usual for transformers.
        named = [*self.model.sam.named_parameters(), *self.head.named_parameters()]
        plain = [p for n, p in named if p.ndim < 2 or "rel_pos" in n or "token" in n or "embed" in n.split(".")[-2]]
        ids = {id(p) for p in plain}
        return [
            {"params": [p for _, p in named if id(p) not in ids]},
            {"params": plain, "weight_decay": 0.0},
        ]

    def _follow(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.sam.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def _share_gradients(self) -> None:
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.world

    def _agree(self) -> None:
        # All processes leave the loop at the same step: the first one's clock counts.
        spent = torch.tensor([self.spent], device=self.device, dtype=torch.float64)
        distributed.broadcast(spent, 0)
        self.spent = float(spent)


def rounded(value: object) -> object:
    """The same nested values with floats at four digits, for logs and cards."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def run(
    config_path: str | Path | None,
    out: str | Path,
    resume: bool = False,
    minutes: float | None = None,
    device: str | None = None,
    told: Callable[[Progress], None] | None = None,
) -> Path:
    """Pretrain a model as a configuration file says.

    Under torchrun (WORLD_SIZE > 1) gradients are averaged over the processes.

    Args:
        config_path: a JSON file; None for the packaged configs/cpu.json.
        out: folder of the run.
        resume: continue from OUT/checkpoint.pt where it exists.
        minutes: wall-clock budget, minutes; None for the configuration's.
        device: "cuda", "mps", "cpu"; None chooses.
        told: called after each step.

    Returns:
        The exported weights.

    Raises:
        PretrainError: the configuration or checkpoint cannot be used.
        DatasetError: labelled data is missing.
    """
    packaged = resources.files("seglab.pretrain") / "configs" / "cpu.json"
    config, folder = load_config(Path(str(packaged)) if config_path is None else config_path), Path(out)
    # OpenCV's own threads would fight torch's for the same cores.
    cv2.setNumThreads(1)
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several:
        distributed.init_process_group("nccl" if torch.cuda.is_available() and device != "cpu" else "gloo")
    try:
        trainer = Trainer(config, folder, device)
        if resume and (folder / "checkpoint.pt").is_file():
            trainer.load(folder / "checkpoint.pt")
        trainer.run(minutes, told)
    finally:
        if several:
            distributed.destroy_process_group()
    return folder / f"{config.model}.safetensors"
