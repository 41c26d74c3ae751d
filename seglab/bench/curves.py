"""Learning curves of strategies against random, from the records of `seglab simulate`: areas, ratios, pictures.

A run's curve is the mean IoU of its class map on the judging images against the clicks spent, straight between rounds.
Its area is the mean height of the curve from the run's first map to the end of the budget, so that 1 point of area is
1 point of IoU all the way. Intervals are 95 % t intervals over seeds; runs of one seed begin alike and are compared
in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from seglab.errors import MissingPackageError
from seglab.evaluation.intervals import CONFIDENCE

Record = Mapping[str, Any]
"""What simulate.Simulator gives."""
Interval = tuple[float | None, float | None, float | None]
"""Mean, low and high; None where nothing is known."""

CONTROL = "random"
"""What every strategy is compared with."""
LEVEL_WITHIN = 0.75
"""Share of the budget within which the best that random reaches is the level that others are to reach sooner."""
STEPS = 60
"""Places along a curve."""
OVERALL = "overall"


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Put runs together; a grid that is not finished yet counts as far as it is.

    Args:
        records: with some of "random" on every folder.

    Returns:
        "runs": how many; "datasets": by name "windows" (to choose from, that judge), "pool_clicks", "budget" (clicks),
        "clicks" (those that the curves are given at), "level" (the best that random reaches within LEVEL_WITHIN of the
        budget, on average), "level_at" (after so many clicks) and "strategies"; "overall": the strategies, each folder
        counting the same, over seeds that all folders have. Of a strategy "seeds", "mean", "low", "high" (curves; not
        overall), "area" and "gain" (its area less random's) as [mean, low, high], "ratio" (clicks to random's level as
        a share of those that random took: see `ratio_to`) and "reached" (whether it got there; overall: on how many
        folders), "worse" (overall: the folders on which it is worse than random beyond the spread of seeds). IoU is 0
        to 1. JSON values only.
    """
    names = list(dict.fromkeys(r["run"]["dataset"] for r in records))
    strategies = list(dict.fromkeys(r["run"]["strategy"] for r in records))
    strategies.sort(key=lambda name: name != CONTROL)
    by = {
        (n, s): {r["run"]["seed"]: r for r in records if (r["run"]["dataset"], r["run"]["strategy"]) == (n, s)}
        for n in names
        for s in strategies
    }
    datasets = {n: _dataset({s: by[n, s] for s in strategies if by[n, s]}) for n in names}
    return {
        "runs": len(records),
        "datasets": datasets,
        OVERALL: {
            s: _overall([by[n, s] for n in names], [by[n, CONTROL] for n in names], s, datasets) for s in strategies
        },
    }


def _dataset(runs: Mapping[str, Mapping[int, Record]]) -> dict[str, Any]:
    every = [record for some in runs.values() for record in some.values()]
    budget = every[0]["run"]["share"] * every[0]["pool_clicks"]
    clicks = np.linspace(min(budget, max(_course(r)[0][0] for r in every)), budget, STEPS)
    curves = {name: np.array([np.interp(clicks, *_course(r)) for r in some.values()]) for name, some in runs.items()}
    control = curves[CONTROL].mean(0)
    best = int(control[clicks <= max(clicks[0], LEVEL_WITHIN * budget)].argmax())
    level, at = float(control[best]), float(clicks[best])
    found = {}
    for name, some in runs.items():
        ratio = ratio_to(level, at, clicks, curves[name].mean(0))
        found[name] = {
            "seeds": len(some),
            **_bands(curves[name]),
            "area": _plain(interval([area(r) for r in some.values()])),
            "gain": _plain(interval(gains(some, runs[CONTROL]))),
            "ratio": round(ratio[0], 3),
            "reached": ratio[1],
        }
    return {
        "windows": list(every[0]["windows"]),
        "pool_clicks": every[0]["pool_clicks"],
        "budget": round(budget, 1),
        "clicks": [round(float(v), 1) for v in clicks],
        "level": round(level, 4),
        "level_at": round(at, 1),
        "strategies": found,
    }


def _overall(
    runs: Sequence[Mapping[int, Record]],
    control: Sequence[Mapping[int, Record]],
    strategy: str,
    datasets: Mapping[str, Any],
) -> dict[str, Any]:
    seeds = sorted(set.intersection(*(set(some) & set(others) for some, others in zip(runs, control, strict=True))))
    areas = [float(np.mean([area(some[seed]) for some in runs])) for seed in seeds]
    randoms = [float(np.mean([area(some[seed]) for some in control])) for seed in seeds]
    mine = {name: d["strategies"][strategy] for name, d in datasets.items() if strategy in d["strategies"]}
    return {
        "seeds": len(seeds),
        "area": _plain(interval(areas)),
        "gain": _plain(interval([a - b for a, b in zip(areas, randoms, strict=True)])),
        "ratio": round(float(np.mean([one["ratio"] for one in mine.values()])), 3),
        "reached": sum(one["reached"] for one in mine.values()),
        "worse": [name for name, one in mine.items() if one["gain"][2] is not None and one["gain"][2] < 0],
    }


# -- single curves


def _course(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """(K,) clicks, ascending, and (K,) IoU; of several rounds at the same clicks the last."""
    known = {point["clicks"]: point["miou"] for point in record["points"]}
    return np.array(sorted(known), dtype=float), np.array([known[clicks] for clicks in sorted(known)])


def area(record: Record) -> float:
    """The mean height of a run's curve, from its first map to the end of the budget."""
    clicks, ious = _course(record)
    budget = record["run"]["share"] * record["pool_clicks"]
    places = np.linspace(min(clicks[0], budget), budget, STEPS)
    return float(np.interp(places, clicks, ious).mean())


def gains(runs: Mapping[int, Record], control: Mapping[int, Record]) -> list[float]:
    """Areas less the control's, by seed, for the seeds that both have."""
    return [area(runs[seed]) - area(control[seed]) for seed in sorted(set(runs) & set(control))]


def ratio_to(level: float, at: float, clicks: np.ndarray, curve: np.ndarray) -> tuple[float, bool]:
    """After which share of `at` clicks a curve first reaches a level.

    Args:
        level: IoU.
        at: clicks that random took for it.
        clicks: (K,) ascending.
        curve: (K,) IoU.

    Returns:
        The share, interpolated, and True; where the level is never reached, that of all clicks and False: the true
        share is larger.
    """
    above = np.flatnonzero(curve >= level)
    if not above.size:
        return float(clicks[-1] / at), False
    first = int(above[0])
    if first == 0:
        return float(clicks[0] / at), True
    low, high = curve[first - 1], curve[first]
    return float((clicks[first - 1] + (level - low) / (high - low) * (clicks[first] - clicks[first - 1])) / at), True


def interval(values: Sequence[float]) -> Interval:
    """The mean of some seeds with its 95 % t interval (Student 1908): None for ends that one value says nothing of."""
    if not len(values):
        return None, None, None
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, None, None
    reach = _reach(np.asarray(values)[:, None])[0]
    return mean, mean - reach, mean + reach


def _reach(values: np.ndarray) -> np.ndarray:
    """(K,) half widths of the t interval of (N, K) values; 0 for a single one."""
    count = len(values)
    if count == 1:
        return np.zeros(values.shape[1])
    return stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(0, ddof=1) / np.sqrt(count)


def _bands(curves: np.ndarray) -> dict[str, list[float]]:
    mean, reach = curves.mean(0), _reach(curves)
    bands = {"mean": mean, "low": mean - reach, "high": mean + reach}
    return {name: [round(float(v), 4) for v in values] for name, values in bands.items()}


def _plain(found: Interval) -> list[float | None]:
    return [None if v is None else round(v, 4) for v in found]


# -- for a person


def format_table(summary: Mapping[str, Any]) -> str:
    """A summary as Markdown: areas and gains in points of mean IoU, and the share of random's clicks.

    A gain has its 95 % interval over seeds; "> 1.33" is a level that was not reached within the budget.
    """
    names = list(summary["datasets"])
    titles = ["strategy", "seeds", *names, "all", "clicks to random's"]
    lines = [f"| {' | '.join(titles)} |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    for strategy, overall in summary[OVERALL].items():
        mine = [summary["datasets"][n]["strategies"].get(strategy) for n in names]
        cells = ["–" if one is None else _cell(one, strategy) for one in [*mine, overall]]
        ratios = [one for one in mine if one is not None]
        lines.append(f"| {strategy} | {overall['seeds']} | {' | '.join(cells)} | {_ratio(overall, ratios)} |")
    return "\n".join([*lines, "", *(_about(n, d) for n, d in summary["datasets"].items())])


def _cell(one: Mapping[str, Any], strategy: str) -> str:
    if one["area"][0] is None:
        return "–"
    if strategy == CONTROL:
        return f"{100 * one['area'][0]:.1f}"
    mean, low, high = one["gain"]
    if mean is None:
        return "–"
    return f"{100 * mean:+.1f}" + ("" if low is None else f" ({100 * low:+.1f} to {100 * high:+.1f})")


def _ratio(overall: Mapping[str, Any], single: Sequence[Mapping[str, Any]]) -> str:
    whole = all(one["reached"] for one in single)
    each = ", ".join(("" if one["reached"] else "> ") + f"{one['ratio']:.2f}" for one in single)
    return f"{'' if whole else '> '}{overall['ratio']:.2f} ({each})"


def _about(name: str, found: Mapping[str, Any]) -> str:
    windows, judges = found["windows"]
    return (
        f"- {name}: {windows} windows to choose from, {judges} that judge, {found['budget']:.0f} of "
        f"{found['pool_clicks']} clicks; random reaches {100 * found['level']:.1f} with {found['level_at']:.0f}"
    )


_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (8, 2)))


def draw(summary: Mapping[str, Any], path: Path) -> None:
    """The curves with their bands as a PNG, a panel for each folder.

    Args:
        summary: from `summarise`.
        path: where it goes.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("curves are drawn by matplotlib: pip install 'seglab[bench]'") from error
    datasets = summary["datasets"]
    columns = min(2, len(datasets))
    rows = -(-len(datasets) // columns)
    figure = Figure(figsize=(5.6 * columns, 3.6 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    styles = {name: _style(number) for number, name in enumerate(summary[OVERALL])}
    for panel, (name, found) in zip(panels, datasets.items(), strict=False):
        _panel(panel, name, found, styles)
    for panel in panels[len(datasets) :]:
        panel.set_axis_off()
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=min(4, len(lines)))
    figure.savefig(path, dpi=120)


def _panel(panel: Any, name: str, found: Mapping[str, Any], styles: Mapping[str, Mapping[str, Any]]) -> None:
    clicks = found["clicks"]
    for strategy, one in found["strategies"].items():
        mean, low, high = ([100 * v for v in one[key]] for key in ("mean", "low", "high"))
        style = styles[strategy]
        panel.fill_between(clicks, low, high, color=style["color"], alpha=0.1, linewidth=0)
        panel.plot(clicks, mean, label=strategy, **style)
    seeds = sorted({one["seeds"] for one in found["strategies"].values()})
    counted = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    panel.set(title=f"{name} (seeds: {counted})", xlabel="clicks", ylabel="mean IoU of the class map, %")
    panel.grid(alpha=0.3)


def _style(number: int) -> dict[str, Any]:
    """Colour and dashes of a strategy; the first is the control, black and heavy."""
    colour = "black" if number == 0 else f"C{number - 1}"
    return {"color": colour, "linestyle": _LINES[number % len(_LINES)], "linewidth": 2.0 if number == 0 else 1.4}
