"""Adapter families and their places side by side: `seglab bench adapters`.

TransLandSeg's ablations (arXiv 2403.10127: where the adapter is deployed, and its residual connection) and the other
families on the same labels: the true outlines of the same objects, from the same seeds, for the same number of steps.
Each is trained in one round from the model before any, and judged on the validation part of the split.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seglab.bench.rounds_summary import class_miou
from seglab.bench.runs import chosen_datasets, records_of, weights_of
from seglab.bench.simulation import Run, Say
from seglab.errors import AdapterError
from seglab.evaluation.intervals import bootstrap_mean
from seglab.models.adapters.base import first_block
from seglab.models.adapters.registry import ADAPTERS, adapter_places, new_adapter
from seglab.models.sam import AdaptedSam, count_parameters
from seglab.models.spec import SPECS, SamSpec


def run_adapters(
    folder: str | os.PathLike[str] | None,
    datasets: Sequence[str],
    *,
    model: str = "tiny_unseen",
    checkpoint: str | os.PathLike[str] | None = None,
    adapters: Sequence[str] = tuple(ADAPTERS),
    places: Sequence[str] | None = None,
    objects: int = 30,
    seeds: int = 1,
    held_out: int = 60,
    steps: int | None = None,
    device: str | None = None,
    isolate: bool = True,
    jobs: int = 1,
    out: Path | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Train every family at each of its places on the same labels.

    Args:
        folder, datasets, model, checkpoint, held_out, steps, device, isolate, jobs, out, say: see rounds.run_rounds.
        adapters: families.
        places: of those that a family has; all of them if None.
        objects: labelled, in each dataset.
        seeds: 0, 1, ... of so many runs.

    Returns:
        "model", "objects", "steps", "before": figures before training, and "rows": for each family and place
        "adapter", "place", "adapter_parameters" (what the family adds to the mask decoder and no_mask_embed),
        "trained_parameters", "iou_1", "iou_3", "iou_box" ([mean, low, high] over objects), "class_miou",
        "step_seconds", "round_seconds", "peak_mb". JSON values only.

    Raises:
        DatasetError: a dataset is missing or not in the split.
        AdapterError: no such family, or it goes to none of the places.
        WriteError: `out` cannot be written or holds something else.
    """
    found, weights = chosen_datasets(folder, datasets), weights_of(model, checkpoint)
    wanted = [(name, p) for name in adapters for p in adapter_places(name) if places is None or p in places]
    if not wanted:
        raise AdapterError(f"none of {list(adapters)!r} goes at {places!r}; see models.adapters.registry.ADAPTERS")
    runs = {
        (name, place): [
            Run(
                folder=str(dataset.path),
                model=model,
                weights=weights,
                adapter=name,
                place=place,
                seed=seed,
                objects=objects,
                rounds=1,
                held_out=held_out,
                steps=steps,
                assisted=False,
                checkpoint=None if checkpoint is None else str(checkpoint),
                device=device,
                isolate=isolate,
            )
            for dataset in found
            for seed in range(seeds)
        ]
        for name, place in wanted
    }
    records = iter(records_of([run for some in runs.values() for run in some], jobs, out, say))
    by_variant = {variant: [next(records) for _ in some] for variant, some in runs.items()}
    first = by_variant[wanted[0]]
    return {
        "model": model,
        "objects": objects,
        "steps": first[0]["run"]["recipe"]["steps"],
        "before": _figures(first, 0),
        "rows": [_row(name, place, some, SPECS[model]) for (name, place), some in by_variant.items()],
    }


def _row(name: str, place: str, records: Sequence[Mapping[str, Any]], spec: SamSpec) -> dict[str, Any]:
    last = [r["rounds"][-1] for r in records]
    trained, bare = trained_count(spec, name, place), trained_count(spec, "none", place)
    return {
        "adapter": name,
        "place": place,
        "adapter_parameters": trained - bare,
        "trained_parameters": trained,
        **_figures(records, -1),
        "step_seconds": round(float(np.mean([r["step_seconds"] for r in last])), 4),
        "round_seconds": round(float(np.mean([r["seconds"] for r in last])), 2),
        "peak_mb": max(r["peak_mb"] for r in last),
    }


def _figures(records: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """IoU with its interval over held-out objects, grouped by image, and class mIoU, of round `number`."""
    images = [f"{r['run']['dataset']}/{image}" for r in records for image, _ in r["objects"]]
    rounds = [r["rounds"][number] for r in records]
    found: dict[str, Any] = {}
    for key in ("1", "3", "box"):
        interval = bootstrap_mean([v for r in rounds for v in r["iou"][key]], images)
        found[f"iou_{key}"] = [round(v, 4) if np.isfinite(v) else None for v in interval]
    found["class_miou"] = round(float(np.mean([class_miou(np.array(r["confusion"])) for r in rounds])), 4)
    return found


def trained_count(spec: SamSpec, name: str, place: str) -> int:
    """How many numbers a round trains, class prompts aside.

    Args:
        spec: the model's shape.
        name: the adapter's family.
        place: where it begins.
    """
    with torch.device("meta"):  # shapes are enough
        model = AdaptedSam(spec, adapt_from=first_block(place, spec.depth))
        model.attach(new_adapter(name, spec, model.adapt_from))
    return count_parameters(p for key, p in model.trained_parameters().items() if key != "class_prompts")


def format_table(result: Mapping[str, Any]) -> str:
    """The result as a Markdown table; IoU in per cent, with its 95 % interval at one click."""
    before = result["before"]
    titles = ("adapter", "from", "its parameters", "trained", "IoU 1 click", "IoU 3 clicks", "IoU box", "class mIoU")
    lines = [
        f"| {' | '.join(titles)} | ms/step | MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        f"| (before training) | | | | {_shares(before)} | | |",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['adapter']} | {row['place']} | {row['adapter_parameters']:,} | {row['trained_parameters']:,} "
            f"| {_shares(row)} | {1000 * row['step_seconds']:.0f} | {row['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def _shares(figures: Mapping[str, Any]) -> str:
    mean, low, high = ("?" if v is None else f"{100 * v:.1f}" for v in figures["iou_1"])
    rest = (figures["iou_3"][0], figures["iou_box"][0], figures["class_miou"])
    return f"{mean} ({low} to {high}) | " + " | ".join(f"{100 * v:.1f}" for v in rest)
