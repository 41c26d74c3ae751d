"""Jobs and outcomes of training as files: arrays in safetensors, the rest in JSON, so that reading runs no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from seglab.errors import TrainingError
from seglab.models.spec import ModelOrigin
from seglab.training.job import RecordedPrompts, RoundConfig, RoundOutcome, TrainingChip, TrainingJob
from seglab.training.validation import Validation

JOB, OUTCOME = "job", "outcome"
"""Names of a folder's files, without their suffix."""

Arrays = dict[str, np.ndarray]


def write_job(folder: Path, job: TrainingJob) -> None:
    """Write a job into a folder.

    Raises:
        TrainingError: the disk refused, or the model cannot be loaded in another process.
    """
    if job.origin is None:
        raise TrainingError(
            "the model was not loaded by name, so a process of its own cannot load it; train with isolate=False"
        )
    arrays: Arrays = {"class_prompts": job.class_prompts} | _prefixed("parent", job.parent)
    known = {
        "weights": job.weights,
        "origin": {"name": job.origin.name, "checkpoint": _text(job.origin.checkpoint)},
        "adapt_from": job.adapt_from,
        "adapter": job.adapter,
        "extra_bands": job.extra_bands,
        "classes": job.classes,
        "chips": [_put_chip(chip, f"chips/{i}", arrays) for i, chip in enumerate(job.chips)],
        "held_out": [_put_chip(chip, f"held_out/{i}", arrays) for i, chip in enumerate(job.held_out)],
        "config": asdict(job.config),
        "cache_folder": _text(job.cache_folder),
        "cache_bytes": job.cache_bytes,
        "device": job.device,
    }
    _write(folder, JOB, arrays, known)


def read_job(folder: Path) -> TrainingJob:
    """The job that `write_job` wrote.

    Raises:
        TrainingError: the files are missing or damaged.
    """
    arrays, known = _read(folder, JOB)
    origin = known["origin"]
    return TrainingJob(
        origin=ModelOrigin(origin["name"], _path(origin["checkpoint"])),
        weights=known["weights"],
        adapt_from=known["adapt_from"],
        adapter=known["adapter"],
        extra_bands=known["extra_bands"],
        parent=_under("parent", arrays),
        classes=tuple(known["classes"]),
        class_prompts=arrays["class_prompts"],
        chips=tuple(_take_chip(chip, f"chips/{i}", arrays) for i, chip in enumerate(known["chips"])),
        held_out=tuple(_take_chip(chip, f"held_out/{i}", arrays) for i, chip in enumerate(known["held_out"])),
        config=RoundConfig(**known["config"]),
        cache_folder=_path(known["cache_folder"]),
        cache_bytes=known["cache_bytes"],
        device=known["device"],
    )


def write_outcome(folder: Path, outcome: RoundOutcome) -> None:
    """Write a trained round into a folder.

    Raises:
        TrainingError: the disk refused.
    """
    arrays = _prefixed("tensors", outcome.tensors)
    known = {
        "losses": outcome.losses,
        "fit_iou": outcome.fit_iou,
        "validation": None if outcome.validation is None else outcome.validation.to_json(),
        "seconds": outcome.seconds,
        "config": outcome.config,
        "peak_mb": outcome.peak_mb,
        "notes": outcome.notes,
    }
    _write(folder, OUTCOME, arrays, known)


def read_outcome(folder: Path) -> RoundOutcome:
    """The round that `write_outcome` wrote.

    Raises:
        TrainingError: the files are missing or damaged.
    """
    arrays, known = _read(folder, OUTCOME)
    return RoundOutcome(
        tensors=_under("tensors", arrays),
        losses=tuple(known["losses"]),
        fit_iou=known["fit_iou"],
        validation=None if known["validation"] is None else Validation.from_json(known["validation"]),
        seconds=known["seconds"],
        config=known["config"],
        peak_mb=known["peak_mb"],
        notes=tuple(known["notes"]),
    )


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name into one file.

    Raises:
        TrainingError: the disk refused.
    """
    # safetensors writes the buffer as it lies: a transposed view would come back scrambled.
    ordered = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    try:
        safetensors.numpy.save_file(ordered, path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unwritable(path, error) from error


def read_tensors(path: Path) -> Arrays:
    """The arrays that `write_tensors` wrote.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise _unreadable(path, error) from error


def _put_chip(chip: TrainingChip, place: str, arrays: Arrays) -> dict[str, Any]:
    """Add a chip's arrays to the others; the rest of it as JSON."""
    arrays |= {f"{place}/rgb": chip.rgb, f"{place}/masks": chip.masks, f"{place}/class_target": chip.class_target}
    if chip.extra is not None:
        arrays[f"{place}/extra"] = chip.extra
    for i, recorded in enumerate(chip.prompts):
        if recorded is not None:
            points, labels, box = recorded
            arrays |= {f"{place}/points/{i}": points, f"{place}/labels/{i}": labels}
            arrays |= {} if box is None else {f"{place}/box/{i}": box}
    return {"key": chip.key, "group": chip.group, "prompts": len(chip.prompts)}


def _take_chip(known: Mapping[str, Any], place: str, arrays: Arrays) -> TrainingChip:
    return TrainingChip(
        key=known["key"],
        rgb=arrays[f"{place}/rgb"],
        extra=arrays.get(f"{place}/extra"),
        masks=arrays[f"{place}/masks"],
        prompts=tuple(_take_prompts(i, place, arrays) for i in range(known["prompts"])),
        class_target=arrays[f"{place}/class_target"],
        group=known["group"],
    )


def _take_prompts(index: int, place: str, arrays: Arrays) -> RecordedPrompts | None:
    points = arrays.get(f"{place}/points/{index}")
    if points is None:
        return None
    return points, arrays[f"{place}/labels/{index}"], arrays.get(f"{place}/box/{index}")


def _write(folder: Path, name: str, arrays: Arrays, known: Mapping[str, Any]) -> None:
    write_tensors(folder / f"{name}.safetensors", arrays)
    path = folder / f"{name}.json"
    try:
        path.write_text(json.dumps(known), encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _read(folder: Path, name: str) -> tuple[Arrays, dict[str, Any]]:
    path = folder / f"{name}.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return read_tensors(folder / f"{name}.safetensors"), known


def _prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    start = f"{prefix}/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _text(path: Path | None) -> str | None:
    """Absolute, for the training process works in a folder of its own."""
    return None if path is None else str(path.absolute())


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _unwritable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"cannot write {str(path)!r} ({error}); free some space in the folder for temporary files (or set TMPDIR), "
        "then retrain. Labels and the round in use are untouched."
    )


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"cannot read {str(path)!r} ({error}); retrain. Labels and the round in use are untouched.")
