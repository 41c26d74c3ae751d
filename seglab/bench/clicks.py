"""`seglab bench clicks`: the standard protocol of interactive segmentation on any folder of labelled imagery."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import spearmanr

from seglab.datasets.folder import MAX_OBJECTS, FolderDataset, open_datasets
from seglab.datasets.splits import load_splits
from seglab.errors import DatasetError, ModelNotFoundError
from seglab.evaluation.baselines import TOLERANCE, TOLERANCES, best_tolerance, floodfill, grabcut
from seglab.evaluation.cases import Case, window_cases
from seglab.evaluation.clicks import MAX_CLICKS, Method, ObjectResult, clicks_to, measure, model_method
from seglab.evaluation.intervals import bootstrap_mean
from seglab.jobs import Reporter
from seglab.models.registry import load_model
from seglab.models.spec import SPECS

Part = Literal["train", "val", "all"]
"""Of the committed split; "all" needs none."""

CLICKS = (1, 2, 3, 5, 10)
"""Numbers of clicks after which mean IoU is given."""
THRESHOLDS = (0.80, 0.85, 0.90)
"""IoUs whose number of clicks is given."""
BASELINES = ("floodfill", "grabcut")
"""Names that stand for methods without a network."""


def run_clicks(
    reporter: Reporter,
    folder: str | Path,
    model: str,
    *,
    part: Part = "val",
    checkpoint: str | Path | None = None,
    device: str | None = None,
    per_image: int = MAX_OBJECTS,
) -> dict[str, Any]:
    """Measure a model, or a method without one, by clicks and by one box.

    Each object is shown in one window of the model's input size, as a session would open it (evaluation.cases). The
    baselines get the windows that the embedded model gets.

    Args:
        reporter: told about images.
        folder: a folder of datasets, or one dataset (the layout of datasets.folder).
        model: a model's name, "floodfill" or "grabcut".
        part: of the committed split. Of a dataset that is not in it, all images are taken, and a note says so.
        checkpoint: a weights file to use instead of the model's own.
        device: "cuda", "mps", "cpu"; chosen if None.
        per_image: most objects per image (a fixed random choice where there are more).

    Returns:
        Plain values: "datasets" by name and "overall" (the mean over datasets), each with "iou" by number of clicks
        and for the "box", "clicks_to" by threshold (mean number, at most 10; number and share of objects that fail
        to reach it) and "spearman" of predicted and true IoU over all candidates of all objects at one click (None
        for a method that predicts none); per dataset also a 95 % "interval" of each IoU, over images.

    Raises:
        DatasetError: no dataset there, a damaged one, or nothing to measure in it.
        ModelNotFoundError: no model of that name, or a checkpoint for a method that has none.
        CheckpointError, DownloadError, DeviceError: see models.registry.load_model.
    """
    started = time.monotonic()
    datasets = open_datasets(folder)
    chosen = {name: _images(dataset, part) for name, dataset in datasets.items()}
    notes = _notes(datasets, part, model)
    method, size, settings = _method(reporter, model, checkpoint, device, datasets)
    results: list[ObjectResult] = []
    total, done = sum(map(len, chosen.values())), 0
    for name, ids in chosen.items():
        for image_id in ids:
            reporter.update(done, total, f"{name} {image_id}")
            for result in measure(method, window_cases(datasets[name], [image_id], size, per_image), MAX_CLICKS):
                results.append(result)
                reporter.check()
            done += 1
    reporter.update(done, total, "")
    if not results:
        raise DatasetError(f"no object to segment in {str(folder)!r}, part {part!r}; choose another part or folder")
    by_dataset = {name: found for name in chosen if (found := [r for r in results if r.dataset == name])}
    figures = {name: summarise(found) for name, found in by_dataset.items()}
    return {
        "bench": "clicks",
        "model": model,
        **settings,
        "part": part,
        "window": size,
        "per_image": per_image,
        "datasets": figures,
        "overall": mean_over_datasets(list(figures.values())) | {"spearman": _spearman(results)},
        "notes": notes,
        "seconds": round(time.monotonic() - started, 1),
    }


def summarise(results: Sequence[ObjectResult]) -> dict[str, Any]:
    """The figures of one dataset: see `run_clicks`."""
    ious, groups = np.array([r.ious for r in results]), [r.group for r in results]
    columns = {str(k): ious[:, k - 1] for k in CLICKS} | {"box": np.array([r.box for r in results])}
    estimates = {key: bootstrap_mean(values, groups) for key, values in columns.items()}
    return {
        "objects": len(results),
        "images": len(set(groups)),
        "iou": {key: _plain(mean) for key, (mean, _, _) in estimates.items()},
        "interval": {key: [_plain(low), _plain(high)] for key, (_, low, high) in estimates.items()},
        "clicks_to": {f"{t:.2f}": _effort(ious, t) for t in THRESHOLDS},
        "spearman": _spearman(results),
    }


def mean_over_datasets(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Every dataset counts the same, however many objects it has; objects, images and failures are summed."""

    def mean(values: Iterator[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return _plain(float(np.mean(known))) if known else None

    return {
        "objects": sum(f["objects"] for f in figures),
        "images": sum(f["images"] for f in figures),
        "iou": {key: mean(f["iou"][key] for f in figures) for key in figures[0]["iou"]},
        "clicks_to": {
            t: {
                "mean": mean(f["clicks_to"][t]["mean"] for f in figures),
                "failed": sum(f["clicks_to"][t]["failed"] for f in figures),
                "failed_share": mean(f["clicks_to"][t]["failed_share"] for f in figures),
            }
            for t in figures[0]["clicks_to"]
        },
    }


def format_table(result: dict[str, Any]) -> str:
    """What `run_clicks` gives, for a person."""
    overall = result["overall"]
    about = f"model {result['model']}, part {result['part']}, windows of {result['window']} px"
    if "tolerance" in result:
        about += f", tolerance {result['tolerance']}"
    keys, thresholds = list(overall["iou"]), list(overall["clicks_to"])
    rows = [["", "objects", *(_plural(key) for key in keys), *(f"to {t} (failed)" for t in thresholds)]]
    for name, figures in [*result["datasets"].items(), ("overall", overall)]:
        effort = [figures["clicks_to"][t] for t in thresholds]
        rows.append(
            [name, str(figures["objects"])]
            + [f"{figures['iou'][key]:.3f}" for key in keys]
            + [f"{e['mean']:.1f} ({e['failed_share']:.0%})" for e in effort]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"mean IoU by clicks; clicks to an IoU, at most {MAX_CLICKS}: {about}", ""]
    for first, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *padded]))
    if overall["spearman"] is not None:
        lines += ["", f"predicted against true IoU at 1 click, Spearman: {overall['spearman']:.2f}"]
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])


def _images(dataset: FolderDataset, part: Part) -> list[str]:
    listed = load_splits().get(dataset.name)
    return list(dataset.files) if part == "all" or listed is None else listed[part]


def _notes(datasets: dict[str, FolderDataset], part: Part, model: str) -> list[str]:
    splits = load_splits()
    notes = [
        f"{name} is not in the split file: all its {len(dataset.files)} images were used"
        for name, dataset in datasets.items()
        if name not in splits and part != "all"
    ]
    if part != "val" and model not in BASELINES and any(name in splits for name in datasets):
        notes.append(f"part {part!r} holds ground that the embedded model was trained on")
    return notes


def _method(
    reporter: Reporter,
    name: str,
    checkpoint: str | Path | None,
    device: str | None,
    datasets: dict[str, FolderDataset],
) -> tuple[Method, int, dict[str, Any]]:
    """The method, the side of its windows, and what the result should say about it."""
    size = SPECS["tiny"].image_size
    if name in BASELINES and checkpoint is not None:
        raise ModelNotFoundError(f"{name!r} has no weights; leave out the checkpoint")
    if name == "grabcut":
        return grabcut, size, {}
    if name == "floodfill":
        tolerance = _tolerance(reporter, datasets, size)
        return floodfill(tolerance), size, {"tolerance": tolerance}
    try:
        model = load_model(name, checkpoint=checkpoint, device=device, reporter=reporter)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(f"{error}, or one of {', '.join(BASELINES)}") from error
    settings = {"checkpoint": None if checkpoint is None else str(checkpoint), "device": str(model.device)}
    return model_method(model), model.spec.image_size, settings


def _tolerance(reporter: Reporter, datasets: dict[str, FolderDataset], size: int) -> int:
    """Flood fill's best tolerance on the datasets' training ground; the known best where they have none."""
    splits = load_splits()
    cases: list[Case] = []
    known = [dataset for name, dataset in datasets.items() if name in splits]
    for dataset in known:
        cases += window_cases(dataset, splits[dataset.name]["train"], size, per_image=1)
        reporter.check()
    if not cases:
        return TOLERANCE
    return best_tolerance(cases, lambda index: reporter.update(index, len(TOLERANCES), "choosing the tolerance"))


def _effort(ious: np.ndarray, threshold: float) -> dict[str, float | int]:
    failed = int(np.count_nonzero(ious.max(axis=1) < threshold))
    return {
        "mean": _plain(float(np.mean(clicks_to(ious, threshold)))),
        "failed": failed,
        "failed_share": _plain(failed / len(ious)),
    }


def _spearman(results: Sequence[ObjectResult]) -> float | None:
    pairs = np.array([pair for result in results for pair in result.candidates]).reshape(-1, 2)
    # A rank correlation needs ranks: where one side is constant there is none.
    if len(pairs) < 3 or (np.ptp(pairs, axis=0) == 0).any():
        return None
    return _plain(float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic))


def _plain(value: float) -> float | None:
    """Four digits; None for a figure that is not known (JSON has no NaN)."""
    return round(value, 4) if math.isfinite(value) else None


def _plural(key: str) -> str:
    return "box" if key == "box" else f"{key} click" + ("" if key == "1" else "s")
