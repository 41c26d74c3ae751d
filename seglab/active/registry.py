"""The strategies by name: from a survey to the windows to label next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from seglab.active import scores
from seglab.active.batches import best_first, by_return, conflicts, doubt_vectors, k_centre, k_means_pp
from seglab.active.survey import BASE, BEFORE, FLIPS, IOUS, REFERENCE, Scored, Suggestion, Survey
from seglab.errors import SuggestionError

Pick = tuple[int, Scored]
"""A window by its place in the survey, and what is said of it."""
POOL = 4
"""Of so many times the windows wanted, the most uncertain ones, a diverse strategy takes those that differ most."""


@dataclass(frozen=True)
class Strategy:
    """One way to choose windows."""

    name: str
    words: str
    """What it looks for, for a person."""
    pick: Callable[[Survey, int, np.random.Generator], list[Pick]]
    """Windows in the order in which they are best labelled."""
    needs: frozenset[str] = frozenset()
    """Passes beyond the classes of the model in use: see survey.Survey.more."""
    before_classes: bool = False
    """Whether it works before any class has an object."""


def _best(score: Callable[[Survey], list[Scored]]) -> Callable[[Survey, int, np.random.Generator], list[Pick]]:
    """Highest score first, no two of the same ground."""

    def pick(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
        found = score(survey)
        order = best_first(np.array([one.score for one in found]), conflicts(survey.windows), count)
        return [(i, found[i]) for i in order]

    return pick


def _random(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    drawn = rng.random(len(survey.windows))
    order = best_first(drawn, conflicts(survey.windows), count)
    return [(i, Scored(float(drawn[i]), "drawn at random", {})) for i in order]


def _uniform(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    clash = conflicts(survey.windows)
    places = np.linspace(0, len(survey.windows) - 1, max(1, count)).round().astype(int)
    first = np.zeros(len(survey.windows))
    first[places] = 1
    order = sorted(best_first(first, clash, count))
    return [(i, Scored(1 - k / len(order), "at an even distance from the others", {})) for k, i in enumerate(order)]


def _looks(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    order, far = k_centre(survey.looks, conflicts(survey.windows), count)
    found = [(order[0], Scored(2.0, "the most typical look of this scene", {}))] if order else []
    return found + [(i, _unlike(d, "the windows before it")) for i, d in list(zip(order, far, strict=True))[1:]]


def _coreset(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    if survey.labelled_looks is None or not len(survey.labelled_looks):
        return _looks(survey, count, rng)
    order, far = k_centre(survey.looks, conflicts(survey.windows), count, survey.labelled_looks)
    return [(i, _unlike(d, "all that is labelled or suggested before it")) for i, d in zip(order, far, strict=True)]


def _badge(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    found = scores.by_entropy(survey)
    vectors = doubt_vectors(survey.probabilities, survey.looks)
    order = k_means_pp(vectors, conflicts(survey.windows), count, rng)
    return [(i, found[i]) for i in order]


def _diverse_entropy(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    found = scores.by_entropy(survey)
    clash = conflicts(survey.windows)
    pool = best_first(np.array([one.score for one in found]), clash, POOL * count)
    order, _ = k_centre(survey.looks[pool], clash[np.ix_(pool, pool)], count, survey.labelled_looks)
    return [(pool[i], found[pool[i]]) for i in order]


def _entropy_near(survey: Survey, count: int, rng: np.random.Generator) -> list[Pick]:
    found = scores.by_entropy(survey)
    clash = conflicts(survey.windows)
    order, ways = by_return(np.array([s.score for s in found]), survey.windows, clash, count, survey.start)
    picks = []
    for i, way in zip(order, ways, strict=True):
        words = f"{found[i].reason}; {way:.1f} window widths from the one before"
        picks.append((i, Scored(found[i].score, words, {**found[i].figures, "way": way})))
    return picks


def _unlike(distance: float, what: str) -> Scored:
    return Scored(distance, f"looks unlike {what} (cosine distance {distance:.2f})", {"distance": distance})


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        one.name: one
        for one in (
            Strategy("random", "windows at random: a control", _random, before_classes=True),
            Strategy("uniform", "windows evenly spread: a control", _uniform, before_classes=True),
            Strategy("looks", "windows that look different from each other", _looks, before_classes=True),
            Strategy("coreset", "windows that look different from what is labelled", _coreset, before_classes=True),
            Strategy("entropy", "the class map is least certain", _best(scores.by_entropy)),
            Strategy("margin", "the two best classes are closest", _best(scores.by_margin)),
            Strategy("entropy_diverse", "uncertain windows that look different from each other", _diverse_entropy),
            Strategy("entropy_near", "most uncertainty per second, the way there included", _entropy_near),
            Strategy("badge", "uncertain and different at once", _badge),
            Strategy("rounds", "the last round changed most", _best(scores.by_change_of_round), frozenset({BEFORE})),
            Strategy("base", "all rounds changed most", _best(scores.by_change_of_base), frozenset({BASE})),
            Strategy("flips", "mirrored views disagree", _best(scores.by_flips), frozenset({FLIPS})),
            Strategy("iou", "SAM expects bad masks", _best(scores.by_expected_iou), frozenset({IOUS})),
            Strategy("rarity", "rare classes are predicted", _best(scores.by_rarity)),
            Strategy("reference", "sure against a weak reference", _best(scores.by_reference), frozenset({REFERENCE})),
        )
    }
)
"""Every strategy by its name. "random" and "uniform" are controls: one that does not beat them is worth nothing."""

DEFAULT, DEFAULT_BEFORE_CLASSES = "entropy", "looks"
"""What is used where nobody names one. In simulations (`seglab simulate`: four folders, five seeds) no strategy needed
fewer clicks than "random": "entropy" was nowhere worse beyond the spread of seeds, "badge" was on one folder. See the
README, "Where to label next"; tests/active/test_default.py puts the runs together again. "looks" was not compared: all
began with the same windows."""


def strategy_for(name: str | None, has_classes: bool) -> Strategy:
    """A strategy by name.

    Args:
        name: a key of STRATEGIES; the default if None.
        has_classes: whether any class has an object or a round.

    Raises:
        SuggestionError: no such strategy, or it needs a class map and there is none.
    """
    if name is None:
        name = DEFAULT if has_classes else DEFAULT_BEFORE_CLASSES
    if name not in STRATEGIES:
        raise SuggestionError(f"no strategy is called {name!r}; choose one of {', '.join(STRATEGIES)}")
    if not has_classes and not STRATEGIES[name].before_classes:
        able = ", ".join(one.name for one in STRATEGIES.values() if one.before_classes)
        raise SuggestionError(f"strategy {name!r} needs a class map; accept an object first, or choose one of {able}")
    return STRATEGIES[name]


def choose(strategy: Strategy, survey: Survey, count: int, seed: int = 0) -> list[Suggestion]:
    """The windows that a strategy would label next, first things first.

    Args:
        strategy: from `strategy_for`.
        survey: with the passes that it needs.
        count: at most so many; fewer where the windows left are of the same ground.
        seed: of what it draws by chance.
    """
    if not survey.windows or count < 1:
        return []
    picks: Sequence[Pick] = strategy.pick(survey, count, np.random.default_rng(seed))
    windows = survey.windows
    return [Suggestion(windows[i], windows[i].polygon, s.score, s.reason, s.figures, strategy.name) for i, s in picks]
