"""Whether a round is better than the one it started from, on ground that neither has learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from seglab.evaluation.intervals import CONFIDENCE, RESAMPLES, bootstrap_mean, paired_difference

TARGET_IOU = 0.85
"""IoU at which a mask is good enough to accept."""
MAX_CLICKS = 10
"""Clicks after which an object counts as failed."""
MINIMUM_GROUPS = 5
"""Places over which values are resampled; with fewer, single objects and chips are."""
DIGITS = 4

FIRST, CLICKS, CLASS_IOU = "iou_at_1_click", f"clicks_to_{TARGET_IOU}", "mean_class_iou"
USABLE = f"iou_at_1_click_up_to_{TARGET_IOU}"
"""IoU at one click where more than TARGET_IOU counts as TARGET_IOU. Held-out masks were drawn with the help of the
round in use: that it agrees with them to the last pixel says who drew them, not that it is better."""

Verdict = Literal["better", "worse", "same"]


@dataclass(frozen=True)
class Measured:
    """A mean with its 95 % interval."""

    mean: float
    low: float | None
    """None, as `high`, where there is only one place: nothing is known about how places differ."""
    high: float | None

    @classmethod
    def of(cls, values: tuple[float, float, float]) -> Measured | None:
        """From (mean, low, high), where NaN is what is not known; None where nothing is."""
        mean, low, high = (None if np.isnan(v) else round(float(v), DIGITS) for v in values)
        return None if mean is None else cls(mean, low, high)

    def to_json(self) -> list[float] | float:
        """[mean, low, high], or the mean alone."""
        return self.mean if self.low is None else [self.mean, self.low, self.high]

    @classmethod
    def from_json(cls, value: list[float] | float) -> Measured:
        """From what `to_json` gave."""
        return cls(*value) if isinstance(value, list) else cls(value, None, None)


Figures = dict[str, Measured | None]
"""By name; None for a figure that the held-out labels do not give."""


@dataclass(frozen=True)
class Judged:
    """How one model did on held-out chips: see seglab.training.judging."""

    first_iou: np.ndarray
    """(N,) float64: IoU of each object after one click or box."""
    clicks: np.ndarray
    """(N,) float64: clicks until TARGET_IOU is reached, MAX_CLICKS where it is not."""
    object_groups: tuple[str, ...]
    """The ground on which each object lies."""
    tables: np.ndarray
    """(chips, C + 1, C + 2) int64: labelled pixels of each chip, background first: see core.metrics.confusion."""
    table_groups: tuple[str, ...]
    """The ground that each chip shows."""


@dataclass(frozen=True)
class Validation:
    """A round beside its parent, on the same held-out ground."""

    verdict: Verdict
    message: str
    """The verdict in words."""
    objects: int
    """How many held-out objects were looked at."""
    round: Figures
    parent: Figures
    difference: Figures
    """Round minus parent, paired, of what the verdict is about."""

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` makes an equal validation."""
        found = asdict(self)
        for key in ("round", "parent", "difference"):
            figures: Figures = getattr(self, key)
            found[key] = {name: None if value is None else value.to_json() for name, value in figures.items()}
        return found

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Validation:
        """From what `to_json` gave."""
        figures = {
            key: {name: None if v is None else Measured.from_json(v) for name, v in value[key].items()}
            for key in ("round", "parent", "difference")
        }
        return cls(**value | figures)


def compare(parent: Judged, child: Judged, classes: Sequence[str]) -> Validation:
    """Judge a round by its parent.

    Worse is a round whose IoU at one click (up to TARGET_IOU) or whose mean class IoU lies below its parent's, with
    the whole 95 % interval of the paired difference; better, in the same way, one that is not worse.

    Args:
        parent, child: of the same chips.
        classes: names, in the order of the class prompts.
    """
    difference = {
        USABLE: Measured.of(
            paired_difference(
                np.minimum(child.first_iou, TARGET_IOU),
                np.minimum(parent.first_iou, TARGET_IOU),
                _units(child.object_groups),
            )
        ),
        CLASS_IOU: _over_tables((child.tables, parent.tables), child.table_groups, _mean_class_iou),
    }
    known = [value for value in difference.values() if value is not None and value.low is not None]
    if any(value.high < 0 for value in known):
        verdict: Verdict = "worse"
    else:
        verdict = "better" if any(value.low > 0 for value in known) else "same"
    return Validation(
        verdict,
        _message(verdict, difference, len(child.first_iou)),
        len(child.first_iou),
        _figures(child, classes),
        _figures(parent, classes),
        difference,
    )


_TITLES = {USABLE: f"IoU at 1 click (counted up to {TARGET_IOU})", CLASS_IOU: "mean class IoU"}


def _message(verdict: Verdict, difference: Figures, objects: int) -> str:
    """One line for a person."""
    start = {
        "worse": "worse than the round before",
        "better": "better than the round before",
        "same": "not told apart from the round before",
    }[verdict]
    said = []
    for key, value in difference.items():
        if value is None or value.low is None:
            continue
        if (verdict == "worse" and value.high >= 0) or (verdict == "better" and value.low <= 0):
            continue
        moved = "rose" if value.mean >= 0 else "fell"
        said.append(f"{_TITLES[key]} {moved} by {abs(value.mean):.2f} ({value.low:+.2f} to {value.high:+.2f})")
    return f"{start} on {objects} held-out objects" + (": " + "; ".join(said) if said else "")


def _figures(judged: Judged, classes: Sequence[str]) -> Figures:
    """What a card says of one model."""
    units = _units(judged.object_groups)
    figures = {
        FIRST: Measured.of(bootstrap_mean(judged.first_iou, units)),
        CLICKS: Measured.of(bootstrap_mean(judged.clicks, units)),
        CLASS_IOU: _over_tables((judged.tables,), judged.table_groups, _mean_class_iou),
    }
    for index, name in enumerate(classes, start=1):
        for key, part in (("iou", _iou), ("precision", _precision), ("recall", _recall)):
            figures[f"{key}_of_{name}"] = _over_tables((judged.tables,), judged.table_groups, _of_class(part, index))
    return figures


def _units(groups: Sequence[str]) -> tuple[str, ...] | None:
    """What is resampled together: places where there are enough, else each value by itself."""
    return tuple(groups) if len(set(groups)) >= MINIMUM_GROUPS else None


TableFigure = Callable[[np.ndarray], np.ndarray]
"""(..., C + 1, C + 2) tables to (...) figures, NaN where there is none."""


def _over_tables(
    models: tuple[np.ndarray, ...], groups: Sequence[str], figure: TableFigure, seed: int = 0
) -> Measured | None:
    """A figure of summed tables with its interval; of two models, the first's minus the second's.

    A figure such as IoU is a ratio of pixel counts: places are drawn with replacement, their tables are added up, and
    the figure is taken of the sum (the bootstrap of a ratio; Efron and Tibshirani, 1993). Both models see the same
    draws.
    """
    units = _units(groups) or tuple(str(i) for i in range(len(groups)))
    names = sorted(set(units))
    member = np.array([[unit == name for unit in units] for name in names])  # (G, chips)
    summed = [np.tensordot(member.astype(float), tables, axes=1) for tables in models]
    drawn = np.ones((1, len(names)))
    if len(names) > 1:
        count = len(names)
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    mean, values = (
        _differ([figure(np.tensordot(weights, tables, axes=1)) for tables in summed])
        for weights in (np.ones((1, len(names))), drawn.astype(float))
    )
    values = values[~np.isnan(values)]
    if len(names) == 1 or not len(values):
        return Measured.of((float(mean[0]), np.nan, np.nan))
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Measured.of((float(mean[0]), float(low), float(high)))


def _differ(values: list[np.ndarray]) -> np.ndarray:
    return values[0] if len(values) == 1 else values[0] - values[1]


def _counts(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(TP, predicted, reference) pixels per class, each (..., C + 1)."""
    square = tables[..., :-1]
    return np.diagonal(square, axis1=-2, axis2=-1), square.sum(-2), tables.sum(-1)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def _iou(tables: np.ndarray) -> np.ndarray:
    """TP / (TP + FP + FN); NaN for a class that the reference does not have."""
    true, predicted, reference = _counts(tables)
    return np.where(reference > 0, _ratio(true, predicted + reference - true), np.nan)


def _precision(tables: np.ndarray) -> np.ndarray:
    true, predicted, _ = _counts(tables)
    return _ratio(true, predicted)


def _recall(tables: np.ndarray) -> np.ndarray:
    true, _, reference = _counts(tables)
    return _ratio(true, reference)


def _of_class(figure: TableFigure, index: int) -> TableFigure:
    return lambda tables: figure(tables)[..., index]


def _mean_class_iou(tables: np.ndarray) -> np.ndarray:
    """Over the classes that the reference has; the background is none of them."""
    found = _iou(tables)[..., 1:]
    known = ~np.isnan(found)
    return _ratio(np.where(known, found, 0.0).sum(-1), known.sum(-1).astype(float))
