"""Accuracy of a map and areas of its classes, with intervals, from a stratified random sample of reference labels.

The strata are the classes of the map. Numbers of equations are those of P. Olofsson, G. M. Foody, M. Herold,
S. V. Stehman, C. E. Woodcock and M. A. Wulder, Good practices for estimating area and assessing accuracy of land
change, Remote Sensing of Environment 148 (2014) 42-57. With W_i the share of stratum i in the mapped area A, and r_ij
its share that is of reference class j (see core.error_matrix, also for V(r_ij)):

    p_ij   = W_i r_ij                                                                    (4)
    O      = sum of p_jj: overall accuracy                                               (1)
    V(O)   = sum of W_i² V(r_ii)                                                         (5)
    U_i    = p_ii / p_i.: user's accuracy, of what is mapped as i the share that is i    (2)
    V(U_i) = V(r_ii)                                                                     (6)
    P_j    = p_jj / p_.j: producer's accuracy, of what is j the share that is mapped so  (3)
    V(P_j) = [(1 - P_j)² W_j² V(r_jj) + P_j² sum over i ≠ j of W_i² V(r_ij)] / p_.j²     (7)
    A_j    = A p_.j = A sum of W_i r_ij: area of class j, in error or not on the map     (8, 9)
    S(A_j) = A root of the sum of W_i² V(r_ij)                                           (10, 11)

Intervals are estimates ± 1.96 standard errors. The mapped area (pixels counted) is biased by the map's errors; A_j is
not.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from seglab.core.error_matrix import ErrorMatrix, Stratum

Z = 1.96
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error."""

    value: float
    """NaN where it means nothing: the user's accuracy of a class that the map lacks."""
    se: float
    most: float = 1.0
    """What it cannot exceed; it cannot be negative either."""

    @property
    def margin(self) -> float:
        """Half of the 95 % interval, before it is cut at the limits."""
        return Z * self.se

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return max(0.0, self.value - self.margin) if self.se == self.se else self.value

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return min(self.most, self.value + self.margin) if self.se == self.se else self.value

    def to_dict(self) -> dict[str, float | None]:
        """A value for JSON; None stands for what is not defined."""
        figures = {"value": self.value, "se": self.se, "low": self.low, "high": self.high}
        return {name: None if figure != figure else float(figure) for name, figure in figures.items()}


@dataclass(frozen=True, eq=False)
class AreaEstimate:
    """What a checked sample says of a map."""

    strata: tuple[Stratum, ...]
    matrix: ErrorMatrix
    unit: str = "ha"
    """Of the strata's areas."""
    left_out: int = 0
    """Pixels of the sample of which nobody could tell the class."""
    unchecked: int = 0
    """Pixels of the sample that nobody has answered yet."""
    remarks: tuple[str, ...] = ()
    """What else a reader must know, in sentences."""

    # -- what is estimated

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in order."""
        return self.matrix.classes

    @property
    def total(self) -> float:
        """The mapped area A."""
        return float(sum(stratum.area for stratum in self.strata))

    @property
    def checked(self) -> int:
        """Pixels that count."""
        return int(self.matrix.counts.sum())

    @cached_property
    def _weights(self) -> np.ndarray:
        """(S, 1), W_i."""
        return np.array([[stratum.area] for stratum in self.strata]) / self.total

    @cached_property
    def _is_own(self) -> np.ndarray:
        """(S, C) bool: whether the stratum is of the class on the map."""
        return np.array([[stratum.class_name == name for name in self.classes] for stratum in self.strata])

    @property
    def proportions(self) -> np.ndarray:
        """(S, C) p_ij, estimated shares of the mapped area: equation 4."""
        return self._weights * self.matrix.shares

    @property
    def _spread(self) -> np.ndarray:
        """(S, C) variance of p_ij."""
        return self._weights**2 * self.matrix.variances

    @property
    def overall(self) -> Estimate:
        """Overall accuracy, the share of the area that is mapped right: equations 1 and 5."""
        return Estimate(float(self.proportions[self._is_own].sum()), float(self._spread[self._is_own].sum() ** 0.5))

    @property
    def users(self) -> dict[str, Estimate]:
        """User's accuracy by class: equations 2 and 6."""
        found = {}
        for name, own, right, spread in self._by_class():
            mapped = float(self._weights[own].sum())
            value = float(right[own].sum()) / mapped if mapped else float("nan")
            found[name] = Estimate(value, float(spread[own].sum() ** 0.5) / mapped if mapped else float("nan"))
        return found

    @property
    def producers(self) -> dict[str, Estimate]:
        """Producer's accuracy by class: equations 3 and 7."""
        found = {}
        for name, own, share, spread in self._by_class():
            there = float(share.sum())
            if not there:
                found[name] = Estimate(float("nan"), float("nan"))
                continue
            value = float(share[own].sum()) / there
            variance = (1 - value) ** 2 * spread[own].sum() + value**2 * spread[~own].sum()
            found[name] = Estimate(value, float(variance**0.5) / there)
        return found

    @property
    def areas(self) -> dict[str, Estimate]:
        """Area by class, in `unit`: equations 9 to 11."""
        return {
            name: Estimate(self.total * float(share.sum()), self.total * float(spread.sum() ** 0.5), self.total)
            for name, _, share, spread in self._by_class()
        }

    @property
    def mapped(self) -> dict[str, float]:
        """Area by class as the map has it, in `unit`."""
        return {
            name: float(sum(stratum.area for stratum in self.strata if stratum.class_name == name))
            for name in self.classes
        }

    def _by_class(self) -> Iterable[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
        """Name, (S,) whether mapped so, (S,) p_ij and (S,) its variance, of each class."""
        return zip(self.classes, self._is_own.T, self.proportions.T, self._spread.T, strict=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures do not tell by themselves, in sentences."""
        found = list(self.remarks)
        if self.unchecked:
            found.append(f"{_many(self.unchecked, 'place')} of the sample {_are(self.unchecked)} not checked yet.")
        if self.left_out:
            found.append(
                f"{_many(self.left_out, 'place')} of which nobody could tell the class {_are(self.left_out)} left out, "
                "as if the others of the same stratum stood for them."
            )
        for stratum, counts, own in zip(self.strata, self.matrix.counts, self._is_own, strict=True):
            checked = int(counts.sum())
            if checked < stratum.pixels and int(counts[own].sum()) == checked:
                found.append(
                    f"No error was found among the {_many(checked, 'place')} mapped as {stratum.class_name}. That "
                    f"gives no margin, but up to {min(1.0, 3 / checked):.0%} of what is mapped so may be wrong."
                )  # 95 % bound of a share of which none was seen, 3 / n: Hanley and Lippman-Hand, JAMA 249 (1983)
        return tuple(found)

    # -- how it is shown

    @property
    def table(self) -> pd.DataFrame:
        """One row per class: checked places mapped so, mapped and estimated area in `unit`, user's and producer's
        accuracy (0 to 1), each estimate with standard error and 95 % interval."""
        checked = [int(self.matrix.counts[own].sum()) for own in self._is_own.T]
        columns: dict[str, Sequence[float]] = {"checked": checked, f"mapped_{self.unit}": list(self.mapped.values())}
        for title, estimates in (
            (f"area_{self.unit}", self.areas),
            ("users_accuracy", self.users),
            ("producers_accuracy", self.producers),
        ):
            for suffix, part in (("", "value"), ("_se", "se"), ("_low", "low"), ("_high", "high")):
                columns[title + suffix] = [getattr(estimate, part) for estimate in estimates.values()]
        return pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))

    def to_dict(self) -> dict[str, Any]:
        """A value for JSON; None stands for what is not defined."""
        users, producers, areas, mapped = self.users, self.producers, self.areas, self.mapped
        return {
            "overall_accuracy": self.overall.to_dict(),
            "unit": self.unit,
            "mapped_area": self.total,
            "checked": self.checked,
            "unchecked": self.unchecked,
            "left_out": self.left_out,
            "classes": {
                name: {
                    "mapped_area": mapped[name],
                    "area": areas[name].to_dict(),
                    "users_accuracy": users[name].to_dict(),
                    "producers_accuracy": producers[name].to_dict(),
                }
                for name in self.classes
            },
            "error_matrix": {
                "map": [stratum.class_name for stratum in self.strata],
                "reference": list(self.classes),
                "counts": self.matrix.counts.tolist(),
                "proportions": self.proportions.tolist(),
            },
            "notes": list(self.notes),
        }

    @property
    def heading(self) -> str:
        """Overall accuracy in words."""
        return f"Overall accuracy {_percent(self.overall)} % (95 % interval, {_many(self.checked, 'place')} checked)"

    def _rows(self) -> list[list[str]]:
        """Header, then one row per class, as texts."""
        unit = self.unit
        rows = [["class", f"mapped {unit}", f"estimated {unit}", "user's %", "producer's %"]]
        mapped, areas, users, producers = self.mapped, self.areas, self.users, self.producers
        for name in self.classes:
            amounts = _amounts(mapped[name], areas[name])
            rows.append([name, *amounts, _percent(users[name]), _percent(producers[name])])
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        return "\n".join([self.heading, "", *lines, *(f"* {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        head, *body = self._rows()
        first = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in head)
        lines = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(text)}</td>" for text in row[1:])
            + "</tr>"
            for row in body
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><b>{html.escape(self.heading)}</b></p><table><thead><tr>{first}</tr></thead><tbody>{lines}</tbody></table>"
            + (f"<ul>{notes}</ul>" if notes else "")
        )


def estimate_from_counts(
    strata: Sequence[Stratum], counts: Mapping[str, Sequence[int]], unit: str = "ha"
) -> AreaEstimate:
    """The estimate from a published error matrix.

    Args:
        strata: of the map.
        counts: by reference class, in order, how many pixels of each stratum's sample are of it.
        unit: of the strata's areas.

    Raises:
        MapCheckError: see ErrorMatrix.of_counts.
    """
    matrix = ErrorMatrix.of_counts(strata, list(counts), np.array(list(counts.values())).T)
    return AreaEstimate(tuple(strata), matrix, unit)


def _percent(estimate: Estimate) -> str:
    if estimate.value != estimate.value:
        return "–"
    return f"{100 * estimate.value:.1f} ± {100 * estimate.margin:.1f}"


def _amounts(mapped: float, area: Estimate) -> tuple[str, str]:
    """Mapped and estimated area, with as many digits as the larger of them deserves."""
    largest = max(mapped, area.value)
    digits = 0 if largest >= 1000 else 1 if largest >= 100 else 2
    return f"{mapped:,.{digits}f}", f"{area.value:,.{digits}f} ± {area.margin:,.{digits}f}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
