"""The estimators against the worked example of their paper, and against samples of maps whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seglab.core.area_estimate import AreaEstimate, estimate_from_counts
from seglab.core.error_matrix import ErrorMatrix, Stratum
from seglab.errors import MapCheckError

PIXEL_HA = 0.09
"""30 m."""
PIXELS = {"deforestation": 200_000, "forest gain": 150_000, "stable forest": 3_200_000, "stable non-forest": 6_450_000}
ENDLESS = 10**15
"""Pixels, where a paper leaves the sample's share of the stratum out of account."""
STRATA = [Stratum(name, ENDLESS, count * PIXEL_HA) for name, count in PIXELS.items()]
COUNTS = {
    "deforestation": [66, 0, 1, 2],
    "forest gain": [0, 55, 0, 1],
    "stable forest": [5, 8, 153, 9],
    "stable non-forest": [4, 12, 11, 313],
}
"""Table 8 of Olofsson et al. 2014, by column: the reference class, and of each stratum how many of its sample."""


@pytest.fixture
def paper() -> AreaEstimate:
    return estimate_from_counts(STRATA, COUNTS)


def test_the_papers_accuracies(paper: AreaEstimate) -> None:
    assert paper.checked == 640
    assert round(paper.overall.value, 3) == 0.947 and round(paper.overall.margin, 2) == 0.02
    rounded = lambda found: {name: (round(e.value, 2), round(e.margin, 2)) for name, e in found.items()}  # noqa: E731
    users, producers = rounded(paper.users), rounded(paper.producers)
    assert list(users.values()) == [(0.88, 0.07), (0.73, 0.10), (0.93, 0.04), (0.96, 0.02)]
    assert [value for value, _ in producers.values()] == [0.75, 0.85, 0.93, 0.96]
    assert producers["deforestation"] == (0.75, 0.21) and producers["stable forest"] == (0.93, 0.03)


def test_producers_margins_by_equation_7(paper: AreaEstimate) -> None:
    """As it is printed: in pixels, with marginal totals."""
    table, pixels = np.array(list(COUNTS.values())).T, np.array(list(PIXELS.values()))
    n = table.sum(1)
    for j, (name, found) in enumerate(paper.producers.items()):
        total = (pixels / n * table[:, j]).sum()
        right, user = pixels[j] / n[j] * table[j, j] / total, table[j, j] / n[j]
        own = pixels[j] ** 2 * (1 - right) ** 2 * user * (1 - user) / (n[j] - 1)
        share = np.delete(table[:, j] / n, j)
        others = (np.delete(pixels, j) ** 2 * share * (1 - share) / (np.delete(n, j) - 1)).sum()
        assert found.value == pytest.approx(right), name
        assert found.se == pytest.approx((own + right**2 * others) ** 0.5 / total, rel=1e-9), name


def test_the_papers_area_of_deforestation(paper: AreaEstimate) -> None:
    area = paper.areas["deforestation"]
    assert round(area.value / PIXEL_HA) == 235_086
    assert round(area.value) == 21_158 and round(area.margin) == 6_158
    assert paper.mapped["deforestation"] == pytest.approx(18_000)
    assert sum(one.value for one in paper.areas.values()) == pytest.approx(paper.total)


def test_the_samples_share_of_a_stratum_counts() -> None:
    strata = [Stratum(name, count, count * PIXEL_HA) for name, count in PIXELS.items()]
    area = estimate_from_counts(strata, COUNTS).areas["deforestation"]
    assert round(area.value) == 21_158 and 6_157 < area.margin < 6_157.5


def test_by_hand() -> None:
    """Equations 4 to 10 written out, for a table of two strata and a class that the map lacks."""
    strata = [Stratum("a", ENDLESS, 300.0), Stratum("b", ENDLESS, 700.0)]
    found = estimate_from_counts(strata, {"a": [8, 2], "b": [1, 17], "c": [1, 1]})
    v = lambda share, n: share * (1 - share) / (n - 1)  # noqa: E731
    assert found.overall.value == pytest.approx(0.3 * 0.8 + 0.7 * 0.85)
    assert found.overall.se == pytest.approx((0.09 * v(0.8, 10) + 0.49 * v(0.85, 20)) ** 0.5)
    assert found.users["b"].se == pytest.approx(v(0.85, 20) ** 0.5)
    there = 0.3 * 0.8 + 0.7 * 0.1
    producer = 0.3 * 0.8 / there
    variance = (0.09 * (1 - producer) ** 2 * v(0.8, 10) + producer**2 * 0.49 * v(0.1, 20)) / there**2
    assert found.producers["a"].value == pytest.approx(producer)
    assert found.producers["a"].se == pytest.approx(variance**0.5)
    assert found.areas["c"].value == pytest.approx(1000 * (0.3 * 0.1 + 0.7 * 0.05))
    assert found.areas["c"].se == pytest.approx(1000 * (0.09 * v(0.1, 10) + 0.49 * v(0.05, 20)) ** 0.5)
    assert found.mapped["c"] == 0 and np.isnan(found.users["c"].value) and found.producers["c"].value == 0


def truth_and_map() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, map and pixel areas of 200 x 200 pixels: bands of four classes, 20 % of the map wrong, pixels half as
    large at one edge as at the other (as on a geographic grid), where the rare class lies and more is wrong."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:200, :200]
    truth = np.where(rows < 14, 3, (cols + 20 * np.sin(rows / 15)) // 80).astype(int).clip(0, 3)
    wrong = rng.random(truth.shape) < np.linspace(0.35, 0.05, 200)[:, None]
    mapped = np.where(wrong, (truth + rng.integers(1, 4, truth.shape)) % 4, truth)
    areas = np.broadcast_to(np.linspace(0.5, 1.0, 200)[:, None], truth.shape)
    return truth.ravel(), mapped.ravel(), areas.ravel()


def test_intervals_cover_the_truth() -> None:
    """In about 380 of 400 samples the 95 % intervals of accuracies and areas hold the true figure, and the estimates
    are right on average; counting pixels as if all had one size is wrong."""
    truth, mapped, areas = truth_and_map()
    names = [str(k) for k in range(4)]
    members = [np.flatnonzero(mapped == k) for k in range(4)]
    strata = [Stratum(str(k), len(members[k]), float(areas[members[k]].sum())) for k in range(4)]
    right = {"overall": areas[truth == mapped].sum() / areas.sum()}
    for k in range(4):
        both, is_mapped, is_true = (areas[m].sum() for m in ((truth == k) & (mapped == k), mapped == k, truth == k))
        right |= {f"users {k}": both / is_mapped, f"producers {k}": both / is_true, f"area {k}": is_true}
    rng = np.random.default_rng(11)
    held = dict.fromkeys(right, 0)
    found: dict[str, list[float]] = {name: [] for name in right}
    unweighted = []
    for _ in range(400):
        drawn = np.concatenate([rng.choice(inside, 100, replace=False) for inside in members])
        places, references = np.repeat(np.arange(4), 100), [names[k] for k in truth[drawn]]
        estimate = AreaEstimate(tuple(strata), ErrorMatrix.of_units(strata, places, references, areas[drawn]))
        figures = {"overall": estimate.overall}
        for k, name in enumerate(names):
            figures |= {f"users {k}": estimate.users[name], f"producers {k}": estimate.producers[name]}
            figures[f"area {k}"] = estimate.areas[name]
        for name, figure in figures.items():
            held[name] += figure.low <= right[name] <= figure.high
            found[name].append(figure.value)
        plain = ErrorMatrix.of_units(strata, places, references)
        unweighted.append(AreaEstimate(tuple(strata), plain).areas["3"].value)
    assert all(0.91 <= count / 400 <= 0.985 for count in held.values()), held
    assert 0.93 <= np.mean(list(held.values())) / 400 <= 0.96, held
    for name, values in found.items():
        assert abs(np.mean(values) - right[name]) < 3.5 * np.std(values) / 400**0.5, name
    assert abs(np.mean(unweighted) - right["area 3"]) > 10 * np.std(unweighted) / 400**0.5


def test_pixels_of_one_size_are_counted() -> None:
    places = np.repeat([0, 1], [10, 20])
    references = [*"a" * 8, "b", "c", *"a" * 2, *"b" * 17, "c"]
    strata = [Stratum("a", ENDLESS, 300.0), Stratum("b", ENDLESS, 700.0)]
    weighted = ErrorMatrix.of_units(strata, places, references, [25.0] * 30)
    counted = ErrorMatrix.of_counts(strata, ["a", "b", "c"], [[8, 1, 1], [2, 17, 1]])
    assert weighted.classes == counted.classes and (weighted.counts == counted.counts).all()
    np.testing.assert_allclose(weighted.shares, counted.shares)
    np.testing.assert_allclose(weighted.variances, counted.variances)


def test_a_stratum_that_is_checked_whole_is_certain() -> None:
    strata = [Stratum("pond", 1, 1.0), Stratum("field", 4, 4.0), Stratum("rest", 1000, 1000.0)]
    found = estimate_from_counts(strata, {"pond": [0, 1, 0], "field": [1, 3, 1], "rest": [0, 0, 29]})
    assert found.users["pond"].value == 0 and found.users["pond"].se == 0
    assert found.users["field"].value == 0.75 and found.users["field"].se == 0
    assert found.users["rest"].se > 0


def test_classes_that_were_merged_are_one() -> None:
    """Two strata of one name, as after a merge of classes: the same as a map that never told them apart."""
    strata = [Stratum("tree", 5000, 5000.0), Stratum("tree", 3000, 3000.0), Stratum("rest", 8000, 8000.0)]
    found = estimate_from_counts(strata, {"tree": [40, 30, 6], "rest": [10, 20, 44]})
    assert found.classes == ("tree", "rest") and found.mapped["tree"] == 8000
    assert found.users["tree"].value == pytest.approx((5000 * 0.8 + 3000 * 0.6) / 8000)
    assert found.overall.value == pytest.approx((5000 * 0.8 + 3000 * 0.6 + 8000 * 0.88) / 16000)


@pytest.mark.parametrize(("counts", "said"), [([[5, 5], [0, 0]], "'b' (0)"), ([[5, 5], [0, 1]], "'b' (1)")])
def test_too_few_checked(counts: list[list[int]], said: str) -> None:
    strata = [Stratum("a", 100, 1.0), Stratum("b", 100, 1.0)]
    with pytest.raises(MapCheckError, match="2 are needed") as caught:
        ErrorMatrix.of_counts(strata, ["a", "b"], counts)
    assert said in str(caught.value)


def test_tables_that_do_not_fit() -> None:
    strata = [Stratum("a", 100, 1.0), Stratum("b", 100, 1.0)]
    with pytest.raises(MapCheckError, match="one row per stratum"):
        ErrorMatrix.of_counts(strata, ["a", "b"], [[5, 5]])
    with pytest.raises(MapCheckError, match="no column for 'b'"):
        ErrorMatrix.of_counts(strata, ["a", "c"], [[5, 5], [5, 5]])
    with pytest.raises(MapCheckError, match="no stratum"):
        ErrorMatrix.of_units([], [], [])


def test_it_is_shown(paper: AreaEstimate) -> None:
    text = repr(paper)
    assert "94.7 ± 1.8 %" in text and "21,158 ± 6,158" in text and "18,000" in text
    html = paper._repr_html_()
    assert html.count("<tr>") == 5 and "21,158 ± 6,158" in html
    table = paper.table
    assert table.loc["deforestation", "checked"] == 75
    assert round(table.loc["deforestation", "area_ha_low"]) == 15_000
    assert json.loads(json.dumps(paper.to_dict()))["error_matrix"]["counts"][2] == [1, 0, 153, 11]


def test_notes_say_what_the_figures_do_not() -> None:
    strata = [Stratum("a<b", 100, 1.0), Stratum("rest", 100, 1.0)]
    found = estimate_from_counts(strata, {"a<b": [30, 5], "rest": [0, 25]})
    assert len(found.notes) == 1 and "up to 10%" in found.notes[0]
    assert "a&lt;b" in found._repr_html_() and "a<b" not in found._repr_html_()
    other = AreaEstimate(found.strata, found.matrix, left_out=1, unchecked=7, remarks=("Look.",))
    assert other.notes[0] == "Look." and "7 places" in other.notes[1] and "1 place of which" in other.notes[2]
    absent = estimate_from_counts(strata, {"a<b": [30, 5], "rest": [0, 25], "sea": [1, 1]}).to_dict()
    assert absent["classes"]["sea"]["users_accuracy"]["value"] is None
