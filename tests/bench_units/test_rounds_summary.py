"""Runs put together, on figures that can be checked by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from seglab.bench.rounds_summary import class_miou, format_table, summarise


def record(dataset: str, place: str, seed: int, before: float, after: float, images: int = 4) -> dict[str, Any]:
    """A run of one round in which every object goes from one IoU to another."""

    def figures(number: int, iou: float, hits: int) -> dict[str, Any]:
        shares = {key: [iou] * images for key in ("1", "3", "box")}
        return {
            "round": number,
            "labelled": 10 * number,
            "iou": shares,
            "confusion": [[90, 10, 0], [10 - hits, hits, 0]],
        }

    trained = {"seconds": 10.0 + seed, "step_seconds": 0.1, "peak_mb": 500 + seed, "clicks": 2.0, "brushed": 0.5}
    return {
        "run": {"dataset": dataset, "place": place, "seed": seed},
        "classes": ["field"],
        "objects": [[f"image{i}", 0] for i in range(images)],
        "rounds": [figures(0, before, 0), figures(1, after, 10) | trained],
    }


def test_figures_per_round_are_means_over_seeds_and_datasets() -> None:
    records = [record("a", "late", s, 0.4, 0.5 + 0.1 * s) for s in (0, 1)] + [record("b", "late", 0, 0.6, 0.75)]
    summary = summarise(records, ("late",))
    first, last = summary["datasets"]["a"]["late"]
    assert first["iou_1"] == pytest.approx(0.4) and last["iou_1"] == pytest.approx(0.55)
    assert first["seconds"] is None and last["seconds"] == pytest.approx(10.5) and last["peak_mb"] == 501
    assert last["class_iou"]["field"] == pytest.approx(0.5)
    overall = summary["datasets"]["overall"]["late"][1]
    assert overall["iou_1"] == pytest.approx((0.55 + 0.75) / 2) and overall["labelled"] == 10
    assert summary["gain"]["late"]["a"]["1"][0] == pytest.approx(0.15)
    assert summary["gain"]["late"]["overall"]["1"] == pytest.approx([0.15, 0.15, 0.15])
    assert summary["differences"] == {}


def test_places_are_compared_pair_by_pair() -> None:
    records = [record("a", "late", s, 0.4, 0.5 + 0.1 * s) for s in (0, 1)]
    records += [record("a", "all", s, 0.4, 0.52 + 0.1 * s) for s in (1, 0)]  # in another order
    found = summarise(records, ("late", "all"))["differences"]["late - all"]["a"]
    assert found["1"] == pytest.approx([-0.02, -0.02, -0.02])  # each pair differs by just that
    assert found["class_miou"] == pytest.approx([0, 0, 0])


def test_intervals_over_datasets_add_in_quadrature() -> None:
    records = []
    for name in ("a", "b"):
        one = record(name, "late", 0, 0.4, 0.5, images=6)
        one["rounds"][1]["iou"]["1"] = [0.4, 0.45, 0.5, 0.55, 0.6, 0.65]
        records.append(one)
    gain = summarise(records, ("late",))["gain"]["late"]
    mean, low, high = gain["a"]["1"]
    assert low < mean < high
    pooled = gain["overall"]["1"]
    assert pooled == pytest.approx([mean, mean - (mean - low) / 2**0.5, mean + (high - mean) / 2**0.5], abs=1e-4)


def test_one_image_says_nothing_about_others() -> None:
    summary = summarise([record("a", "late", 0, 0.4, 0.5, images=1)], ("late",))
    assert summary["gain"]["late"]["a"]["1"] == [pytest.approx(0.1), None, None]
    json.dumps(summary, allow_nan=False)
    assert "+10.0 (? to ?)" in format_table(summary)


def test_class_miou_counts_the_classes_that_are_there() -> None:
    assert class_miou(np.array([[0, 0, 0], [5, 5, 0]])) == 0.5  # no background in the reference
    assert class_miou(np.array([[5, 5, 0], [0, 10, 0]])) == pytest.approx((0.5 + 10 / 15) / 2)


def test_the_table_has_a_line_per_dataset_place_and_round() -> None:
    records = [record(n, p, 0, 0.4, 0.5) for n in ("a", "b") for p in ("late", "all")]
    lines = format_table(summarise(records, ("late", "all"))).splitlines()
    assert "| a | late | 1 | 10 | 50.0 | 50.0 | 50.0 | 70.0 | 10 | 500 |" in lines
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 3 * 2 * 2
    assert any(line.startswith("late - all") for line in lines)
