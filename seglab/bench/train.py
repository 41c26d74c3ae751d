"""`seglab train`: TransLandSeg's experiment, and its comparison networks, on a folder of image and mask pairs."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch

from seglab import __version__
from seglab.app.rounds.rounds import identity_of
from seglab.core.band_labels import labels_to_json, rgb_labels
from seglab.datasets.pairs import ImageMaskDataset, Parts, open_pairs, target_classes
from seglab.errors import ModelNotFoundError, TrainingError
from seglab.jobs import Reporter
from seglab.models.adapters.registry import new_adapter
from seglab.models.baselines import build_baseline
from seglab.models.device import choose_device
from seglab.models.registry import load_model
from seglab.models.spec import SPECS
from seglab.store import atomic
from seglab.store.round_files import write_round_file
from seglab.training.supervised.fit import SupervisedResult, fit
from seglab.training.supervised.recipe import PRESETS, SupervisedConfig
from seglab.training.supervised.segmenters import BaselineSegmenter, SamSegmenter, Segmenter

Mode = Literal["auto", "prompt-free", "classes"]
"""How SAM's decoder is asked for the map: "auto" is prompt-free for one class and class prompts for several."""

METRICS_NAME, ROUND_NAME, WEIGHTS_NAME = "metrics.json", "round.safetensors", "weights.safetensors"


@dataclass(frozen=True)
class TrainOptions:
    """What is trained on what; the defaults are TransLandSeg's, on the embedded model."""

    folder: Path
    """The dataset: see `open_pairs`."""
    out: Path
    """Where checkpoints, metrics and the round go."""
    config: SupervisedConfig = PRESETS["published"]
    model: str = "tiny"
    """The SAM to adapt; for a baseline, the SAM whose input size it gets."""
    checkpoint: Path | None = None
    device: str | None = None
    adapter: str = "atl_a"
    adapt_from: str | int = "all"
    mode: Mode = "auto"
    classes: tuple[str, ...] = ()
    """To learn; all that are no background if empty."""
    extra_bands: bool = False
    """Whether the dataset's bands beyond RGB enter by the side branch."""
    non_landslide: bool = False
    """Of Bijie: take the images without a landslide too."""
    baseline: str | None = None
    """Train this network instead: see `seglab.models.baselines`."""
    encoder: str | None = None
    """The baseline's."""
    encoder_weights: str | None = "imagenet"
    """What the baseline's encoder starts from; None for random weights."""
    resume: bool = False
    parts: Parts | None = None
    """Pairs to train and to validate on; if None, the dataset's published parts, else a random split, as published."""


def run_train(reporter: Reporter, options: TrainOptions) -> dict[str, Any]:
    """Train and validate; writes metrics.json and, for a SAM, a round that a project can import.

    Args:
        reporter: told about pairs; a cancelled run can be resumed.
        options: see TrainOptions.

    Returns:
        What metrics.json holds, JSON-serialisable: "metrics" of the best epoch (see `supervised.summary`), "history",
        the settings, and "split" with the indexes of the pairs on either side.

    Raises:
        DatasetError, MissingPackageError: the pairs cannot be read.
        TrainingError: the settings make no training.
        ModelNotFoundError, AdapterError, RoundMismatchError, CheckpointError, DownloadError, DeviceError: the network
            cannot be made.
    """
    started = time.monotonic()
    dataset = open_pairs(options.folder, options.non_landslide)
    targets = target_classes(dataset, options.classes)
    if options.baseline is None:
        segmenter, identity = _adapted(reporter, options, dataset, len(targets))
    else:
        segmenter, identity = _baseline(options, len(targets)), None
    result = fit(
        reporter,
        segmenter,
        dataset,
        targets,
        options.config,
        options.out,
        options.extra_bands,
        options.resume,
        options.parts or dataset.parts,
    )
    report = _report(options, dataset, targets, segmenter, result) | {"seconds": round(time.monotonic() - started, 1)}
    atomic.write_bytes(options.out / METRICS_NAME, (json.dumps(report, indent=2) + "\n").encode())
    if identity is None:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in segmenter.state().items()}
        atomic.write_bytes(options.out / WEIGHTS_NAME, safetensors.torch.save(weights))
    else:
        labels = rgb_labels(dataset.bands, dataset.extra_bands if options.extra_bands else ())
        card = identity | {"band_labels": labels_to_json(labels)} | _card(report, result)
        tensors = {name: tensor.detach().cpu().numpy() for name, tensor in segmenter.state().items()}
        write_round_file(options.out / ROUND_NAME, tensors, card)
    return report


def format_table(report: dict[str, Any]) -> str:
    """A report for the terminal."""
    count = report["split"]
    return "\n".join(
        [
            f"{report['network']['model']} on {report['dataset']}: {len(count['train'])} pairs to train on, "
            f"{len(count['validation'])} to validate on, split by {report['split_by']} (the epoch "
            "is chosen on them too, as published)",
            best_epoch_line(report),
            *figure_lines(report["metrics"]),
        ]
    )


def best_epoch_line(report: dict[str, Any]) -> str:
    """Which epoch it was, how much was trained, and how long it took."""
    return (
        f"best epoch {report['best_epoch']} of {report['config']['epochs']}, "
        f"{report['network']['parameters_trained']:,} parameters trained, {report['seconds']:.0f} s"
    )


def figure_lines(figures: dict[str, Any]) -> list[str]:
    """A `summary` as lines: the figures over all classes, then a table of the classes."""
    lines = [
        "OA {}  mIoU {}  FWIoU {}".format(*(_percent(figures[key]) for key in ("OA", "mIoU", "FWIoU"))),
        "",
        f"{'':16}" + "".join(f"{key:>10}" for key in ("precision", "recall", "F1", "IoU")),
    ]
    for name, values in figures["classes"].items():
        lines.append(f"{name:16}" + "".join(f"{_percent(value):>10}" for value in values.values()))
    return lines


def _adapted(
    reporter: Reporter, options: TrainOptions, dataset: ImageMaskDataset, classes: int
) -> tuple[Segmenter, dict[str, Any]]:
    """A SAM with its adapter, and which base it belongs to."""
    prompt_free = options.mode == "prompt-free" or (options.mode == "auto" and classes == 1)
    if prompt_free and classes > 1:
        raise TrainingError(
            f"the prompt-free mode maps one class and {classes} are to be learnt; name one with --classes, or use "
            "--mode classes"
        )
    extra = dataset.extra_bands if options.extra_bands else ()
    model = load_model(
        options.model,
        checkpoint=options.checkpoint,
        device=options.device,
        adapt_from=options.adapt_from,
        extra_bands=len(extra),
        reporter=reporter,
    )
    identity = identity_of(model, options.adapter, dataset.bands, extra)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.config.seed)
        model.attach(new_adapter(options.adapter, model.spec, options.adapt_from))
    return SamSegmenter(model, classes, prompt_free, options.config.prompted_weight), identity


def _baseline(options: TrainOptions, classes: int) -> Segmenter:
    if options.extra_bands or options.checkpoint is not None:
        raise TrainingError("a baseline takes no extra bands and no SAM checkpoint; leave them out")
    if options.model not in SPECS:
        raise ModelNotFoundError(f"no model is called {options.model!r}; choose one of {', '.join(SPECS)}")
    network = build_baseline(
        options.baseline, classes, options.encoder, options.encoder_weights, options.config.seed
    ).to(choose_device(options.device))
    return BaselineSegmenter(network, options.baseline, SPECS[options.model].image_size)


def _report(
    options: TrainOptions,
    dataset: ImageMaskDataset,
    targets: dict[str, int],
    segmenter: Segmenter,
    result: SupervisedResult,
) -> dict[str, Any]:
    device = next(segmenter.module.parameters()).device
    return {
        "bench": "train",
        "seglab": __version__,
        "dataset": dataset.name,
        "classes": list(targets),
        "network": segmenter.describe() | {"input_size": segmenter.input_size},
        "config": asdict(options.config),
        "device": str(device),
        "split": {"train": list(result.trained_on), "validation": list(result.validated_on)},
        "split_by": "the caller" if options.parts else "chance" if dataset.parts is None else "the dataset",
        "extra_scaling": None if result.scaling is None else asdict(result.scaling),
        "best_epoch": result.best["epoch"],
        "loss": result.best["loss"],
        "metrics": result.best["metrics"],
        "history": list(result.history),
        "peak_mb": result.peak_mb,
    }


def _card(report: dict[str, Any], result: SupervisedResult) -> dict[str, Any]:
    """The part of a round's card beside its identity: see app.rounds."""
    mapped = report["network"]["mode"] == "classes"
    return {
        # A prompt-free round has no class prompt: the project that imports it starts its classes from examples.
        "classes": report["classes"] if mapped else [],
        "mode": report["network"]["mode"],
        "parent": 0,
        "config": report["config"],
        "losses": [round(entry["train_loss"], 4) for entry in result.history],
        "fit_iou": None,
        "labels": [],
        "objects": len(result.trained_on),
        "dataset": report["dataset"],
        "extra_scaling": report["extra_scaling"],
        "metrics": report["metrics"],
        "verdict": f"trained by seglab train on {report['dataset']}; its figures are on a split by "
        f"{report['split_by']}",
        "seconds": report["seconds"],
        "device": report["device"],
    }


def _percent(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{100 * value:.2f}"
