"""What retraining and clicking cost beside the obvious way: `seglab bench cost`.

The obvious way is segment-anything's own forward pass at its own input size with all parameters trained, and
SamPredictor for clicks. Everything is measured in one run, in turn, each in a fresh process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from seglab.bench.cost_worker import STEPS
from seglab.errors import BenchError, ModelNotFoundError
from seglab.models.spec import SPECS

CHIP = {"vit_b": 448, "vit_l": 448, "vit_h": 448}
"""Side of the chips that seglab trains on, pixels: 28 tokens, two attention windows of 14 without padding. A model that
is not here keeps its own input size."""

PLACES = tuple(kind for kind in STEPS if kind != "full")

TIMEOUT_S = 1800
"""Of one measurement, seconds."""


def run_cost(
    model: str = "vit_b",
    *,
    chip: int | None = None,
    repeats: int = 3,
    steps: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure what a retraining step and a click cost.

    Args:
        model: its name; weights are random.
        chip: side of seglab's chips, pixels; chosen if None.
        repeats: rounds of measurements; medians are reported.
        steps: timed retraining steps per measurement (one of the naive kind).
        say: told about progress.

    Returns:
        model, chip, full_size (px); steps: per kind seconds, seconds_per_mpx, peak_mb, and against "full" the factors
        `cheaper` (per megapixel) and `less_memory` (of a step); clicks: see `measure_clicks`, and the factors
        click_faster, click_faster_than_equal, again_faster and again_faster_than_predictor.

    Raises:
        ModelNotFoundError: no model of that name.
        BenchError: a measurement failed.
    """
    if model not in SPECS:
        raise ModelNotFoundError(f"no model is called {model!r}; choose one of {', '.join(SPECS)}")
    full_size = SPECS[model].image_size
    chip = chip or CHIP.get(model, full_size)
    sizes = {kind: full_size if kind == "full" else chip for kind in STEPS}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in (*STEPS, "clicks")}
    for repeat in range(repeats):
        for kind, size in sizes.items():
            count = 1 if kind == "full" else steps
            found[kind].append(_measure(measure="step", name=model, kind=kind, chip=size, steps=count))
            say(f"{repeat + 1}/{repeats} {kind}: {found[kind][-1]['seconds']:.3f} s")
        found["clicks"].append(_measure(measure="clicks", name=model, chip=chip, repeats=2 * steps))
        say(f"{repeat + 1}/{repeats} click: {found['clicks'][-1]['click']:.4f} s")
    clicks = _factors_of_clicks(_medians(found.pop("clicks")))
    table = {kind: _per_mpx(_medians(runs), sizes[kind]) for kind, runs in found.items()}
    for kind in PLACES:
        table[kind] |= _factors(table["full"], table[kind])
    return {"model": model, "chip": chip, "full_size": full_size, "steps": table, "clicks": clicks}


def _measure(**asked: Any) -> dict[str, float]:
    """One measurement in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "seglab.bench.cost_worker", json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(
            f"measuring {asked!r} ended with code {done.returncode} (a negative one: killed, as for memory); free some "
            f"memory or take a smaller model: {done.stderr.strip()[-500:]}"
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _per_mpx(step: dict[str, float], size: int) -> dict[str, float]:
    return {"size": size} | step | {"seconds_per_mpx": step["seconds"] / (size * size / 1e6)}


def _factors(full: dict[str, float], ours: dict[str, float]) -> dict[str, float]:
    return {
        "cheaper": full["seconds_per_mpx"] / ours["seconds_per_mpx"],
        "less_memory": full["peak_mb"] / ours["peak_mb"],
    }


def _factors_of_clicks(clicks: dict[str, float]) -> dict[str, float]:
    return clicks | {
        "click_faster": clicks["predictor"] / clicks["click"],
        "click_faster_than_equal": clicks["equal"] / clicks["click"],
        "again_faster": clicks["anew"] / clicks["again"],
        "again_faster_than_predictor": clicks["predictor_anew"] / clicks["again"],
    }


def format_table(result: dict[str, Any]) -> str:
    """The result of `run_cost` as a Markdown table for people."""
    lines = [
        f"{result['model']}, random weights: one retraining step, decoder included",
        "",
        "| step | input, px | s | s per Mpx | peak memory, MiB | cheaper per Mpx | less memory |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, row in result["steps"].items():
        factors = f"{row['cheaper']:.1f}x | {row['less_memory']:.1f}x" if "cheaper" in row else "1 | 1"
        lines.append(
            f"| {kind} | {row['size']} | {row['seconds']:.3f} | {row['seconds_per_mpx']:.2f} "
            f"| {row['peak_mb']:.0f} | {factors} |"
        )
    clicks = result["clicks"]
    lines += [
        "",
        "| interactive | seglab, ms | segment-anything, ms | faster |",
        "|---|---:|---:|---:|",
        _click_row("warm click to overlay bytes, against SamPredictor.predict and a PNG", clicks, "click", "predictor"),
        _click_row("the same, against SamPredictor with an input as small as the chip", clicks, "click", "equal"),
        _click_row("visited window after a round, against encoding the chip anew", clicks, "again", "anew"),
        _click_row("the same, against SamPredictor.set_image", clicks, "again", "predictor_anew"),
    ]
    return "\n".join(lines)


def _click_row(title: str, clicks: dict[str, float], ours: str, theirs: str) -> str:
    return f"| {title} | {clicks[ours] * 1e3:.1f} | {clicks[theirs] * 1e3:.1f} | {clicks[theirs] / clicks[ours]:.1f}x |"
