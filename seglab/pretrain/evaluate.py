"""Figures taken while a model is made: mean IoU by clicks on crops of a pool or on windows of labelled ground."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seglab.evaluation.cases import Case
from seglab.evaluation.clicks import Method, measure
from seglab.pretrain.samples import Pool

CLICKS = (1, 3, 5)
"""After how many clicks IoU is taken."""


@dataclass(frozen=True)
class Figures:
    """Mean IoU per dataset."""

    by_source: dict[str, dict[str, float]]
    """Dataset to {"1": IoU at one click, ..., "box": IoU for a box}."""

    @property
    def overall(self) -> dict[str, float]:
        """Mean over the real datasets (all that are not procedural), each counting the same."""
        real = [v for k, v in self.by_source.items() if k != "procedural"] or list(self.by_source.values())
        return {key: float(np.mean([v[key] for v in real if key in v])) for key in real[0]}


class Tally:
    """Collects IoUs per dataset."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[float]]] = {}

    def add(self, dataset: str, key: str, value: float) -> None:
        """A value of one dataset under one key."""
        self.found.setdefault(dataset, {}).setdefault(key, []).append(value)

    def figures(self) -> Figures:
        """Their means."""
        return Figures({n: {k: float(np.mean(v)) for k, v in vs.items()} for n, vs in self.found.items()})


def pool_cases(pool: Pool, limit: int | None = None, objects: int | None = None) -> Iterator[Case]:
    """Crops of a pool, at most `limit` of each dataset, evenly spread, with at most `objects` objects each."""
    source = np.asarray(pool.arrays["source"])
    for i, name in enumerate(pool.sources):
        group = np.nonzero(source == i)[0]
        if limit is not None and len(group) > limit:
            group = group[np.linspace(0, len(group) - 1, limit).astype(int)]
        for index in group:
            crop = pool.crop(int(index))
            yield Case(name, str(index), crop.rgb, crop.masks[:objects])


def evaluate(method: Method, cases: Iterable[Case], clicks: tuple[int, ...] = CLICKS) -> Figures:
    """Mean IoU after some numbers of clicks, and for one box.

    Args:
        method: `evaluation.clicks.model_method(model)`, or one of evaluation.baselines.
        cases: the objects.
        clicks: after how many clicks.
    """
    tally = Tally()
    for result in measure(method, cases, max(clicks)):
        for count in clicks:
            tally.add(result.dataset, str(count), result.ious[count - 1])
        tally.add(result.dataset, "box", result.box)
    return tally.figures()
