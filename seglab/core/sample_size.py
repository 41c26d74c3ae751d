"""How many places to check, and how they are shared out among the classes of a map.

Equation 13 and section 5.1 of Olofsson et al. 2014 (see core.area_estimate); equation 13 is 5.25 of W. G. Cochran,
Sampling Techniques, 3rd ed. (1977). W_i: share of stratum i; U_i: its user's accuracy as one expects it before.

    n = (sum of W_i S_i)² / [S(O)² + (1 / N) sum of W_i S_i²],  S_i = root of U_i (1 - U_i)        (13)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seglab.core.error_matrix import FEWEST
from seglab.errors import MapCheckError

EXPECTED_ACCURACY = 0.85
"""User's accuracy of a class where nobody knows better: the target that Anderson et al. (USGS Professional Paper 964,
1976) set for maps."""
TARGET_SE = 0.025
"""Standard error of the overall accuracy that is aimed at: an interval of ± 5 points. About 200 places."""
RARE = 50
"""Places of a rare class, at least, in a sample that is large enough: section 5.1.2 names 50 to 100."""


def sample_size(
    target_se: float = TARGET_SE,
    shares: Sequence[float] = (1.0,),
    expected: Sequence[float] = (EXPECTED_ACCURACY,),
    pixels: int | None = None,
) -> int:
    """How many pixels to check for a standard error of the overall accuracy: equation 13.

    Where the same accuracy is expected of all classes, their shares do not matter.

    Args:
        target_se: S(O), above 0 and under 0.5.
        shares: (S,) W_i, which sum to 1.
        expected: (S,) U_i, 0 to 1.
        pixels: N, of the map; None: endlessly many.

    Raises:
        MapCheckError: the arguments make no sense.
    """
    w, u = np.asarray(shares, dtype=float), np.asarray(expected, dtype=float)
    if not 0 < target_se < 0.5:
        raise MapCheckError(f"a standard error of {target_se!r} is no aim; give one such as 0.02, for ± 4 points")
    if w.shape != u.shape or not ((u >= 0) & (u <= 1)).all():
        raise MapCheckError("give one expected user's accuracy from 0 to 1 for each class of the map")
    spread = u * (1 - u)
    finite = 0.0 if pixels is None else float((w * spread).sum()) / pixels
    return max(1, math.ceil(float((w * np.sqrt(spread)).sum()) ** 2 / (target_se**2 + finite) - 1e-9))


def allocate(size: int, pixels: Sequence[int], least: int | None = None) -> list[int]:
    """Share a sample out: rare classes get a minimum, the others the rest in proportion to their pixels.

    Args:
        size: of the sample.
        pixels: (S,) of each stratum, at least 1.
        least: of each stratum; None: RARE, or what shares out half of the sample evenly, if that is less. A stratum of
            fewer pixels is checked whole.

    Returns:
        (S,) places of each stratum; they sum to `size`, or to all pixels of a smaller map.

    Raises:
        MapCheckError: the sample is too small for an interval of each class.
    """
    if least is None:
        least = max(FEWEST, min(RARE, size // (2 * max(1, len(pixels)))))
    needed = sum(min(least, count) for count in pixels)
    if needed > size or least < FEWEST:
        raise MapCheckError(
            f"{size} places cannot give {least} to each of the map's {len(pixels)} classes; check at least "
            f"{sum(min(max(least, FEWEST), count) for count in pixels)}, and {FEWEST} or more of each class"
        )
    found = [0] * len(pixels)
    left, open_ = min(size, sum(pixels)), list(range(len(pixels)))
    while open_:
        total = sum(pixels[i] for i in open_)
        fixed = [i for i in open_ if left * pixels[i] < least * total]  # proportionally it would get too few
        if not fixed:
            break
        for i in fixed:
            found[i] = min(least, pixels[i])
            open_.remove(i)
        left = min(size, sum(pixels)) - sum(found)
    return _in_proportion(found, left, pixels, open_)


def _in_proportion(found: list[int], left: int, pixels: Sequence[int], open_: Sequence[int]) -> list[int]:
    """Give what is left to the large strata by largest remainders; what they cannot take goes to any that can."""
    total = sum(pixels[i] for i in open_)
    exact = {i: left * pixels[i] / total for i in open_}
    for i in open_:
        found[i] = min(int(exact[i]), pixels[i])
    rest = min(left, total) - sum(found[i] for i in open_)
    for i in sorted(open_, key=lambda i: int(exact[i]) - exact[i])[:rest]:
        found[i] += 1
    spare = left - sum(found[i] for i in open_)  # the large ones are checked whole
    for i in range(len(found)):
        more = min(spare, pixels[i] - found[i])
        found[i], spare = found[i] + more, spare - more
    return found


def expected_se(areas: Sequence[float], sizes: Sequence[int], expected: Sequence[float]) -> float:
    """Standard error of the overall accuracy that a sample will have, if the expectation holds: equation 5.

    Args:
        areas: (S,) of the strata, in any unit.
        sizes: (S,) places of each stratum.
        expected: (S,) user's accuracies.
    """
    w = np.asarray(areas, dtype=float) / sum(areas)
    u, n = np.asarray(expected, dtype=float), np.asarray(sizes, dtype=float)
    return float(np.sqrt((w**2 * u * (1 - u) / np.maximum(n - 1, 1)).sum()))
