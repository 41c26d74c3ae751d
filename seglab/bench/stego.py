"""Segmentation without labels on labelled folders: `seglab bench stego`.

STEGO's clusters beside PCA and k-means on the same features, both matched with the classes by the Hungarian method; and
a linear probe on the codes, which tells what they hold whatever the clusters are. Labels are used to measure alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from seglab.app.clusters.cluster_making import sharpened
from seglab.bench.runs import chosen_datasets, records_of, weights_of
from seglab.bench.simulation import Say
from seglab.core.windows import sweep_windows
from seglab.datasets.folder import IGNORE, FolderDataset, open_dataset
from seglab.errors import BenchError
from seglab.evaluation.clusters import count_matrix, match_clusters
from seglab.jobs import SilentReporter
from seglab.models.registry import load_model
from seglab.models.stego import AUTO, PRESETS
from seglab.models.student.teachers import Teacher, unsupervised_backbone
from seglab.training.stego import Stego, StegoConfig, advice, kmeans_clusters, train_stego

PROBE_STEPS, PROBE_RATE = 300, 5e-3
"""Of the linear probe."""
STARTS = 3
"""Of STEGO's cluster probes and of k-means: the best by its own loss counts."""
FIGURES = ("accuracy", "mean_iou", "linear_accuracy", "baseline_accuracy", "baseline_mean_iou")
"""On the grid of the features."""
PIXELS = ("pixel_accuracy", "sharp_accuracy", "baseline_pixel_accuracy", "baseline_sharp_accuracy")
"""On pixels, before and after the borders were moved to edges of the imagery as `session.propose` does."""
SURE = 0.9
"""Of its cluster is a cell of the baseline, which knows no probabilities, before borders are moved."""


@dataclass(frozen=True)
class StegoRun:
    """One dataset, one seed."""

    folder: str
    model: str
    weights: str
    """Hash of the model's base weights."""
    preset: str
    seed: int
    windows: int
    """At most so many, drawn by chance."""
    steps: int
    dino: str | None = None
    """File of a DINO's weights, whose features are taken in place of the model's."""

    def identity(self) -> dict[str, Any]:
        """See runs.Identified."""
        plain = asdict(replace(self, folder=Path(self.folder).name)) | {"kind": "stego", "figures": [*FIGURES, *PIXELS]}
        return {name: value for name, value in plain.items() if name != "dino" or value is not None}

    def backbone(self) -> tuple[Teacher, int]:
        """The frozen network, and the side of the windows that it looks at."""
        return unsupervised_backbone(load_model(self.model, device="cpu"), self.dino)


def run_stego(
    folder: str | os.PathLike[str] | None,
    datasets: Sequence[str],
    *,
    model: str = "tiny_unseen",
    preset: str = AUTO,
    seeds: int = 5,
    windows: int = 120,
    steps: int = 100,
    dino: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    out: Path | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Train STEGO on each dataset without its labels, and measure with them.

    Args:
        folder: datasets in the folder layout; None for SEGLAB_DATA.
        datasets: names.
        model: whose features; see load_model.
        preset: AUTO, or a key of models.stego.PRESETS.
        seeds: 0, 1, ... of so many runs.
        windows: of the model's input size, drawn from each dataset.
        steps: of the head (the authors' presets need some thousands); half of them of each cluster probe.
        dino: file of a DINO's weights, whose features are taken in place of the model's: see load_dino.
        jobs, out, say: see runs.records_of.

    Returns:
        "model", "preset", "rows": by dataset "name", "classes", per figure (FIGURES, PIXELS) [mean, lowest, highest]
        over seeds, and "advice" of the first seed; "overall": means over datasets.

    Raises:
        DatasetError: a dataset is missing.
        BenchError: no preset of that name, or a dataset with too few windows.
        CheckpointError: `dino` is missing, or of no network that is known.
        WriteError: `out` cannot be written or holds something else.
    """
    if preset not in (AUTO, *PRESETS):
        raise BenchError(f"no preset is called {preset!r}; choose one of {', '.join((AUTO, *PRESETS))}")
    found, weights = chosen_datasets(folder, datasets), weights_of(model, None)
    runs = [
        StegoRun(str(dataset.path), model, weights, preset, seed, windows, steps, dino and str(dino))
        for dataset in found
        for seed in range(seeds)
    ]
    records = records_of(runs, jobs, out, say, measure)
    rows = []
    for i, dataset in enumerate(found):
        some = records[i * seeds : (i + 1) * seeds]
        rows.append(
            {"name": dataset.name, "classes": len(dataset.classes), "advice": some[0]["advice"]}
            | {name: _spread([record[name] for record in some]) for name in (*FIGURES, *PIXELS)}
        )
    overall = {name: round(float(np.mean([row[name][0] for row in rows])), 4) for name in (*FIGURES, *PIXELS)}
    return {"model": model, "preset": preset, "rows": rows, "overall": overall}


def measure(run: StegoRun, say: Say) -> dict[str, Any]:
    """Do one run; see runs.Do."""
    dataset = open_dataset(run.folder)
    teacher, side = run.backbone()
    rgb, truth = draw_windows(dataset, side, run.windows, run.seed)
    features = features_of(teacher, rgb)
    classes = sorted(dataset.classes)
    labels = _on_grid(truth, classes, features.shape[-1])
    steps = (run.steps, run.steps // 2)
    preset = None if run.preset == AUTO else PRESETS[run.preset]
    how = {"steps": steps[0], "probe_steps": steps[1], "seeds": STARTS, "seed": run.seed}
    config = StegoConfig(preset, clusters=len(classes), **how)
    made = train_stego(SilentReporter(), features, config)
    chances = made.probabilities(features)
    score = _score(chances.argmax(1).numpy(), labels, len(classes))
    plain = kmeans_clusters(features, len(classes), seed=run.seed, starts=STARTS)
    base = _score(plain.numpy(), labels, len(classes))
    certain = F.one_hot(plain, len(classes)).permute(0, 3, 1, 2) * SURE + (1 - SURE) / len(classes)
    ground = _numbered(truth, classes)
    on_pixels = (*_on_pixels(rgb, ground, chances), *_on_pixels(rgb, ground, certain))
    record = {
        "run": run.identity(),
        "accuracy": score[0],
        "mean_iou": score[1],
        "linear_accuracy": linear_probe(made, features, labels, len(classes), run.seed),
        "baseline_accuracy": base[0],
        "baseline_mean_iou": base[1],
        "advice": advice(made.correspondences, made.preset),
        **dict(zip(PIXELS, on_pixels, strict=True)),
    }
    say(f"{dataset.name}, seed {run.seed}: accuracy {score[0]:.3f}, PCA and k-means {base[0]:.3f}")
    return record


def draw_windows(dataset: FolderDataset, size: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows that lie whole in their images, side by side, some by chance where there are more.

    Returns:
        (N, size, size, 3) uint8 and (N, size, size) uint8 class numbers, IGNORE where they are not known.

    Raises:
        BenchError: there are fewer than two.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for name in dataset.files:
        image = dataset.read(name)
        shape = image.mask.shape
        for window in sweep_windows(shape, size, 0.0):
            rows, cols = (slice(at, at + size) for at in (window.row, window.col))
            if shape[0] >= size and shape[1] >= size and (image.mask[rows, cols] != IGNORE).any():
                found.append((image.rgb[rows, cols], image.mask[rows, cols]))
    if len(found) < 2:
        raise BenchError(f"dataset {dataset.name!r} has fewer than two windows of {size} pixels")
    order = np.random.default_rng(seed).permutation(len(found))[:count]
    rgb, masks = zip(*(found[i] for i in order), strict=True)
    return np.stack(rgb), np.stack(masks)


def features_of(teacher: Teacher, rgb: np.ndarray) -> Tensor:
    """(N, width, h, w) of the teacher's last map, one image after the other."""
    return torch.cat([teacher.features(torch.from_numpy(image[None]))[-1] for image in rgb])


def linear_probe(made: Stego, features: Tensor, labels: np.ndarray, classes: int, seed: int) -> float:
    """Accuracy of a linear classifier on the codes: trained on every other window, judged on the rest, 0 to 1."""
    codes, truth = made.codes(features), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = nn.Conv2d(codes.shape[1], classes, 1)
    optimiser = torch.optim.Adam(probe.parameters(), PROBE_RATE)
    for _ in range(PROBE_STEPS):
        optimiser.zero_grad()
        F.cross_entropy(probe(codes[::2]), truth[::2], ignore_index=IGNORE).backward()
        optimiser.step()
    known = truth[1::2] != IGNORE
    right = (probe(codes[1::2]).argmax(1) == truth[1::2]) & known
    return round(float(right.sum() / known.sum()), 4)


def _on_grid(masks: np.ndarray, classes: Sequence[int], grid: int) -> np.ndarray:
    """(N, grid, grid) int64: the most frequent class below each cell, as its place in `classes`."""
    count, size = len(masks), masks.shape[1] // grid
    cells = masks.reshape(count, grid, size, grid, size)
    votes = np.stack([(cells == value).sum((2, 4)) for value in classes])
    return np.where(votes.any(0), votes.argmax(0), IGNORE)


def _numbered(masks: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Class numbers as their places in `classes`, IGNORE where they are not known."""
    places = np.full(256, IGNORE, dtype=np.uint8)
    places[list(classes)] = np.arange(len(classes))
    return places[masks]


def _on_pixels(rgb: np.ndarray, truth: np.ndarray, chances: Tensor) -> tuple[float, float]:
    """Accuracy of (N, K, h, w) probabilities on the pixels of (N, H, W, 3) windows: as they are, and sharpened."""
    count, rough = chances.shape[1], F.interpolate(chances, truth.shape[1:], mode="bilinear").argmax(1)
    sharp = torch.stack([sharpened(torch.from_numpy(w), c[None]).argmax(0) for w, c in zip(rgb, chances, strict=True)])
    return tuple(_score(found.numpy(), truth, count)[0] for found in (rough, sharp))


def _score(clusters: np.ndarray, labels: np.ndarray, classes: int) -> tuple[float, float]:
    score = match_clusters(count_matrix(clusters, labels, (classes, classes), IGNORE))
    return round(score.accuracy, 4), round(score.mean_iou, 4)


def _spread(values: Sequence[float]) -> list[float]:
    return [round(float(np.mean(values)), 4), min(values), max(values)]


def format_table(result: Mapping[str, Any]) -> str:
    """As a Markdown table: mean (lowest to highest seed)."""
    lines = [
        f"model {result['model']}, preset {result['preset']}",
        "| dataset | classes | accuracy | PCA + k-means | mIoU | PCA + k-means | linear probe |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    order = ("accuracy", "baseline_accuracy", "mean_iou", "baseline_mean_iou", "linear_accuracy")
    for row in result["rows"]:
        cells = ("{:.3f} ({:.2f} to {:.2f})".format(*row[name]) for name in order)
        lines.append(f"| {row['name']} | {row['classes']} | {' | '.join(cells)} |")
    overall = (f"{result['overall'][name]:.3f}" for name in order)
    lines.append(f"| overall | | {' | '.join(overall)} |")
    lines += [
        "",
        "| accuracy on pixels | as found | sharpened | PCA + k-means | sharpened |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        lines.append(f"| {row['name']} | {' | '.join(f'{row[name][0]:.3f}' for name in PIXELS)} |")
    lines.append("")
    lines += [f"{row['name']}: {row['advice']}" for row in result["rows"]]
    return "\n".join(lines)
