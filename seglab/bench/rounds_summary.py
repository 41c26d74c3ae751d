"""The runs of the rounds benchmark put together: figures per round, what training brought, one place against another.

Intervals are 95 % bootstrap intervals over held-out images: objects of one image are alike, and the same object in
another seed's run is no new object. Over several datasets each counts the same, and their intervals, being independent,
add in quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seglab.core.metrics import iou_per_class
from seglab.evaluation.intervals import paired_difference

Record = Mapping[str, Any]
"""What simulation.simulate gives."""
Interval = tuple[float, float, float]
"""Mean, low and high."""

MEASURES = ("1", "3", "box")
"""Kinds of prompts whose IoU is taken per object."""
OVERALL = "overall"


def summarise(records: Sequence[Record], places: Sequence[str]) -> dict[str, Any]:
    """Put runs together.

    Args:
        records: one or more per dataset and place, all with the same number of rounds.
        places: in the order to show; each further one is compared with the first.

    Returns:
        "runs": how many; "datasets": by name (and "overall", where each dataset counts the same) and place a list of
        figures per round: "round", "labelled", "iou_1", "iou_3", "iou_box", "class_miou", "class_iou" (by class; not
        overall), "clicks", "brushed", "seconds" (mean), "peak_mb" (largest), None where there is none; "gain": by
        place and dataset the IoU of the last round minus that of round 0, [mean, low, high] by "1", "3", "box";
        "differences": by "first - other place" and dataset the same of the last rounds' figures, also "class_miou"
        (over runs). IoU is 0 to 1. JSON values only; an end of an interval that nothing is known about is None.
    """
    names = list(dict.fromkeys(r["run"]["dataset"] for r in records))
    by = {
        (n, p): [r for r in records if (r["run"]["dataset"], r["run"]["place"]) == (n, p)]
        for n in names
        for p in places
    }
    rows = {n: {p: _rows(by[n, p]) for p in places} for n in names}
    overall = {p: _mean_rows([rows[n][p] for n in names]) for p in places}
    gains = {p: _by_dataset(names, lambda n, p=p: _gain(by[n, p])) for p in places}
    differences = {
        f"{places[0]} - {other}": _by_dataset(names, lambda n, other=other: _difference(by[n, places[0]], by[n, other]))
        for other in places[1:]
    }
    return {
        "runs": len(records),
        "datasets": rows | {OVERALL: overall},
        "gain": gains,
        "differences": differences,
    }


# -- figures per round


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [_row([r["rounds"][i] for r in records], records[0]["classes"]) for i in range(len(records[0]["rounds"]))]


def _row(rounds: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """One round over the seeds."""
    tables = [np.array(r["confusion"]) for r in rounds]
    return {
        "round": rounds[0]["round"],
        "labelled": _mean(r["labelled"] for r in rounds),
        **{f"iou_{key}": _mean(v for r in rounds for v in r["iou"][key]) for key in MEASURES},
        "class_miou": _mean(class_miou(table) for table in tables),
        "class_iou": {name: _mean(iou_per_class(t)[i + 1] for t in tables) for i, name in enumerate(classes)},
        "clicks": _mean(r.get("clicks") for r in rounds),
        "brushed": _mean(r.get("brushed") for r in rounds),
        "seconds": _mean(r.get("seconds") for r in rounds),
        "peak_mb": max((r["peak_mb"] for r in rounds if "peak_mb" in r), default=None),
    }


def _mean_rows(of_datasets: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The same over datasets, each counting the same; the largest memory."""
    mean = []
    for rows in zip(*of_datasets, strict=True):
        keys = [key for key in rows[0] if key not in ("round", "class_iou", "peak_mb")]
        peaks = [row["peak_mb"] for row in rows if row["peak_mb"] is not None]
        mean.append(
            {"round": rows[0]["round"]}
            | {key: _mean(row[key] for row in rows) for key in keys}
            | {"peak_mb": max(peaks, default=None)}
        )
    return mean


def class_miou(table: np.ndarray) -> float:
    """Mean IoU over the classes that the reference has, background included where it is one of them.

    Args:
        table: see core.metrics.confusion.
    """
    present = table.sum(axis=1) > 0
    return float(iou_per_class(table)[present].mean()) if present.any() else math.nan


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(v) for v in values if v is not None and not math.isnan(v)]
    return round(float(np.mean(known)), 4) if known else None


# -- differences with their intervals


def _gain(records: Sequence[Record]) -> dict[str, Interval]:
    """Last round minus round 0, object by object."""
    return {
        key: paired_difference(_values(records, key, -1), _values(records, key, 0), _images(records))
        for key in MEASURES
    }


def _difference(first: Sequence[Record], second: Sequence[Record]) -> dict[str, Interval]:
    """The last rounds of two places, object by object, seed by seed."""
    by_seed = {r["run"]["seed"]: r for r in second}
    first = [r for r in first if r["run"]["seed"] in by_seed]
    second = [by_seed[r["run"]["seed"]] for r in first]
    found = {
        key: paired_difference(_values(first, key, -1), _values(second, key, -1), _images(first)) for key in MEASURES
    }
    ends = [[class_miou(np.array(r["rounds"][-1]["confusion"])) for r in records] for records in (first, second)]
    return found | {"class_miou": paired_difference(*ends)}


def _values(records: Sequence[Record], key: str, number: int) -> list[float]:
    return [v for r in records for v in r["rounds"][number]["iou"][key]]


def _images(records: Sequence[Record]) -> list[str]:
    return [image for r in records for image, _ in r["objects"]]


def _by_dataset(
    names: Sequence[str], measure: Callable[[str], dict[str, Interval]]
) -> dict[str, dict[str, list[float | None]]]:
    """A measure of each dataset, and of all."""
    found = {name: measure(name) for name in names}
    found[OVERALL] = {key: _pooled([found[n][key] for n in names]) for key in found[names[0]]}
    return {name: {key: _plain(v) for key, v in values.items()} for name, values in found.items()}


def _pooled(intervals: Sequence[Interval]) -> Interval:
    """The mean of independent figures: what each is off by adds in quadrature."""
    means, lows, highs = np.array(intervals).T
    with np.errstate(invalid="ignore"):
        below, above = (math.sqrt(np.sum(np.square(means - ends))) / len(means) for ends in (lows, highs))
    mean = float(means.mean())
    return mean, mean - below, mean + above


def _plain(interval: Interval) -> list[float | None]:
    return [round(v, 4) if math.isfinite(v) else None for v in interval]


# -- for a person


def format_table(summary: Mapping[str, Any]) -> str:
    """A summary as Markdown: a table of the rounds, and what training brought.

    IoU in per cent, gains and differences in points with their 95 % interval.
    """
    head = (
        "| dataset | from | round | objects | IoU 1 click | IoU 3 clicks | IoU box | class mIoU | s | MB |\n"
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    lines = [head]
    for name, by_place in summary["datasets"].items():
        for place, rows in by_place.items():
            lines += [_table_line(name, place, row) for row in rows]
    for place, by_dataset in summary["gain"].items():
        lines += ["", f"Gain from round 0 to the last, {place}, points (95 % interval):", ""]
        lines += [_points_line(name, found) for name, found in by_dataset.items()]
    for title, by_dataset in summary["differences"].items():
        lines += ["", f"{title}, last round, points (95 % interval):", ""]
        lines += [_points_line(name, found) for name, found in by_dataset.items()]
    return "\n".join(lines)


def _table_line(name: str, place: str, row: Mapping[str, Any]) -> str:
    shares = [row["iou_1"], row["iou_3"], row["iou_box"], row["class_miou"]]
    cells = ["–" if v is None else f"{100 * v:.1f}" for v in shares]
    cells += ["–" if row[key] is None else f"{row[key]:.0f}" for key in ("seconds", "peak_mb")]
    return f"| {name} | {place} | {row['round']} | {row['labelled']:.0f} | {' | '.join(cells)} |"


_TITLES = {"1": "1 click", "3": "3 clicks", "box": "box", "class_miou": "class mIoU"}


def _points_line(name: str, found: Mapping[str, Sequence[float | None]]) -> str:
    return f"- {name}: " + ", ".join(f"{_TITLES[key]} {_points(interval)}" for key, interval in found.items())


def _points(interval: Sequence[float | None]) -> str:
    mean, low, high = ("?" if v is None else f"{100 * v:+.1f}" for v in interval)
    return f"{mean} ({low} to {high})"
