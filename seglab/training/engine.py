"""A round from its job to its outcome: load, train, judge. The same in a process of its own and in the session's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from seglab.errors import RoundMismatchError
from seglab.jobs import Reporter
from seglab.models.registry import load_model
from seglab.models.restore import restore_model
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.training.blocks import MINIMUM_HELD_OUT
from seglab.training.job import RoundOutcome, TrainingJob
from seglab.training.judging import judge
from seglab.training.loop import train
from seglab.training.memory import peak_mb
from seglab.training.validation import Validation, compare


def run_job(
    reporter: Reporter, job: TrainingJob, on_preview: Callable[[dict[str, np.ndarray]], None] | None = None
) -> RoundOutcome:
    """Train a round and, where enough objects are held out, judge it and its parent.

    Args:
        reporter: told progress; may cancel.
        job: what to train.
        on_preview: told the preview's tensors as soon as they are there.

    Raises:
        TrainingError: there is nothing to train on, or the recipe is none.
        CheckpointError, DownloadError, DeviceError: the base model cannot be loaded.
        RoundMismatchError: it is another than the job's, or the parent's tensors do not fit it.
        JobCancelled: the reporter asked to stop.
    """
    started = time.monotonic()
    reporter.update(0, job.config.steps, message="loading the model")
    prefixes = ArrayCache(job.cache_bytes, job.cache_folder)
    parent = _parent(reporter, job)
    model = parent.branch_off()
    trained = train(reporter, model, job, prefixes, on_preview)
    validation = _validation(reporter, job, parent, model, prefixes)
    return RoundOutcome(
        tensors=trained.tensors,
        losses=trained.losses,
        fit_iou=trained.fit_iou,
        validation=validation,
        seconds=time.monotonic() - started,
        config=asdict(job.config),
        peak_mb=peak_mb(),
        notes=trained.notes,
    )


def _parent(reporter: Reporter, job: TrainingJob) -> AdaptedSam:
    """The model that the round starts from, with a prompt for every class of the round.

    Where the parent does not know a class, its prompt is the mean of the class's first objects: that is what the
    session draws its map with, so that is what the round is compared with.
    """
    origin = job.origin
    model = load_model(
        origin.name,
        checkpoint=origin.checkpoint,
        device=job.device,
        adapt_from=job.adapt_from,
        extra_bands=job.extra_bands,
        reporter=reporter,
    )
    if model.base_hash() != job.weights:
        what = "its weights file" if origin.checkpoint is None else f"the checkpoint file {str(origin.checkpoint)!r}"
        raise RoundMismatchError(
            f"model {origin.name!r} is no longer the one that the project was opened with: {what} was changed since; "
            "put the file back, or open the project again"
        )
    if job.parent:
        model = restore_model(model, job.adapter, job.parent, "the round to start from")
    model.class_prompts = nn.Parameter(
        torch.from_numpy(np.array(job.class_prompts, dtype=np.float32)).to(model.device), requires_grad=False
    )
    return model


def _validation(
    reporter: Reporter, job: TrainingJob, parent: AdaptedSam, model: AdaptedSam, prefixes: ArrayCache
) -> Validation | None:
    """The round beside its parent on held-out ground; None where too few objects are there."""
    if sum(len(chip.masks) for chip in job.held_out) < MINIMUM_HELD_OUT:
        return None
    found = []
    for who, judged in (("the round before", parent), ("the new round", model)):
        reporter.update(job.config.steps, message=f"judging {who} on held-out ground")
        found.append(judge(reporter, judged, job.held_out, prefixes))
    return compare(*found, job.classes)
