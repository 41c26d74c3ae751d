"""Where to label next, as a session tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import shapely

from seglab import jobs
from seglab.active.registry import STRATEGIES, choose, strategy_for
from seglab.active.survey import BASE, BEFORE, REFERENCE, Suggestion
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.importing import imported
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import CurrentModel, Round
from seglab.app.suggestions.queue import SuggestionQueue
from seglab.app.suggestions.surveying import Outlines, Surveyor
from seglab.core.grid import Grid
from seglab.core.windows import Window
from seglab.datasets.labels_file import read_labels

NEED_A_FILE = frozenset(name for name, strategy in STRATEGIES.items() if REFERENCE in strategy.needs)
"""Names of the strategies that need a file besides: see `reference` of Suggesting.suggest."""


class Suggesting:
    """The part of a LabelSession that says where to label next."""

    _ledger: Ledger
    _learner: Learner
    _surveyor: Surveyor
    _queue: SuggestionQueue
    state: State
    rounds: list[Round]
    grid: Grid
    date: str
    model_size: int
    expect: Callable[[Sequence[Window]], None]

    @property
    def strategies(self) -> dict[str, str]:
        """What each strategy of `suggest` looks for, by its name."""
        return {name: strategy.words for name, strategy in STRATEGIES.items()}

    @property
    def queue(self) -> SuggestionQueue:
        """Suggested windows to go through one by one: `fill` asks for them, `done` and `skip` answer."""
        return self._queue

    def suggest(
        self,
        count: int = 5,
        strategy: str | None = None,
        *,
        reference: str | Path | None = None,
        seed: int = 0,
        reporter: jobs.Reporter | None = None,
    ) -> list[Suggestion]:
        """Where to label next, with the reason: windows without labels, no two of the same ground.

        A large scene is not looked at as a whole: see app.candidates. What was seen is remembered, so that asking again
        costs only what is new.

        Args:
            count: how many, at most.
            strategy: a name in `strategies`. None: "entropy", where the class map is least certain; before any class
                has an object "looks", windows that look different from each other. In simulations no strategy
                beat "random" (README, "Where to label next").
            reference: for the strategy "reference", an existing map as polygons with classes: see `import_labels`. What
                lies outside all of them counts as background.
            seed: for strategies that draw by chance.
            reporter: for calls inside a job.

        Raises:
            SuggestionError: no such strategy, or it lacks what it compares with.
            LabelsFileError: the reference cannot be used as it is.
        """
        return self._suggested(reporter or jobs.SilentReporter(), count, strategy, reference, seed)

    # -- parts

    def _suggested(
        self,
        reporter: jobs.Reporter,
        count: int,
        name: str | None,
        reference: str | Path | None,
        seed: int,
    ) -> list[Suggestion]:
        with self._ledger.acting():  # not while looking around, which takes a while
            current, state = self._learner.current.on(self.date), self.state
        strategy = strategy_for(name, bool(state.objects or current.trained))
        survey = self._surveyor.survey(
            reporter,
            current,
            state,
            strategy,
            earlier=self._earlier(current.number),
            reference=None if reference is None else self._reference(reference),
        )
        found = choose(strategy, survey, count, seed)
        self.expect([suggestion.window for suggestion in found])
        return found

    def _earlier(self, number: int) -> dict[str, Callable[[], CurrentModel]]:
        """What loads the models that a round is compared with; nothing before any round."""
        if number == 0:
            return {}
        parent = next(one.parent for one in self.rounds if one.number == number)
        load = self._learner.load
        return {BEFORE: lambda: load(parent).on(self.date), BASE: lambda: load(0).on(self.date)}

    def _reference(self, path: str | Path) -> Outlines:
        found = imported(read_labels(path), self.grid, self.model_size)
        return [(self.state.today(one["class"]) or one["class"], shapely.from_wkb(one["geometry"])) for one in found]
