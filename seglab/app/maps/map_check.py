"""A check of a map by a sample: what was drawn, what a person has answered, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from shapely.geometry import Polygon, box

from seglab.core.area_estimate import AreaEstimate, Z
from seglab.core.error_matrix import ErrorMatrix, Stratum
from seglab.core.map_sample import MapSample
from seglab.core.sample_size import EXPECTED_ACCURACY, expected_se
from seglab.errors import MapCheckError
from seglab.store.events import Event

BACKGROUND_NAME = "background"
"""What a place of no class is called, on the map and in answers."""


@dataclass(frozen=True)
class MapCheck:
    """A check as the log has it; its state is never changed, only replaced."""

    id: int
    """Number of the event that started it."""
    map: Mapping[str, Any]
    """Which file: see map_checking.map_identity; also "round" and "date", where they are known."""
    sample: MapSample
    classes: tuple[str, ...]
    """What the map says of each stratum, by today's names."""
    answers: Mapping[int, str | None] = field(default_factory=dict)
    """What a person says, by the place's number: a class of today, or BACKGROUND_NAME; None: nobody can tell."""

    def __repr__(self) -> str:
        told = f", {self.left_out} of them undecided" if self.left_out else ""
        return f"<MapCheck of {self.map['path']!r}: {self.answered} of {self.size} places answered{told}>"

    @property
    def size(self) -> int:
        """Places in the sample."""
        return len(self.sample.units)

    @property
    def answered(self) -> int:
        """Places with an answer, those included of which nobody can tell."""
        return len(self.answers)

    @property
    def left_out(self) -> int:
        """Places of which nobody can tell."""
        return sum(answer is None for answer in self.answers.values())

    @property
    def next(self) -> int | None:
        """Number of the first place without an answer, from 0; None when all are answered."""
        return self.next_after(-1)

    def next_after(self, number: int) -> int | None:
        """Number of the next place without an answer; after the last one comes the first."""
        around = ((number + 1 + k) % self.size for k in range(self.size))
        return next((i for i in around if i not in self.answers), None)

    def outline(self, number: int) -> Polygon:
        """A place's pixel, scene pixels."""
        unit = self.sample.units[number]
        return box(unit.col, unit.row, unit.col + 1, unit.row + 1)

    @cached_property
    def expected_margin(self) -> float:
        """Half of the 95 % interval of the overall accuracy when all is answered, if 85 % of the map are right."""
        areas = [stratum.area for stratum in self.sample.strata]
        return Z * expected_se(areas, self.sample.sizes, [EXPECTED_ACCURACY] * len(areas))

    def estimate(self, remarks: tuple[str, ...] = ()) -> AreaEstimate:
        """What the answers so far say of the map. Places come in random order: the first ones are a sample, too.

        Args:
            remarks: what a reader must know besides.

        Raises:
            MapCheckError: too few are answered where the map says one of its classes.
        """
        order = sorted(range(len(self.classes)), key=lambda i: self.classes[i] == BACKGROUND_NAME)  # at the end
        found = self.sample.strata
        strata = tuple(Stratum(self.classes[i], found[i].pixels, found[i].area) for i in order)
        told = [(self.sample.units[i], answer) for i, answer in sorted(self.answers.items()) if answer is not None]
        matrix = ErrorMatrix.of_units(
            strata, [order.index(u.stratum) for u, _ in told], [name for _, name in told], [u.area for u, _ in told]
        )
        unit = "ha" if self.sample.has_hectares else "px"
        return AreaEstimate(strata, matrix, unit, self.left_out, self.size - self.answered, remarks)

    def counts(self) -> Counter[str]:
        """How often each answer was given, whatever the map says there."""
        return Counter(answer for answer in self.answers.values() if answer is not None)

    def renamed(self, old: str, new: str) -> MapCheck:
        """The same after a class was renamed, or went into another."""
        now = lambda name: new if name == old else name  # noqa: E731
        answers = {i: None if answer is None else now(answer) for i, answer in self.answers.items()}
        return replace(self, classes=tuple(map(now, self.classes)), answers=answers)

    def to_json(self) -> dict[str, Any]:
        """The data of the event that starts the same check, without its answers."""
        return {"map": dict(self.map), "classes": list(self.classes), **self.sample.to_json()}


def check_of(event_id: int, data: Mapping[str, Any]) -> MapCheck:
    """A check that begins, from the data of its event.

    Raises:
        KeyError, TypeError, ValueError: they are of something else.
    """
    sample, classes = MapSample.from_json(data), tuple(map(str, data["classes"]))
    if len(classes) != len(sample.strata) or not isinstance(data["map"]["path"], str):
        raise ValueError("the map or the names of its classes are missing")
    return MapCheck(event_id, dict(data["map"]), sample, classes)


def answered(check: MapCheck | None, event: Event, class_name: str | None) -> MapCheck | None:
    """The check after an answer; one to another check (another notebook may have started a new one) does not matter.

    Args:
        check: before.
        event: of the answer.
        class_name: what it says, by today's names.
    """
    number = event.data["unit"]
    if check is None or check.id != event.data["check"]:
        return check
    if not 0 <= number < check.size:
        raise ValueError(f"the sample has no place {number}")
    return replace(check, answers={**check.answers, number: class_name})


def require_check(check: MapCheck | None) -> MapCheck:
    """The check, if there is one.

    Raises:
        MapCheckError: there is none.
    """
    if check is None:
        raise MapCheckError("no check of the map was started; map the scene, then call start_check")
    return check
