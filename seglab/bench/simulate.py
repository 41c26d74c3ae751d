"""Where to label next, put to the test: `seglab simulate`.

A person who follows a strategy and one who goes by chance spend the same number of clicks on the same folder, retrain
as often, and are judged on the same images. Every strategy of a seed begins with the same windows, drawn at random
until some object is labelled; from then on it says what comes next, a few windows at a time, of what the last round
makes of those that are left.

The person labels all of a window: clicks each object until its IoU is GOOD, at most CLICKS times, then draws it, which
costs DRAWN clicks more; to mark the window as reviewed costs REVIEWED. How many clicks an object takes is measured with
the model before any round, so that a window costs the same to everybody; what is accepted is the true outline.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seglab.bench.curves import summarise
from seglab.bench.runs import chosen_datasets, records_of, weights_of
from seglab.bench.simulated_person import Person, playable
from seglab.bench.simulated_run import STEPS, SimulatedRun
from seglab.bench.simulation import PREFIX_BYTES, Say
from seglab.bench.terrain import Terrain
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.store.cache import ArrayCache


def run_simulate(
    folder: str | os.PathLike[str] | None,
    datasets: Sequence[str],
    strategies: Sequence[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    class_name: str | None = None,
    seeds: int = 5,
    rounds: int = 3,
    share: float = 0.3,
    pool: int = 40,
    held_out: int = 18,
    steps: int = STEPS,
    adapter: str = "neck",
    place: str = "neck",
    model: str = "tiny_unseen",
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
    out: Path | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Play every strategy on every folder with every seed: first all with seed 0, then all with seed 1, and so on.

    Args:
        folder: datasets in the folder layout; None for SEGLAB_DATA. With `labels`, a scene's file.
        datasets: names of those to use; none of a scene.
        strategies: by name; "random" is played as well, for all are compared with it.
        labels: of the scene: see `read_labels`.
        class_name: of all its objects, where the file tells none.
        seeds: 0, 1, ... of so many runs.
        rounds: of training, after equal shares of the budget.
        share: of the clicks that it takes to label all windows to choose from: the budget. Over 0, at most 1.
        pool: windows to choose from, at most.
        held_out: windows that judge, at most.
        steps: of each round.
        adapter, place: what a round trains; behind the neck it costs a tenth of a session's own.
        model, checkpoint, device: see models.registry.load_model.
        out: keeps the records of finished runs, so that they are not done again: see runs.records_of. Beside it lies
            what all runs need of the windows.
        say: takes lines for a person.

    Returns:
        See curves.summarise; curves.format_table shows it.

    Raises:
        DatasetError: a dataset is missing, damaged or too small.
        LabelsFileError: a scene's labels cannot be used as they are.
        SuggestionError: no such strategy, or it needs what a simulation has not.
        AdapterError: no such family, or it does not go there.
        WriteError: `out` cannot be written or holds something else.
    """
    names = list(dict.fromkeys(["random", *strategies]))
    for name in names:
        playable(name)
    found = [str(one.path) for one in chosen_datasets(folder, datasets)] if labels is None else [str(folder)]
    weights = weights_of(model, checkpoint)
    runs = [
        SimulatedRun(
            folder=source,
            model=model,
            weights=weights,
            strategy=name,
            seed=seed,
            rounds=rounds,
            share=share,
            pool=pool,
            held_out=held_out,
            steps=steps,
            adapter=adapter,
            place=place,
            labels=None if labels is None else str(labels),
            class_name=class_name,
            checkpoint=None if checkpoint is None else str(checkpoint),
            device=device,
        )
        for seed in range(seeds)
        for source in found
        for name in names
    ]
    with ExitStack() as stack:
        kept = None if out is None else out.with_name(out.name + ".work")
        work = kept or Path(stack.enter_context(TemporaryDirectory(prefix="seglab-simulate-")))
        return summarise(records_of(runs, 1, out, say, Simulator(work)))


class Simulator:
    """Does runs; what they share of a folder is prepared once.

    Args:
        work: folder of what is cached between processes.
    """

    def __init__(self, work: Path) -> None:
        self._cache = ArrayCache(PREFIX_BYTES, work)
        self._terrains: dict[tuple[Any, ...], Terrain] = {}

    def __call__(self, run: SimulatedRun, say: Say) -> dict[str, Any]:
        """Do one run.

        Returns:
            "run" (its identity), "images" (those to be labelled, and
            those that judge), "classes", "windows" (to choose from, and
            that judge), "pool_clicks" (all of the pool would take), "chosen" (names of the windows in the order of
            labelling), "points": for each of 0 to `run.rounds` "round", "clicks" (so far), "windows", "objects",
            "miou" and "iou" by class, background first (None where the judges have none), and "seconds". JSON values
            only.

        Raises:
            DatasetError, SuggestionError, AdapterError: see run_simulate.
        """
        started = time.monotonic()
        terrain = self._terrain(run)
        person = Person(run, terrain)
        points = []
        for point in person.points():
            points.append(point)
        seconds = round(time.monotonic() - started, 1)
        say(f"{run.dataset} {run.strategy} seed {run.seed}: " + _course(points) + f", {seconds:.0f} s")
        return {
            "run": run.identity(),
            "images": terrain.sources,
            "classes": list(terrain.classes),
            "windows": [len(terrain.pool), len(terrain.judges)],
            "pool_clicks": terrain.clicks_in_all,
            "chosen": [one.name for one in person.labelled],
            "points": points,
            "seconds": seconds,
        }

    def _terrain(self, run: SimulatedRun) -> Terrain:
        key = (
            run.folder,
            run.labels,
            run.class_name,
            run.model,
            run.checkpoint,
            run.device,
            run.place,
            run.pool,
            run.held_out,
        )
        if key not in self._terrains:
            place = int(run.place) if run.place.isdecimal() else run.place
            base = load_model(run.model, checkpoint=run.checkpoint, device=run.device, adapt_from=place)
            new_adapter(run.adapter, base.spec, base.adapt_from)  # says at once when it does not go there
            self._terrains[key] = Terrain(run, base, self._cache)
        return self._terrains[key]


def _course(points: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{100 * p['miou']:.1f} at {p['clicks']}" for p in points)
