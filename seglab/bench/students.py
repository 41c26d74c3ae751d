"""What a student learns from its teacher: `seglab bench distill`.

KTDA's ablations (arXiv 2412.06664) at equal labels: of a dataset's training part some images keep their labels; a SAM
is adapted on those; students learn from the same labels and, on all images of the part, from the adapted SAM. All are
judged on the validation part of the committed split, students after their last epoch: no epoch is chosen on it. The
teacher is the round that `seglab train` leaves, whose epoch was chosen on that part: its own figure flatters it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np

from seglab.app.rounds.guesses import SURE
from seglab.bench.distill import ABLATIONS, DistillOptions, labelled_part, run_distill
from seglab.bench.runs import chosen_datasets, records_of, weights_of
from seglab.bench.simulation import Say
from seglab.bench.train import ROUND_NAME, TrainOptions, run_train
from seglab.datasets.folder import FolderDataset, open_dataset
from seglab.errors import TrainingError
from seglab.jobs import SilentReporter
from seglab.training.supervised.recipe import STUDENT_RECIPE, SupervisedConfig

TEACHER = "teacher"
"""The row of the adapted SAM itself."""
TEACHER_EPOCHS = 15
GUESSES: Mapping[str, str] = MappingProxyType({"guesses": "none", "guesses_alone": "no_transfer"})
"""Students for which, besides, the teacher's map counts as a label of the images that have none; by the ablation which
they are otherwise. What is in ABLATIONS learns from people's labels only, as published."""
VARIANTS = (*ABLATIONS, *GUESSES)


@dataclass(frozen=True)
class StudentRun:
    """One network to train: equal runs give equal figures, up to rounding and the machine's speed."""

    dataset: str
    variant: str
    """TEACHER, or one of VARIANTS."""
    seed: int
    """Of the labels that are kept, of the network's start, and of training."""
    labels: int | None
    """Images that keep their labels; None: all of the training part."""
    student: str
    epochs: int
    """Of the student."""
    model: str
    weights: str
    """Hash of the model's weights."""
    folder: str
    """The dataset's folder."""
    work: str
    """Folder of teachers and their features, which runs of one dataset and seed share."""
    checkpoint: str | None = None
    device: str | None = None

    def identity(self) -> dict[str, Any]:
        """What the figures depend on."""
        here = ("folder", "work", "checkpoint", "device")
        teaches = {"student": None, "epochs": TEACHER_EPOCHS} if self.variant == TEACHER else {}
        return {key: value for key, value in asdict(self).items() if key not in here} | teaches


def run_students(
    folder: str | os.PathLike[str] | None,
    datasets: Sequence[str],
    *,
    student: str = "small",
    variants: Sequence[str] = VARIANTS,
    labels: int | None = None,
    seeds: int = 1,
    epochs: int = STUDENT_RECIPE.epochs,
    model: str = "tiny",
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
    jobs: int = 1,
    out: Path | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Train teacher and students of every dataset and seed.

    Args:
        folder, datasets, checkpoint, device, jobs, say: see rounds.run_rounds.
        student: by name.
        variants: of VARIANTS.
        labels: images of each dataset that keep their labels; all of the training part if None.
        seeds: 0, 1, ... of so many runs.
        epochs: of the students.
        model: the SAM that is adapted and teaches.
        out: keeps the records of finished runs, which are not done again: see runs.records_of. Teachers and their
            features are kept in a folder beside it.

    Returns:
        "student", "labels", "seeds", "epochs", and "datasets": by name, by variant (TEACHER first), mIoU by seed: a
        list. JSON values only.

    Raises:
        DatasetError: a dataset is missing or not in the split.
        TrainingError: no such ablation, or fewer images than `labels`.
        ModelNotFoundError: no such student or model.
        WriteError: `out` cannot be written or holds something else.
    """
    found = chosen_datasets(folder, datasets)
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise TrainingError(f"no ablation is called {unknown[0]!r}; choose some of {', '.join(VARIANTS)}")
    weights = weights_of(model, checkpoint)
    with TemporaryDirectory(prefix="seglab-") as temporary:
        work = Path(temporary) if out is None else out.with_name(out.name + ".work")
        common = StudentRun(
            dataset="", variant="", seed=0, labels=labels, student=student, epochs=epochs, model=model, weights=weights,
            folder="", work=str(work.absolute()), checkpoint=None if checkpoint is None else str(checkpoint),
            device=device,
        )  # fmt: skip
        # Teachers first: students of several processes must not train the same one.
        order = [[TEACHER], list(variants)]
        runs = [
            [
                replace(common, dataset=dataset.name, folder=str(dataset.path), variant=variant, seed=seed)
                for dataset in found
                for seed in range(seeds)
                for variant in some
            ]
            for some in order
        ]
        records = [record for some in runs for record in records_of(some, jobs, out, say, train_run)]
    figures: dict[str, dict[str, list[float]]] = {}
    for record in records:
        run = record["run"]
        measured = record["best" if run["variant"] == TEACHER else "last"]
        figures.setdefault(run["dataset"], {}).setdefault(run["variant"], []).append(measured["mIoU"])
    return {"student": student, "labels": labels, "seeds": seeds, "epochs": epochs, "datasets": figures}


def train_run(run: StudentRun, say: Say) -> dict[str, Any]:
    """Do one run.

    Returns:
        "run", "last" and "best": `summary` after the last epoch and after that of the lowest loss on the validation
        part (which therefore flatters), "best_epoch", "seconds". JSON values only.
    """
    dataset = open_dataset(run.folder)
    if run.variant == TEACHER:
        report = _teach(run, dataset)
    else:
        with TemporaryDirectory(prefix="seglab-") as out:
            options = DistillOptions(
                folder=Path(run.folder),
                out=Path(out),
                teacher=str(_teacher_file(run, dataset)),
                checkpoint=None if run.checkpoint is None else Path(run.checkpoint),
                student=run.student,
                config=replace(STUDENT_RECIPE, epochs=run.epochs, seed=run.seed),
                ablation=GUESSES.get(run.variant, run.variant),
                sure=SURE if run.variant in GUESSES else None,
                labels=run.labels,
                parts=_parts(dataset),
                features=_place(run) / "features",
                device=run.device,
            )
            report = run_distill(SilentReporter(), options)
    last = report["history"][-1]["metrics"]
    say(f"{run.dataset} {run.variant} seed {run.seed}: mIoU {last['mIoU']:.4f}, {report['seconds']:.0f} s")
    return {
        "run": run.identity(),
        "last": last,
        "best": report["metrics"],
        "best_epoch": report["best_epoch"],
        "seconds": report["seconds"],
    }


def format_table(result: Mapping[str, Any]) -> str:
    """The result as a Markdown table: mIoU in per cent, mean over seeds and their range."""
    variants = list(next(iter(result["datasets"].values())))
    lines = ["| | " + " | ".join(variants) + " |", "|---|" + "---:|" * len(variants)]
    for name, found in result["datasets"].items():
        lines.append(f"| {name} | " + " | ".join(_cell(found[variant]) for variant in variants) + " |")
    return "\n".join(lines)


def _teach(run: StudentRun, dataset: FolderDataset) -> dict[str, Any]:
    """Adapt the SAM on the labels that are kept; its round stays in the work folder."""
    train, judge = _parts(dataset)
    return run_train(
        SilentReporter(),
        TrainOptions(
            folder=Path(run.folder),
            out=_place(run) / TEACHER,
            config=SupervisedConfig(epochs=TEACHER_EPOCHS, seed=run.seed),
            model=run.model,
            checkpoint=None if run.checkpoint is None else Path(run.checkpoint),
            device=run.device,
            adapt_from="late",
            mode="classes",
            parts=(labelled_part(train, run.labels, run.seed), judge),
        ),
    )


def _teacher_file(run: StudentRun, dataset: FolderDataset) -> Path:
    """The teacher's round; it is trained again where its file has gone."""
    path = _place(run) / TEACHER / ROUND_NAME
    if not path.exists():
        _teach(run, dataset)
    return path


def _place(run: StudentRun) -> Path:
    return Path(run.work) / f"{run.dataset}-{run.labels}-{run.seed}-{run.model}-{run.weights[:8]}"


def _parts(dataset: FolderDataset) -> tuple[list[int], list[int]]:
    """Indexes of the images on either side of the split."""
    places = {name: i for i, name in enumerate(dataset.files)}
    train, judge = ([places[i] for i in dataset.ids(part) if i in places] for part in ("train", "val"))
    return train, judge


def _cell(values: Sequence[float]) -> str:
    mean, low, high = (100 * float(v) for v in (np.mean(values), min(values), max(values)))
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ({low:.1f} to {high:.1f})"
