"""The accounts of a project: what labels have cost, what rounds made of them, and what more labels would bring."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from seglab.app.economics.effort import Clock, Effort, effort_of
from seglab.app.labels.labelled import LabelledObject
from seglab.app.rounds.rounds import Round
from seglab.evaluation.learning_curves import Gain, expected_gain, standard_error
from seglab.store.events import Event
from seglab.training.validation import CLASS_IOU, FIRST

MEASURES = {CLASS_IOU: "class mIoU", FIRST: "IoU at one click"}
"""What rounds are compared by, the first that all of them have; in words."""
LEAST_MINUTES = 0.5
"""The shortest time that a round or a portion counts as."""


@dataclass(frozen=True)
class RoundPoint:
    """A round on the learning curve."""

    round: int
    minutes: float
    """Worked until it was begun."""
    objects: int
    """That it has learnt from."""
    accuracy: float
    """On held-out ground, 0 to 1."""
    low: float | None
    high: float | None
    """The ends of its 95 % interval; None where one place is all there is."""


@dataclass(frozen=True)
class Outlook:
    """What the next portion of labelling is expected to bring."""

    minutes: float
    """As long as the portion before the last round."""
    gain: Gain
    """Of accuracy."""
    resolution: float
    """Half the width of the last round's interval: what validation can tell at best."""

    @property
    def enough(self) -> bool:
        """Whether what is expected is less than what validation could tell."""
        return self.gain.mean < self.resolution


@dataclass(frozen=True)
class Accounts:
    """The accounts of a project."""

    effort: Effort
    measure: str
    """What accuracy is, in words."""
    rounds: tuple[RoundPoint, ...]
    """Those that were judged on held-out ground, in order."""
    outlook: Outlook | None
    """None with fewer than two such rounds."""

    def __repr__(self) -> str:
        return f"<Accounts: {len(self.effort.costs)} objects, {self.effort.minutes:.1f} min, {len(self.rounds)} rounds>"

    def _repr_html_(self) -> str:
        from seglab.app.economics.curve import curve_svg

        words = "".join(f"<p>{html.escape(line)}</p>" for line in (self.spent, self.advice))
        return f'<div style="max-width: 36rem">{curve_svg(self)}{words}</div>'

    @property
    def spent(self) -> str:
        """What was spent, in words."""
        objects, clicks, seconds, *_ = self.effort.means
        if not objects:
            return "No object was made here yet."
        each = "" if seconds != seconds else f", {seconds:.0f} s"
        count = "1 object" if objects == 1 else f"{objects} objects"
        return f"{count} in {self.effort.minutes:.1f} min: {clicks:.1f} clicks{each} each."

    @property
    def advice(self) -> str:
        """Whether to go on, in words."""
        if self.outlook is None:
            return "Two rounds that were judged on held-out ground are needed to say what more labels bring."
        gain, minutes = self.outlook.gain, self.outlook.minutes
        expected = f"{100 * gain.mean:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        found = f"{minutes:.0f} more min are expected to bring {expected} of {self.measure}"
        told = f"± {100 * self.outlook.resolution:.1f}"
        if self.outlook.enough:
            return f"{found}; validation tells no better than {told}. You may stop, or check the map by a sample."
        return f"{found}, more than validation's {told}: go on."


def accounts_of(
    events: Sequence[Event], objects: Iterable[LabelledObject], rounds: Sequence[Round], worked: Clock | None = None
) -> Accounts:
    """The accounts of a project.

    Args:
        events: of its log, in order.
        objects: accepted, of all scenes.
        rounds: all of them.
        worked: the clock of the events; made if None.
    """
    clock = Clock(events) if worked is None else worked
    measure, points = _points(events, rounds, clock)
    return Accounts(effort_of(events, objects, clock), MEASURES[measure], points, _outlook(points))


def _points(events: Sequence[Event], rounds: Sequence[Round], clock: Clock) -> tuple[str, tuple[RoundPoint, ...]]:
    """What accuracy is, and the rounds that were taken into use and have it."""
    ended = {int(e.data["number"]): datetime.fromisoformat(e.time) for e in events if e.kind == "round"}
    judged = [r for r in rounds if r.number in ended and r.card.get("validation")]
    figures = {r.number: r.card["validation"]["round"] for r in judged}
    measure = next((m for m in MEASURES if judged and all(figures[r.number].get(m) is not None for r in judged)), FIRST)
    points = []
    for one in judged:
        value = figures[one.number].get(measure)
        if value is None:
            continue
        mean, low, high = value if isinstance(value, list) else (value, None, None)
        begun = ended[one.number] - timedelta(seconds=float(one.card.get("seconds", 0)))
        points.append(RoundPoint(one.number, clock.minutes_at(begun), int(one.card["objects"]), mean, low, high))
    return measure, tuple(points)


def _outlook(points: Sequence[RoundPoint]) -> Outlook | None:
    known = [p for i, p in enumerate(points) if i == 0 or p.minutes > points[i - 1].minutes]
    if len(known) < 2 or known[-1].low is None or known[-1].high is None:
        return None
    minutes = [max(p.minutes, LEAST_MINUTES) for p in known]
    portion = max(minutes[-1] - minutes[-2], LEAST_MINUTES)
    errors = [standard_error(p.low, p.high) for p in known]
    gain = expected_gain(minutes, [p.accuracy for p in known], errors, portion)
    return Outlook(portion, gain, (known[-1].high - known[-1].low) / 2)
