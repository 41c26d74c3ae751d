"""Training on fully labelled pairs: TransLandSeg's experiment, for its network and for those it is compared with.

As published (METHODS.md, section 1): a random 70/30 split with no separate test set, AdamW whose rate follows a cosine
over the epochs, colour jitter only, and the weights of the epoch with the lowest validation loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.core import metrics
from seglab.datasets.pairs import ImageMaskDataset, Parts
from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.device import compute
from seglab.training.supervised.map_loss import map_loss, predicted
from seglab.training.supervised.pair_batches import BandScaling, PairReader, measure_bands, split
from seglab.training.supervised.recipe import SupervisedConfig, decayed, rate_at
from seglab.training.supervised.run_files import RunFiles
from seglab.training.supervised.segmenters import Segmenter

FIRST_LOOK = 16
"""Training pairs that a segmenter may look at before it starts."""


@dataclass(frozen=True)
class SupervisedResult:
    """What training gave; the segmenter holds the best epoch's weights."""

    best: dict[str, Any]
    """The best epoch's entry of `history`."""
    history: tuple[dict[str, Any], ...]
    """Per epoch: epoch (from 1), rate, train_loss, loss (on validation), seconds, and `metrics` (see `summary`)."""
    trained_on: tuple[int, ...]
    """Indexes of the pairs."""
    validated_on: tuple[int, ...]
    scaling: BandScaling | None
    """Of the extra bands."""
    peak_mb: float | None
    """Peak memory of the GPU, MiB; None without one."""


def fit(
    reporter: Reporter,
    segmenter: Segmenter,
    dataset: ImageMaskDataset,
    targets: dict[str, int],
    config: SupervisedConfig,
    folder: Path,
    extra_bands: bool = False,
    resume: bool = False,
    parts: Parts | None = None,
) -> SupervisedResult:
    """Train a segmenter and leave it with the weights of its best epoch.

    Every epoch draws its own numbers, so that a resumed run ends as an uninterrupted one (on a CPU: bit by bit).

    Args:
        reporter: told after each step; a cancelled run can be resumed from its last whole epoch.
        segmenter: changed in place, on its device.
        dataset: the pairs.
        targets: mask value by name of the classes to learn: see `target_classes`.
        config: the recipe.
        folder: where checkpoints go.
        extra_bands: feed the dataset's extra bands to the segmenter.
        resume: go on from `folder`'s checkpoint, where there is one.
        parts: indexes of the pairs to train on and of those to validate on; a random split, as published, if None.

    Raises:
        TrainingError: the recipe or the pairs make no training, the checkpoint is another run's, or memory is short.
        DatasetError: a pair cannot be read.
        JobCancelled: the run was cancelled.
    """
    _check(config, segmenter)
    if parts is None:
        parts = split(len(dataset), config.train_share, config.seed)
    trained_on, validated_on = (list(part) for part in parts)
    scaling = measure_bands(dataset, trained_on) if extra_bands else None
    reader = PairReader(dataset, targets, segmenter.input_size, config.jitter, scaling, config.turns, config.crops)
    run = _Run(reporter, segmenter, reader, tuple(targets), config, trained_on, validated_on)
    files = RunFiles(
        folder,
        {
            "segmenter": segmenter.describe(),
            "config": asdict(config),
            "dataset": dataset.name,
            "pairs": len(dataset),
            "targets": targets,
            "extra_bands": extra_bands,
            "parts": [trained_on, validated_on],
        },
    )
    state = files.load(segmenter.module, run.optimiser) if resume else None
    history: list[dict[str, Any]] = [] if state is None else state
    if not history:
        segmenter.begin(reader.stream([[i] for i in trained_on[:FIRST_LOOK]]))
    for epoch in range(len(history), config.epochs):
        history.append(run.epoch(epoch))
        if history[-1]["loss"] <= min(entry["loss"] for entry in history):
            files.save_best(segmenter.state())
        files.save(segmenter.state(), run.optimiser, history)
    segmenter.module.load_state_dict(files.load_best(), strict=False)
    segmenter.module.eval()
    best = min(reversed(history), key=lambda entry: entry["loss"])
    return SupervisedResult(best, tuple(history), tuple(trained_on), tuple(validated_on), scaling, run.peak_mb())


def summary(table: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """METHODS.md's measures of one pixel confusion table.

    Args:
        table: from `metrics.confusion`, background first.
        names: of the classes, without the background.

    Returns:
        OA, mIoU, FWIoU (over background and classes), and per class name precision, recall, F1 and IoU; None where a
        measure has nothing to count.
    """
    everything = ("background", *names)
    per_class = {
        "precision": metrics.precision_per_class(table),
        "recall": metrics.recall_per_class(table),
        "F1": metrics.f1_per_class(table),
        "IoU": metrics.iou_per_class(table),
    }
    return {
        "OA": _number(metrics.accuracy(table)),
        "mIoU": _number(metrics.mean_iou(table)),
        "FWIoU": _number(metrics.frequency_weighted_iou(table)),
        "classes": {
            name: {key: _number(values[i]) for key, values in per_class.items()} for i, name in enumerate(everything)
        },
    }


class _Run:
    """One training run: its parts, and what an epoch does with them."""

    def __init__(
        self,
        reporter: Reporter,
        segmenter: Segmenter,
        reader: PairReader,
        names: tuple[str, ...],
        config: SupervisedConfig,
        trained_on: list[int],
        validated_on: list[int],
    ) -> None:
        self._reporter, self._segmenter, self._reader = reporter, segmenter, reader
        self._names, self._config = names, config
        self._trained_on, self._validated_on = trained_on, validated_on
        self._device = next(segmenter.module.parameters()).device
        groups = decayed(segmenter.module, config)
        self.optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def epoch(self, epoch: int) -> dict[str, Any]:
        """Train on every training pair once, then validate; the epoch's entry in the history."""
        config, started = self._config, time.monotonic()
        rate = rate_at(epoch, config)
        with _seeded(config.seed + epoch, self._device), _memory_advice(config, self._segmenter):
            train_loss = self._train(epoch)
            loss, table = self._validate(epoch)
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss of epoch {epoch + 1} is {loss}; lower the learning rate ({rate})")
        return {
            "epoch": epoch + 1,
            "rate": rate,
            "train_loss": train_loss,
            "loss": loss,
            "metrics": summary(table, self._names),
            "seconds": round(time.monotonic() - started, 2),
        }

    def peak_mb(self) -> float | None:
        """Peak memory of the GPU, MiB."""
        return torch.cuda.max_memory_allocated(self._device) / 2**20 if self._device.type == "cuda" else None

    def _train(self, epoch: int) -> float:
        segmenter, rng = self._segmenter, np.random.default_rng([self._config.seed, epoch])
        order = [self._trained_on[i] for i in rng.permutation(len(self._trained_on))]
        groups = [g for g in _groups(order, self._config.batch) if len(g) >= segmenter.smallest_batch]
        if not groups:
            raise TrainingError(
                f"{len(order)} training pairs are too few for this network, which needs {segmenter.smallest_batch} per "
                "step; add labelled images"
            )
        segmenter.module.train()
        total, seen = 0.0, 0
        stream = self._reader.stream(groups, (self._config.seed, epoch))
        for step, (indexes, batch) in enumerate(zip(groups, stream, strict=True)):
            for group in self.optimiser.param_groups:
                group["lr"] = rate_at(epoch + (step + 0.5) / len(groups), self._config)
            with compute(self._device):
                features = segmenter.features(batch)
                loss = segmenter.loss(features, self._upsampled(features), batch, rng)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            seen += len(indexes)
            total += float(loss.detach()) * len(indexes)
            self._report(epoch, seen, "training", total / seen)
        return total / seen

    def _validate(self, epoch: int) -> tuple[float, np.ndarray]:
        """Mean loss over the validation batches, and the confusion table of all their pixels."""
        groups, count = _groups(self._validated_on, self._config.batch), len(self._names) + 1
        self._segmenter.module.eval()
        total, seen = 0.0, 0
        table = np.zeros((count, count + 1), np.int64)
        for group, batch in zip(groups, self._reader.stream(groups), strict=True):
            with torch.inference_mode(), compute(self._device):
                logits = self._upsampled(self._segmenter.features(batch))
                loss = map_loss(logits, torch.from_numpy(batch.target).to(self._device))
            table += metrics.confusion(predicted(logits).cpu().numpy(), batch.target, count)
            seen += len(group)
            total += float(loss) * len(group)
            self._report(epoch, len(self._trained_on) + seen, "validating", total / seen)
        return total / seen, table

    def _upsampled(self, features: Tensor) -> Tensor:
        """Logits at the input's size, where the loss and the measures are taken."""
        size = (self._segmenter.input_size,) * 2
        return F.interpolate(self._segmenter.logits(features).float(), size, mode="bilinear", align_corners=False)

    def _report(self, epoch: int, seen: int, doing: str, loss: float) -> None:
        pairs = len(self._trained_on) + len(self._validated_on)
        message = f"epoch {epoch + 1} of {self._config.epochs}: {doing}"
        self._reporter.update(epoch * pairs + seen, self._config.epochs * pairs, message=message, loss=loss)


def _check(config: SupervisedConfig, segmenter: Segmenter) -> None:
    if config.epochs < 1 or config.batch < segmenter.smallest_batch or not 0 < config.train_share < 1:
        raise TrainingError(
            f"{config.epochs} epochs in batches of {config.batch} on {config.train_share:.0%} of the pairs is no "
            f"training; use at least 1 epoch, at least {segmenter.smallest_batch} pairs per batch, and a share between "
            "0 and 1"
        )
    if config.learning_rate <= 0:
        raise TrainingError(f"a learning rate of {config.learning_rate} teaches nothing; it must be above 0")


def _groups(indexes: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indexes[i : i + size] for i in range(0, len(indexes), size)]


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's own chance (dropout), from a seed of the epoch's; the caller's is as it was afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _memory_advice(config: SupervisedConfig, segmenter: Segmenter) -> Iterator[None]:
    """The batch is part of the recipe (Dice is taken over all of it), so it is not halved behind the user's back."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{config.batch} images of {segmenter.input_size} pixels do not fit the GPU's memory; lower the batch, put "
            "the adapter in fewer blocks (adapt_from), or use a smaller model"
        ) from error


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
