"""Agreement of two annotators against counts made by hand, and against the whole scene at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box

from seglab.core.agreement import Agreement, Annotated, Annotation, Disagreement, Pair, agreement, strength
from seglab.core.masks import rasterize

SHAPE = (100, 120)


def annotation(*objects: tuple[str, float, float, float, float], reviewed: tuple = (), first: int = 1) -> Annotation:
    """Boxes with their classes, numbered from `first`."""
    made = [Annotated(i, name, MultiPolygon([box(*corners)])) for i, (name, *corners) in enumerate(objects, first)]
    return Annotation(made, reviewed)


def test_counts_made_by_hand() -> None:
    first = annotation(("a", 0, 0, 10, 10), ("b", 50, 50, 60, 60))
    second = annotation(("a", 0, 0, 10, 8), ("a", 50, 50, 60, 60), ("b", 80, 80, 90, 90), first=11)
    found = agreement(first, second, SHAPE)
    assert found.classes == ("a", "b") and found.counts == (2, 3)
    assert found.pixels.tolist() == [[SHAPE[0] * SHAPE[1] - 300, 0, 100], [20, 80, 0], [0, 100, 0]]
    assert found.iou == {"a": 80 / 200, "b": 0} and found.mean_iou == pytest.approx(0.2)
    assert found.agreed == (Pair(1, 11, 0.8, True),)
    assert (found.precision, found.recall, found.f1) == (1 / 2, 1 / 3, 2 / 5)
    assert found.disagreements == (
        Disagreement("class", 2, 12, 1.0),
        Disagreement("alone", None, 13, 0.0),
    )


def test_kappa_by_known_figures() -> None:
    """20 yes and yes, 15 no and no, 5 and 10 mixed: agreement 0.7, chance 0.5, kappa 0.4."""
    pixels = np.zeros((3, 3), int)
    pixels[1:, 1:] = [[20, 5], [10, 15]]
    found = Agreement(("yes", "no"), pixels, np.zeros((2, 3), int), (), ())
    assert found.kappa_of_labelled == pytest.approx(0.4) and found.kappa == pytest.approx(0.4)
    pixels[0, 0] = 1000
    assert found.kappa == pytest.approx((1035 / 1050 - 1_001_250 / 1050**2) / (1 - 1_001_250 / 1050**2))
    assert found.kappa_of_labelled == pytest.approx(0.4)


def test_a_class_against_all_else_by_hand() -> None:
    """Of 12,000 pixels both call 80 "a"; the first 20 more, the second 100 more."""
    first = annotation(("a", 0, 0, 10, 10), ("b", 50, 50, 60, 60))
    second = annotation(("a", 0, 0, 10, 8), ("a", 50, 50, 60, 60), ("b", 80, 80, 90, 90), first=11)
    found = agreement(first, second, SHAPE).by_class
    agreed, chance = (80 + 11_800) / 12_000, (100 * 180 + 11_900 * 11_820) / 12_000**2
    assert found["a"].kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert found["a"].iou == 80 / 200 and found["a"].pixels == (100, 180, 80) and found["a"].objects == (1, 0, 1)
    agreed, chance = 11_800 / 12_000, (100 * 100 + 11_900 * 11_900) / 12_000**2
    assert found["b"].kappa == pytest.approx((agreed - chance) / (1 - chance)) and found["b"].kappa < 0
    assert found["b"].iou == 0 and found["b"].pixels == (100, 100, 0) and found["b"].objects == (0, 1, 1)


def test_with_one_class_and_nothing_else_its_kappa_is_that_of_all() -> None:
    found = agreement(annotation(("a", 0, 0, 10, 10)), annotation(("a", 0, 0, 10, 8)), SHAPE)
    assert found.by_class["a"].kappa == pytest.approx(found.kappa)


def test_who_labels_everything_as_one_class_has_no_kappa() -> None:
    whole = annotation(("a", 0, 0, SHAPE[1], SHAPE[0]))
    found = agreement(whole, whole, SHAPE)
    assert math.isnan(found.by_class["a"].kappa) and found.by_class["a"].iou == 1
    assert found.to_json()["classes"]["a"] == {
        "iou": 1,
        "kappa": None,
        "objects": {"both": 1, "first": 0, "second": 0},
    }


def test_names_of_kappas_are_those_of_landis_and_koch() -> None:
    named = {-0.1: "poor", 0: "slight", 0.2: "slight", 0.21: "fair", 0.4: "fair", 0.5: "moderate", 0.61: "substantial"}
    named |= {0.8: "substantial", 0.81: "almost perfect", 1: "almost perfect", math.nan: ""}
    assert {value: strength(value) for value in named} == named


def test_progress_is_told_and_may_end_it() -> None:
    told: list[tuple[int, int]] = []
    agreement(annotation(), annotation(), SHAPE, 50, lambda done, total: told.append((done, total)))
    assert told[0] == (0, 12_000) and told[-1] == (12_000, 12_000) and len(told) == 7  # 2 x 3 blocks

    def refuse(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        agreement(annotation(), annotation(), SHAPE, 50, refuse)


def test_nothing_is_not_defined_and_says_so() -> None:
    found = agreement(annotation(), annotation(), SHAPE)
    assert all(math.isnan(value) for value in (found.kappa, found.mean_iou, found.f1, found.precision, found.recall))
    assert found.accuracy == 1
    said = found.to_json()
    assert said["kappa"] is None and said["disagreements"] == []


def test_who_has_reviewed_a_place_denies_what_is_not_there() -> None:
    first = annotation(("a", 0, 0, 10, 10), ("a", 40, 0, 50, 10), reviewed=(box(60, 60, 100, 100),))
    second = annotation(("a", 70, 70, 80, 80), reviewed=(box(0, 0, 9, 9),), first=11)
    kinds = [(d.kind, d.first, d.second) for d in agreement(first, second, SHAPE).disagreements]
    assert kinds == [("denied", 1, None), ("alone", 2, None), ("denied", None, 11)]


def test_one_lake_or_two_ponds_is_told_once_for_each() -> None:
    lake = annotation(("a", 0, 0, 60, 20))
    ponds = annotation(("a", 0, 0, 28, 20), ("a", 32, 0, 60, 20), first=11)
    found = agreement(lake, ponds, SHAPE)
    assert found.agreed == () and {(d.kind, d.first, d.second) for d in found.disagreements} == {
        ("outline", 1, 11),
        ("outline", 1, 12),
    }


def test_a_neighbour_that_reaches_over_by_a_pixel_is_another_object() -> None:
    found = agreement(annotation(("a", 0, 0, 20, 20)), annotation(("a", 0, 0, 20, 20), ("b", 19, 0, 39, 20)), SHAPE)
    assert len(found.agreed) == 1 and [d.kind for d in found.disagreements] == ["alone"]


def test_of_two_that_fit_the_better_one_is_the_pair() -> None:
    found = agreement(
        annotation(("a", 0, 0, 10, 10)), annotation(("a", 0, 0, 10, 6), ("a", 0, 0, 10, 9), first=11), SHAPE
    )
    assert [(p.first, p.second) for p in found.agreed] == [(1, 12)]


boxes = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 100), st.integers(0, 80), st.integers(1, 60), st.integers(1, 60)
    ).map(lambda b: (b[0], b[1], b[2], min(b[1] + b[3], SHAPE[1]), min(b[2] + b[4], SHAPE[0]))),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(boxes, boxes, st.integers(7, 150))
def test_blocks_give_what_the_whole_scene_gives_and_both_sides_the_same(first, second, block) -> None:
    one, other = annotation(*first), annotation(*second, first=101)
    found, back = agreement(one, other, SHAPE, block), agreement(other, one, SHAPE)
    maps = []
    for objects in (one.objects, other.objects):
        image = np.zeros(SHAPE, int)
        for o in objects:
            image[rasterize(o.geometry, SHAPE)] = found.classes.index(o.class_name) + 1
        maps.append(image)
    expected = np.zeros_like(found.pixels)
    np.add.at(expected, (maps[0].ravel(), maps[1].ravel()), 1)
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.pixels.sum() == SHAPE[0] * SHAPE[1]
    order = [0, *(1 + back.classes.index(name) for name in found.classes)]
    np.testing.assert_array_equal(back.pixels.T[np.ix_(order, order)], found.pixels)
    assert found.f1 == back.f1 or math.isnan(found.f1)
    assert len(found.agreed) + sum(d.kind == "class" for d in found.disagreements) <= min(found.counts)
