"""`seglab distill`: a student for a folder of image and mask pairs, taught by its labels and by a transformer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from seglab import __version__
from seglab.app.rounds.guesses import SURE, teacher_guesses
from seglab.app.rounds.teachers import load_teacher
from seglab.bench.train import best_epoch_line, figure_lines
from seglab.core.band_labels import labels_to_json, rgb_labels
from seglab.datasets.folder import IGNORE
from seglab.datasets.pairs import ImageMaskDataset, PartlyLabelled, Parts, open_pairs, target_classes, with_unlabelled
from seglab.encoding.prefixes import prefix_budget
from seglab.encoding.teaching import TEACHER_FOLDER, CachedTeacher
from seglab.errors import TrainingError
from seglab.jobs import Reporter
from seglab.models.device import choose_device
from seglab.models.student.network import build_student
from seglab.models.student.restore import student_identity, student_tensors
from seglab.models.student.spec import StudentSpec, student_spec
from seglab.models.student.teachers import SamTeacher, Teacher
from seglab.store import atomic
from seglab.store.cache import ArrayCache
from seglab.store.round_files import write_round_file
from seglab.training.supervised.fit import SupervisedResult, fit
from seglab.training.supervised.pair_batches import PairReader, split
from seglab.training.supervised.pupils import StudentSegmenter
from seglab.training.supervised.recipe import STUDENT_RECIPE, SupervisedConfig
from seglab.training.transfer import TransferConfig

METRICS_NAME, STUDENT_NAME = "metrics.json", "student.safetensors"

ABLATIONS: MappingProxyType[str, tuple[dict[str, Any], dict[str, Any]]] = MappingProxyType(
    {
        "none": ({}, {}),
        "no_transfer": ({}, {"weight": 0.0}),
        "kl_only": ({}, {"alpha": 1.0}),
        "l2_only": ({}, {"alpha": 0.0}),
        "no_fmm": ({"modulation": "none"}, {}),
        "last_level": ({}, {"levels": "last"}),
    }
)
"""What each of the paper's ablations changes: of the student's shape, and of the transfer."""


@dataclass(frozen=True)
class DistillOptions:
    """Which student learns what from whom."""

    folder: Path
    """The dataset: see `open_pairs`."""
    out: Path
    """Where checkpoints, metrics, the student and the teacher's features go."""
    teacher: str = "tiny"
    """See `load_teacher`."""
    checkpoint: Path | None = None
    """The teacher's weights file, where it needs one."""
    student: str = "small"
    encoder_weights: Path | None = None
    """What the student's encoder starts from; random weights if None."""
    config: SupervisedConfig = STUDENT_RECIPE
    transfer: TransferConfig = field(default_factory=TransferConfig)
    sure: float | None = SURE
    """Probability from which the teacher's class counts as a label of an image that has none; None: never. Only a round
    that maps the classes to learn gives such labels."""
    ablation: str = "none"
    """A key of ABLATIONS."""
    classes: tuple[str, ...] = ()
    """To learn; all that are no background if empty."""
    labels: int | None = None
    """Training pairs that keep their labels; the others serve the transfer alone, as do images without a mask. All of
    them if None."""
    parts: Parts | None = None
    """Pairs to train and to validate on; if None, the dataset's published parts, else a random split, the same as
    that of `seglab train`."""
    features: Path | None = None
    """Where the teacher's features are kept; inside `out` if None."""
    device: str | None = None
    resume: bool = False

    def spec(self) -> StudentSpec:
        """The student's shape, the ablation applied."""
        return replace(student_spec(self.student), **_ablation(self.ablation)[0])

    def applied_transfer(self) -> TransferConfig:
        """The transfer, the ablation applied."""
        return replace(self.transfer, **_ablation(self.ablation)[1])


def run_distill(reporter: Reporter, options: DistillOptions) -> dict[str, Any]:
    """Train and validate a student; writes metrics.json and student.safetensors.

    Args:
        reporter: told about pairs; a cancelled run can be resumed.
        options: see DistillOptions.

    Returns:
        What metrics.json holds, JSON-serialisable: "metrics" of the best epoch (see `supervised.summary`), "history",
        the settings, and "split" with the indexes of the pairs on either side and of those with labels.

    Raises:
        DatasetError, MissingPackageError: the pairs cannot be read.
        TrainingError: the settings make no training.
        ModelNotFoundError, RoundFileError, RoundMismatchError, CheckpointError, DownloadError, DeviceError: student or
            teacher cannot be made.
    """
    started = time.monotonic()
    if options.sure is not None and not 0 < options.sure <= 1:
        raise TrainingError(f"a probability of {options.sure:g} is none; give one above 0, at most 1, for example 0.9")
    spec, transfer, device = options.spec(), options.applied_transfer(), choose_device(options.device)
    dataset, unlabelled = with_unlabelled(open_pairs(options.folder))
    targets = target_classes(dataset, options.classes)
    train, judge = options.parts or dataset.parts or _split(len(dataset), unlabelled, options.config)
    labelled = labelled_part(train, options.labels, options.config.seed)
    parts = ([*train, *(i for i in unlabelled if i not in train)], judge)
    student = build_student(spec, len(targets), encoder_weights=options.encoder_weights, seed=options.config.seed).to(
        device
    )
    teacher, cached = _teacher(reporter, options), None
    if teacher is not None and transfer.weight:
        folder = options.features or options.out / TEACHER_FOLDER
        cached = CachedTeacher(teacher, ArrayCache(prefix_budget(folder), folder), device)
    hidden = frozenset(parts[0]) - frozenset(labelled)
    guesses = _guesses(reporter, options, teacher, dataset, targets, sorted(hidden))
    shown = PartlyLabelled(dataset, hidden, guesses)
    segmenter = StudentSegmenter(student, cached, transfer)
    result = fit(reporter, segmenter, shown, targets, options.config, options.out, resume=options.resume, parts=parts)
    report = _report(options, dataset, targets, segmenter, result, labelled)
    report["guesses"] = {"sure": options.sure, "images": len(guesses), "share": _known(guesses.values())}
    report["seconds"] = round(time.monotonic() - started, 1)
    atomic.write_bytes(options.out / METRICS_NAME, (json.dumps(report, indent=2) + "\n").encode())
    write_round_file(
        options.out / STUDENT_NAME, student_tensors(student), student_identity(student) | _card(report, dataset)
    )
    return report


def _teacher(reporter: Reporter, options: DistillOptions) -> Teacher | None:
    """The teacher, if this student learns anything from one."""
    if not options.applied_transfer().weight and options.sure is None:
        return None
    device = choose_device(options.device)
    return load_teacher(options.teacher, device, checkpoint=options.checkpoint, reporter=reporter)


def _guesses(
    reporter: Reporter,
    options: DistillOptions,
    teacher: Teacher | None,
    dataset: ImageMaskDataset,
    targets: dict[str, int],
    indexes: Sequence[int],
) -> dict[int, np.ndarray]:
    """By index, what the teacher takes an image for, as a mask of the dataset; {} if it does not know the classes."""
    sure = options.sure
    if sure is None or not isinstance(teacher, SamTeacher) or not set(targets) <= set(teacher.classes):
        return {}
    reader = PairReader(dataset, targets, teacher.model.spec.image_size, options.config.jitter)
    windows = (batch.rgb[0] for batch in reader.stream([[i] for i in indexes]))
    background = next(value for value in range(IGNORE) if value not in targets.values())
    values = np.full(IGNORE + 1, background, np.uint8)
    values[IGNORE] = IGNORE
    values[1 : len(teacher.classes) + 1] = [targets.get(name, background) for name in teacher.classes]
    found = teacher_guesses(reporter, teacher, windows, sure)
    return {i: values[guess] for i, guess in zip(indexes, found, strict=True)}


def _known(masks: Iterable[np.ndarray]) -> float | None:
    """The share of the pixels of masks that are known."""
    shares = [float((mask != IGNORE).mean()) for mask in masks]
    return round(sum(shares) / len(shares), 3) if shares else None


def labelled_part(train: Sequence[int], count: int | None, seed: int) -> list[int]:
    """The training pairs that keep their labels: a random choice, the same for all that are compared.

    Raises:
        TrainingError: there are fewer.
    """
    if count is None:
        return list(train)
    if not 1 <= count <= len(train):
        raise TrainingError(f"{count} labelled pairs of {len(train)} are no choice; ask for 1 to {len(train)}")
    return sorted(np.random.default_rng([seed, count]).permutation(np.array(train))[:count].tolist())


def _split(count: int, unlabelled: Sequence[int], config: SupervisedConfig) -> Parts:
    """A random split of the images with labels."""
    known = [i for i in range(count) if i not in set(unlabelled)]
    return tuple([known[i] for i in part] for part in split(len(known), config.train_share, config.seed))


def format_table(report: dict[str, Any]) -> str:
    """A report for the terminal."""
    network, count = report["network"], report["split"]
    teacher = network["teacher"] or "labels alone"
    return "\n".join(
        [
            f"{network['model']} ({network['encoder']}) taught by {teacher} on {report['dataset']}: "
            f"{len(count['labelled'])} of {len(count['train'])} training pairs with labels, "
            f"{len(count['validation'])} to validate on (the epoch is chosen on them too)",
            *_guess_lines(report["guesses"]),
            best_epoch_line(report),
            *figure_lines(report["metrics"]),
        ]
    )


def _guess_lines(guesses: Mapping[str, Any]) -> list[str]:
    if not guesses["images"]:
        return []
    share = f"{100 * guesses['share']:.0f} % of their pixels"
    return [f"on {guesses['images']} images without labels its map counts as one from {guesses['sure']:g} on: {share}"]


def _ablation(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if name not in ABLATIONS:
        raise TrainingError(f"no ablation is called {name!r}; choose one of {', '.join(ABLATIONS)}")
    return ABLATIONS[name]


def _report(
    options: DistillOptions,
    dataset: ImageMaskDataset,
    targets: dict[str, int],
    segmenter: StudentSegmenter,
    result: SupervisedResult,
    labelled: Sequence[int],
) -> dict[str, Any]:
    return {
        "bench": "distill",
        "seglab": __version__,
        "dataset": dataset.name,
        "classes": list(targets),
        "network": segmenter.describe() | {"input_size": segmenter.input_size},
        "config": asdict(options.config),
        "transfer": asdict(options.applied_transfer()),
        "ablation": options.ablation,
        "device": str(next(segmenter.module.parameters()).device),
        "split": {
            "train": list(result.trained_on),
            "labelled": list(labelled),
            "validation": list(result.validated_on),
        },
        "best_epoch": result.best["epoch"],
        "loss": result.best["loss"],
        "metrics": result.best["metrics"],
        "history": list(result.history),
        "peak_mb": result.peak_mb,
    }


def _card(report: dict[str, Any], dataset: ImageMaskDataset) -> dict[str, Any]:
    """The part of a student's card beside its identity."""
    return {
        "classes": report["classes"],
        "bands": list(dataset.bands),
        "extra_bands": [],
        "band_labels": labels_to_json(rgb_labels(dataset.bands)),
        "teacher": report["network"]["teacher"],
        "config": report["config"],
        "transfer": report["transfer"],
        "losses": [round(entry["train_loss"], 4) for entry in report["history"]],
        "objects": len(report["split"]["labelled"]),
        "dataset": report["dataset"],
        "metrics": report["metrics"],
        "verdict": f"distilled on {report['dataset']}; the epoch was chosen on the pairs that its figures are of",
        "seconds": report["seconds"],
        "device": report["device"],
    }
