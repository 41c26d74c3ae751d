"""How accuracy grows with what it costs, and what the next portion will bring.

The curve is an inverse power law, accuracy = a - b * cost^-c (Cortes et al., "Learning curves: asymptotic values and
rate of convergence", NIPS 1993; weighted by certainty as in Figueroa et al., "Predicting sample size required for
classification performance", BMC Medical Informatics and Decision Making 12:8, 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seglab.evaluation.intervals import CONFIDENCE, RESAMPLES

RATES = np.linspace(0.1, 2.0, 20)
"""Values of c that are tried."""
USUAL_RATE = 0.5
"""c where two points cannot tell it."""
LEAST_SE = 0.005
"""Standard error below which no measured accuracy is believed."""
Z = 1.96
"""Half-width of a 95 % interval, in standard errors."""


@dataclass(frozen=True)
class Gain:
    """What a further portion of work is expected to bring."""

    mean: float
    low: float
    high: float
    """The ends of its 95 % interval."""


def expected_gain(
    costs: Sequence[float], accuracies: Sequence[float], errors: Sequence[float], portion: float, seed: int = 0
) -> Gain:
    """The growth of accuracy from the last point on, if one more portion is spent.

    The interval comes from fits to accuracies drawn anew around those measured (parametric bootstrap). Points of one
    project are judged on much the same ground, so that their errors go together, and the interval is rather too wide.

    Args:
        costs: (N,) above 0 and rising, N at least 2, in any unit: minutes, clicks.
        accuracies: (N,) 0 to 1.
        errors: (N,) standard errors of the accuracies.
        portion: of the same unit as costs, above 0.
        seed: of the draws.

    Raises:
        ValueError: fewer than two points, or costs or portion that are not above 0.
    """
    cost, found = np.asarray(costs, float), np.asarray(accuracies, float)
    if len(cost) < 2 or not (cost > 0).all() or not portion > 0:
        raise ValueError("a learning curve needs two points or more, at costs above 0, and a portion above 0")
    spread = np.maximum(np.asarray(errors, float), LEAST_SE)
    drawn = np.random.default_rng(seed).normal(found, spread, (RESAMPLES, len(cost)))
    gains = _gains(np.vstack([found, drawn]), cost, 1 / spread**2, portion)
    low, high = np.quantile(gains[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Gain(float(gains[0]), float(min(low, gains[0])), float(max(high, gains[0])))


def standard_error(low: float | None, high: float | None) -> float:
    """Of a mean with a 95 % interval; where there is none, that of nothing known: 0.1."""
    return 0.1 if low is None or high is None else (high - low) / (2 * Z)


def _gains(accuracies: np.ndarray, cost: np.ndarray, weights: np.ndarray, portion: float) -> np.ndarray:
    """(R, N) accuracies to (R,) gains, each by its best fit."""
    best = np.full(len(accuracies), np.inf)
    gains = np.zeros(len(accuracies))
    for rate in RATES if len(cost) > 2 else (USUAL_RATE,):
        x = cost**-rate
        level, slope = _fit(accuracies, x, weights)
        missed = (weights * (accuracies - level[:, None] + slope[:, None] * x) ** 2).sum(1)
        better = missed < best
        best[better] = missed[better]
        gains[better] = (slope * (x[-1] - (cost[-1] + portion) ** -rate))[better]
    return gains


def _fit(accuracies: np.ndarray, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of accuracy = a - b x with b at least 0 and a at most 1: (R,) a, (R,) b."""
    share = weights / weights.sum()
    middle, mean = share @ x, accuracies @ share
    slope = -((accuracies - mean[:, None]) @ (share * (x - middle))) / (share @ (x - middle) ** 2)
    slope = np.maximum(slope, 0.0)  # labels do not make a model worse in the long run
    level = mean + slope * middle
    above = level > 1
    slope = np.where(above, np.maximum((1 - accuracies) @ (share * x) / (share @ x**2), 0.0), slope)
    return np.minimum(level, 1.0), slope
