"""Verdicts follow the evidence, and figures survive a card."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglab.core.metrics import iou_per_class, precision_per_class, recall_per_class
from seglab.training.validation import (
    CLASS_IOU,
    CLICKS,
    FIRST,
    MAX_CLICKS,
    TARGET_IOU,
    USABLE,
    Judged,
    Measured,
    Validation,
    compare,
)


def judged(ious: list[float], table: list[list[int]] | None = None) -> Judged:
    """One object and one chip per place; the chips' tables differ a little."""
    count = len(ious)
    tables = np.array([table or [[90, 10, 0], [10, 40, 0]]] * count, dtype=np.int64)
    tables[:, 0, 0] += np.arange(count)
    groups = tuple(f"place {i}" for i in range(count))
    clicks = np.where(np.array(ious) >= TARGET_IOU, 1.0, MAX_CLICKS)
    return Judged(np.array(ious), clicks, groups, tables, groups)


GOOD, BAD = [0.70, 0.75, 0.80, 0.72, 0.78, 0.74], [0.50, 0.52, 0.55, 0.57, 0.49, 0.53]
WORSE_MAP = [[60, 40, 0], [30, 20, 0]]


@pytest.mark.parametrize(
    ("parent", "child", "verdict"),
    [
        (judged(BAD), judged(GOOD), "better"),
        (judged(GOOD), judged(BAD), "worse"),
        (judged(GOOD), judged(GOOD), "same"),
        (judged(GOOD), judged(GOOD[::-1]), "same"),
        (judged(BAD), judged(GOOD, WORSE_MAP), "worse"),
        (judged(GOOD, WORSE_MAP), judged(GOOD), "better"),
    ],
    ids=["clicks rise", "clicks fall", "equal", "as many up as down", "map falls though clicks rise", "map rises"],
)
def test_the_verdict(parent: Judged, child: Judged, verdict: str) -> None:
    assert compare(parent, child, ("water",)).verdict == verdict


def test_what_fell_is_named_with_how_much() -> None:
    found = compare(judged(GOOD), judged(BAD), ("water",))
    fall = found.difference[USABLE]
    assert fall.mean == pytest.approx(np.mean(BAD) - np.mean(GOOD), abs=1e-4)
    assert fall.low < fall.mean < fall.high < 0
    assert "worse than the round before on 6 held-out objects" in found.message
    assert f"IoU at 1 click (counted up to {TARGET_IOU}) fell by {-fall.mean:.2f}" in found.message
    assert f"({fall.low:+.2f} to {fall.high:+.2f})" in found.message
    assert "class IoU" not in found.message  # it did not fall


def test_agreeing_less_than_perfectly_with_what_the_parent_drew_is_no_fall() -> None:
    """Masks accepted after one click are the parent's own: a round that is as usable must not lose by that."""
    own, other = [0.99, 1.0, 0.98, 1.0, 0.99, 1.0], [0.88, 0.9, 0.87, 0.91, 0.86, 0.89]
    assert compare(judged(own), judged(other), ("water",)).verdict == "same"
    assert compare(judged(own), judged([v - 0.2 for v in other]), ("water",)).verdict == "worse"


def test_one_place_alone_judges_no_map() -> None:
    """A whole map of one chip: how places differ is unknown, so no interval and no verdict."""
    parent, child = judged(GOOD), judged(GOOD)
    one = {"tables": parent.tables[:1], "table_groups": parent.table_groups[:1]}
    worse = {"tables": np.array([WORSE_MAP]), "table_groups": parent.table_groups[:1]}
    found = compare(replace(parent, **one), replace(child, **worse), ("water",))
    assert found.verdict == "same"
    assert found.difference[CLASS_IOU].mean < -0.1
    assert found.difference[CLASS_IOU].low is None


def test_places_are_drawn_whole_where_there_are_enough() -> None:
    """Ten objects of each of five places say hardly more than one of each."""
    rng = np.random.default_rng(0)
    values = np.repeat([0.5, 0.6, 0.7, 0.75, 0.8], 10) + rng.normal(0, 0.005, 50)
    many = judged(list(values))
    alone = compare(many, many, ("water",)).round[FIRST]
    together = replace(many, object_groups=tuple(f"place {i // 10}" for i in range(50)))
    whole = compare(together, together, ("water",)).round[FIRST]
    assert whole.mean == alone.mean
    assert whole.high - whole.low > 1.5 * (alone.high - alone.low)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_figures_are_those_of_all_pixels_together(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, 50, (6, classes + 1, classes + 2))
    tables[:, -1] = 0  # the last class is nowhere in the reference
    groups = tuple(str(i) for i in range(6))
    model = Judged(rng.uniform(0, 1, 6), rng.uniform(1, 10, 6), groups, tables, groups)
    names = tuple(f"class {i}" for i in range(1, classes + 1))
    found = compare(model, model, names).round
    whole = tables.sum(0)
    wanted = {"iou": iou_per_class(whole), "precision": precision_per_class(whole), "recall": recall_per_class(whole)}
    for index, name in enumerate(names, start=1):
        known = index < classes
        assert (found[f"iou_of_{name}"] is not None) == known
        for key, values in wanted.items():
            measured = found[f"{key}_of_{name}"]
            if known:
                assert measured.mean == pytest.approx(values[index], abs=1e-4)
                assert measured.low <= measured.mean <= measured.high or measured.high - measured.low < 0.05
    present = iou_per_class(whole)[1:classes]
    assert (
        found[CLASS_IOU] is None if classes == 1 else found[CLASS_IOU].mean == pytest.approx(present.mean(), abs=1e-4)
    )
    assert found[CLICKS].mean == pytest.approx(model.clicks.mean(), abs=1e-4)


def test_a_validation_survives_a_card() -> None:
    table = [[90, 10, 2, 0], [10, 40, 0, 0], [0, 0, 0, 0]]
    found = compare(judged(GOOD, table), judged(BAD, table), ("water", "field"))
    assert found.round["iou_of_field"] is None
    assert Validation.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    unknown = Measured.of((0.25, float("nan"), float("nan")))
    assert unknown.to_json() == 0.25
    assert Measured.from_json(unknown.to_json()) == unknown
    assert Measured.of((float("nan"),) * 3) is None
