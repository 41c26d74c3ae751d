"""A student of the model in use: taught by what is labelled, and by the model itself on ground that nobody labelled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from shapely import STRtree
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.app.maps.mapping import map_scale
from seglab.app.rounds.guesses import SURE, teacher_guesses
from seglab.app.rounds.held_out import kept_out
from seglab.app.rounds.making import UNVALIDATED, Making, shown_card
from seglab.app.rounds.round_scenes import RoundScene
from seglab.app.rounds.rounds import CurrentModel
from seglab.app.suggestions.candidates import MOSTLY
from seglab.core.metrics import confusion, mean_iou
from seglab.core.windows import sweep_windows
from seglab.encoding.teaching import CachedTeacher
from seglab.jobs import Reporter
from seglab.models.student.network import build_student
from seglab.models.student.restore import student_identity, student_tensors
from seglab.models.student.spec import student_spec
from seglab.models.student.teachers import SamTeacher
from seglab.store.cache import ArrayCache
from seglab.training.losses import IGNORE
from seglab.training.supervised.chip_pairs import ChipPairs
from seglab.training.supervised.fit import SupervisedResult, fit
from seglab.training.supervised.pupils import StudentSegmenter
from seglab.training.supervised.recipe import STUDENT_RECIPE
from seglab.training.transfer import TransferConfig

LABELLED_WINDOWS = 32
"""Windows with labels that a student is shown, at most; each in many ways."""
UNLABELLED_WINDOWS = 32
"""Windows without, in all scenes together, at most."""
SEEN = 2000
"""Windows that a student sees in all, each as often: with "small" and tiny about twelve minutes on one core, nearly
half of it for the teacher."""


@dataclass(frozen=True)
class StudentWishes:
    """What a person asks of a student."""

    student: str = "small"
    """Its name: see `seglab.models.student.spec`."""
    epochs: int | None = None
    """Times that it sees every window; None: until it has seen SEEN."""
    sure: float | None = SURE
    """Probability from which its teacher's class counts as a label where nobody has labelled; None: never."""
    encoder_weights: Path | None = None
    """What its encoder starts from; random weights if None."""
    transfer: TransferConfig = TransferConfig()  # noqa: RUF009 - it is frozen


def unlabelled_windows(
    reporter: Reporter, scenes: Sequence[RoundScene], count: int = UNLABELLED_WINDOWS
) -> list[np.ndarray]:
    """Windows of scenes as a teacher sees them, spread by chance: none shows ground that is kept out.

    Args:
        reporter: may cancel in between.
        scenes: where to look.
        count: windows, at most, in all scenes together.

    Returns:
        (S, S, 3) uint8 each; those that have data in most of their pixels.
    """
    found: list[np.ndarray] = []
    for place, one in enumerate(scenes):
        scene, wanted = one.current.encoder.scene, len(found) + (count - len(found)) // (len(scenes) - place)
        size = one.current.encoder.model.spec.image_size
        windows = list(sweep_windows(scene.grid.shape, size, 0.0, map_scale(one.state)))
        closed = STRtree(kept_out(one.state))
        for i in np.random.default_rng(0).permutation(len(windows)):
            reporter.check()
            if len(found) == wanted:
                break
            if len(closed.query(windows[i].polygon, predicate="intersects")) == 0:
                rgb, valid = scene.rgb(windows[i])
                if valid.mean() >= MOSTLY:
                    found.append(rgb)
    return found


def make_student(
    reporter: Reporter,
    start: CurrentModel,
    making: Making,
    unlabelled: Sequence[np.ndarray],
    cache: ArrayCache,
    wishes: StudentWishes,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Train a student.

    Args:
        reporter: told about windows; may cancel.
        start: its teacher.
        making: what is labelled, as for a round.
        unlabelled: see `unlabelled_windows`.
        cache: keeps the teacher's features.
        wishes: which student.

    Returns:
        Its tensors, and its card without bands and resolution.

    Raises:
        TrainingError: it cannot be trained as asked, or the model in use takes extra bands.
        ModelNotFoundError, CheckpointError: no such student, or its weights are of another encoder.
        JobCancelled: nothing is kept.
    """
    started = time.monotonic()
    model, job = start.encoder.model, making.job
    spec = replace(student_spec(wishes.student), image_size=model.spec.image_size)
    epochs = wishes.epochs or max(1, round(SEEN / (len(job.chips) + len(unlabelled))))
    config = replace(STUDENT_RECIPE, epochs=epochs, seed=job.config.seed)
    student = build_student(spec, len(job.classes), encoder_weights=wishes.encoder_weights, seed=config.seed).to(
        model.device
    )
    taught_by = SamTeacher(model, classes=job.classes)
    teacher = CachedTeacher(taught_by, cache, model.device)
    guesses = []
    if wishes.sure is not None:
        windows = [*(chip.rgb for chip in job.chips), *unlabelled]
        guesses = teacher_guesses(reporter, taught_by, windows, wishes.sure, torch.from_numpy(job.class_prompts))
    pairs = ChipPairs(job.classes, job.chips, unlabelled, job.held_out, guesses)
    segmenter = StudentSegmenter(student, teacher, wishes.transfer)
    with TemporaryDirectory(prefix="seglab-") as folder:
        result = fit(reporter, segmenter, pairs, pairs.targets, config, Path(folder), parts=pairs.parts)
    card = student_identity(student) | {
        "classes": list(job.classes),
        "parent": start.number,
        **shown_card(making),
        "config": asdict(config),
        "transfer": asdict(wishes.transfer),
        "losses": [round(entry["train_loss"], 4) for entry in result.history],
        "windows_unlabelled": len(unlabelled),
        "sure": wishes.sure,
        "validated": bool(job.held_out),
        "validation": None,
        **_judged(taught_by, making, result),
        "seconds": round(time.monotonic() - started, 2),
        "device": str(model.device),
    }
    return student_tensors(student), card


def _judged(teacher: SamTeacher, making: Making, result: SupervisedResult) -> dict[str, Any]:
    """How the student does on held-out ground, and its teacher there."""
    if not making.job.held_out:
        return {"metrics": None, "teacher_miou": None, "verdict": UNVALIDATED}
    own, teachers = result.best["metrics"]["mIoU"], _teacher_miou(teacher, making)
    verdict = f"a student: class mIoU {own:.2f} on held-out ground, where its epoch was chosen; its teacher's is "
    return {"metrics": result.best["metrics"], "teacher_miou": teachers, "verdict": f"{verdict}{teachers:.2f}"}


def _teacher_miou(teacher: SamTeacher, making: Making) -> float:
    """Class mIoU of the teacher's map on the same windows, measured in the same way."""
    job, count = making.job, len(making.job.classes) + 1
    prompts = torch.from_numpy(job.class_prompts)
    table = np.zeros((count, count + 1), np.int64)
    for chip in job.held_out:
        chances = teacher.chances(torch.from_numpy(chip.rgb)[None], prompts)
        chances = F.interpolate(chances, chip.class_target.shape, mode="bilinear", align_corners=False)
        table += confusion(chances[0].argmax(0).cpu().numpy(), chip.class_target, count, ignore=IGNORE)
    return round(mean_iou(table), 4)
