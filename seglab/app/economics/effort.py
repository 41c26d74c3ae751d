"""What objects have cost a person: seconds and clicks, as the project's log tells."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from seglab.app.labels.labelled import LabelledObject
from seglab.evaluation.intervals import bootstrap_mean
from seglab.store.events import Event

BREAK_S = 120.0
"""Seconds between two actions from which the person is taken to have been away."""
BY_MACHINE = frozenset({"round", "prediction", "held_out"})
"""Kinds of events that a job writes when it ends, whatever the person does then."""
MAKING = frozenset({"accept", "confirm"})
"""Kinds of events by which a person makes objects one after the other; imports bring theirs at once."""
WAYS = {"clicks": "clicked", "box": "boxed", "drawn": "drawn by hand", "proposed": "confirmed"}
"""How an object was made, in words."""


@dataclass(frozen=True)
class Cost:
    """One object and what it has cost."""

    object: int
    class_name: str
    way: str
    """A key of WAYS."""
    clicks: int
    """Points, and one for a box."""
    seconds: float | None
    """Since the action before, of the same person; None after a break, and for the first one."""


@dataclass(frozen=True)
class Effort:
    """What a project's labels have cost."""

    minutes: float
    """That somebody has worked: gaps of BREAK_S and more left out; of several people, the sum."""
    breaks: int
    """Gaps left out."""
    costs: tuple[Cost, ...]
    """Of the objects that a person made here and that are still there, in order."""

    def by(self, part: str) -> pd.DataFrame:
        """Means by class or by way of making.

        Args:
            part: "class_name" or "way".

        Returns:
            One row per class or way: objects, clicks, seconds (NaN where no object tells), and the 95 % interval of the
            seconds' mean, seconds_low and seconds_high.
        """
        groups: dict[str, list[Cost]] = {}
        for cost in self.costs:
            groups.setdefault(getattr(cost, part), []).append(cost)
        rows = {name: _means(found) for name, found in groups.items()}
        columns = ["objects", "clicks", "seconds", "seconds_low", "seconds_high"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(part)

    @property
    def means(self) -> tuple[float, float, float, float, float]:
        """Of all objects: see `by`."""
        return _means(self.costs)


class Clock:
    """When somebody worked, from the times of what they did.

    Args:
        events: of the log, in order.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._ends: list[datetime] = []
        self._worked: list[float] = []
        self.breaks = 0
        self.gaps: dict[int, float | None] = {}
        """Seconds since the same person's action before, by event; None after a break, and for the first action."""
        last: dict[str, datetime] = {}
        total = 0.0
        for event in events:
            if event.kind in BY_MACHINE or event.data.get("initial"):
                continue
            now = datetime.fromisoformat(event.time)
            before = last.get(event.author)
            last[event.author] = now
            gap = None if before is None else max(0.0, (now - before).total_seconds())
            if gap is not None and gap >= BREAK_S:
                self.breaks, gap = self.breaks + 1, None
            self.gaps[event.id] = gap
            total += gap or 0.0
            self._ends.append(now)
            self._worked.append(total)

    @property
    def minutes(self) -> float:
        """In all."""
        return self._worked[-1] / 60 if self._worked else 0.0

    def minutes_at(self, moment: datetime) -> float:
        """Worked until a moment; an action counts from its end on."""
        place = bisect_right(self._ends, moment)
        return self._worked[place - 1] / 60 if place else 0.0


def effort_of(events: Sequence[Event], objects: Iterable[LabelledObject], clock: Clock) -> Effort:
    """What the objects that are there have cost.

    Args:
        events: of the project's log, in order.
        objects: accepted, of all scenes.
        clock: of the same events.
    """
    makers = {(event.time, event.author): event for event in events if event.kind in MAKING}
    found = list(objects)
    together = Counter((o.time, o.author) for o in found)
    costs = []
    for o in found:
        key = (o.time, o.author)
        if key not in makers:
            continue
        gap = clock.gaps.get(makers[key].id)
        seconds = None if gap is None else gap / together[key]
        costs.append(Cost(o.id, o.class_name, _way(o, makers[key].data), _clicks(o), seconds))
    return Effort(clock.minutes, clock.breaks, tuple(costs))


def _way(made: LabelledObject, data: Mapping[str, object]) -> str:
    if made.prompts.is_empty:
        return "proposed" if "objects" in data else "drawn"
    return "clicks" if made.prompts.box is None else "box"


def _clicks(made: LabelledObject) -> int:
    return len(made.prompts.points) + (made.prompts.box is not None)


def _means(costs: Sequence[Cost]) -> tuple[float, float, float, float, float]:
    seconds = [np.nan if cost.seconds is None else cost.seconds for cost in costs]
    clicks = float(np.mean([cost.clicks for cost in costs])) if costs else float("nan")
    return (len(costs), clicks, *bootstrap_mean(seconds))
