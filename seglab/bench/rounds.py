"""What rounds of training bring: `seglab bench rounds`.

A simulated person labels objects image by image on the training part of each dataset, retrains after every few, and
each round is judged on the validation part. One run is one dataset, one seed and one place of the adapter; see
bench.simulation for a run, bench.labelling for how the person labels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seglab.bench.rounds_summary import format_table, summarise
from seglab.bench.runs import chosen_datasets, records_of, weights_of
from seglab.bench.simulation import Run, Say

__all__ = ["format_table", "run_rounds"]


def run_rounds(
    folder: str | os.PathLike[str] | None,
    datasets: Sequence[str],
    *,
    model: str = "tiny_unseen",
    checkpoint: str | os.PathLike[str] | None = None,
    adapter: str = "atl_a",
    places: Sequence[str] = ("late",),
    objects: int = 10,
    rounds: int = 3,
    seeds: int = 3,
    held_out: int = 60,
    steps: int | None = None,
    device: str | None = None,
    isolate: bool = True,
    jobs: int = 1,
    out: Path | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Simulate a person who labels and retrains, on every dataset, with every seed, at every place.

    Args:
        folder: datasets in the folder layout; None for SEGLAB_DATA.
        datasets: names of those to use; each must be in the split file.
        model, checkpoint: see models.registry.load_model. Weights that never saw the datasets tell the truth.
        adapter: family; see models.adapters.registry.
        places: where the adapter begins ("late", "all", ...); more than one are compared pairwise with the first.
        objects: labelled before each round.
        rounds: of training.
        seeds: 0, 1, ... of so many runs.
        held_out: objects that judge, at most, of each dataset.
        steps: of each round; the recipe's own if None.
        device: see choose_device.
        isolate: train each round in a process of its own, as a session does.
        jobs: runs at the same time, in processes that share the cores; the seconds of a round then mean less.
        out: keeps the records of finished runs, so that they are not done again: see runs.records_of.
        say: takes lines for a person.

    Returns:
        See rounds_summary.summarise; `format_table` shows it.

    Raises:
        DatasetError: a dataset is missing or not in the split.
        WriteError: `out` cannot be written or holds something else.
    """
    chosen = chosen_datasets(folder, datasets)
    weights = weights_of(model, checkpoint)
    runs = [
        Run(
            folder=str(dataset.path),
            model=model,
            weights=weights,
            adapter=adapter,
            place=place,
            seed=seed,
            objects=objects,
            rounds=rounds,
            held_out=held_out,
            steps=steps,
            assisted=True,
            checkpoint=None if checkpoint is None else str(checkpoint),
            device=device,
            isolate=isolate,
        )
        for dataset in chosen
        for seed in range(seeds)
        for place in places
    ]
    return summarise(records_of(runs, jobs, out, say), places)
