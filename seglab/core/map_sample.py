"""A stratified random sample of a class map's pixels, drawn strip by strip from a map of any size.

The strata are the map's values, background included; pixels without data belong to none. The map is gone through twice:
once to count, once to take, of each stratum, the pixels at places of the count that were drawn before. That is simple
random sampling without replacement in each stratum, whatever the strips are, and memory does not depend on the map.

Pixels of a stratum have equal probability. On a geographic grid they differ in area, so each unit carries its own, and
the estimates weigh by it: see core.error_matrix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seglab.core.class_map import ClassMap
from seglab.core.ground_area import PixelAreas
from seglab.core.windows import Window
from seglab.errors import EmptySceneError, MapCheckError

SQUARE_METRES = 10_000
"""In a hectare."""

OnProgress = Callable[[float], None]
"""Told the share of the map that was gone through, 0 to 1; may raise to stop."""


@dataclass(frozen=True)
class MapStratum:
    """The pixels of one value of a map."""

    value: int
    pixels: int
    area: float
    """Hectares; pixels where the map has no CRS."""


@dataclass(frozen=True)
class SampleUnit:
    """A pixel to be checked."""

    col: int
    row: int
    stratum: int
    """Its place in the list of strata."""
    area: float
    """Square metres; 1 where the map has no CRS."""


@dataclass(frozen=True)
class MapSample:
    """A sample of a map."""

    strata: tuple[MapStratum, ...]
    """By value."""
    units: tuple[SampleUnit, ...]
    """In random order: what is checked first is a sample, too."""
    has_hectares: bool
    """Whether areas are hectares and square metres, not pixels."""

    @property
    def sizes(self) -> list[int]:
        """(S,) units of each stratum."""
        found = Counter(unit.stratum for unit in self.units)
        return [found[place] for place in range(len(self.strata))]

    def to_json(self) -> dict[str, Any]:
        """A value for JSON."""
        return {
            "strata": [[s.value, s.pixels, s.area] for s in self.strata],
            "units": [[u.col, u.row, u.stratum, u.area] for u in self.units],
            "hectares": self.has_hectares,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MapSample:
        """What `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        strata = tuple(MapStratum(*found) for found in data["strata"])
        units = tuple(SampleUnit(*found) for found in data["units"])
        if not all(0 <= unit.stratum < len(strata) for unit in units):
            raise ValueError("a unit lies in no stratum")
        return cls(strata, units, bool(data["hectares"]))


def map_strata(class_map: ClassMap, on_progress: OnProgress = lambda share: None) -> list[MapStratum]:
    """Count a map's values, and measure them.

    Args:
        class_map: open.
        on_progress: see OnProgress.

    Returns:
        By value, without nodata.

    Raises:
        EmptySceneError: no pixel holds data.
        DamagedSceneError, SceneChangedError: see ClassMap.strips.
    """
    areas = None if class_map.grid.crs is None else PixelAreas(class_map.grid)
    counts: Counter[int] = Counter()
    sums: Counter[int] = Counter()
    for strip, values in _strips(class_map, on_progress):
        first, places = _places(values)
        found = np.bincount(places)
        sizes = found if areas is None else np.bincount(places, areas.of(strip).ravel()) / SQUARE_METRES
        for place in np.flatnonzero(found).tolist():
            counts[first[place]] += int(found[place])
            sums[first[place]] += float(sizes[place])
    strata = [MapStratum(v, counts[v], sums[v]) for v in sorted(counts) if v != class_map.nodata]
    if not strata:
        raise EmptySceneError(f"no pixel of {str(class_map.path)!r} holds data; map the scene again")
    return strata


def draw_sample(
    class_map: ClassMap,
    strata: Sequence[MapStratum],
    sizes: Sequence[int],
    seed: int,
    on_progress: OnProgress = lambda share: None,
) -> MapSample:
    """Draw a stratified random sample.

    Args:
        class_map: open.
        strata: as `map_strata` gave them.
        sizes: (S,) how many pixels of each.
        seed: the same one gives the same sample of the same map.
        on_progress: see OnProgress.

    Raises:
        MapCheckError: a size is more than the stratum has.
        DamagedSceneError, SceneChangedError: see ClassMap.strips.
    """
    if any(not 0 <= size <= stratum.pixels for stratum, size in zip(strata, sizes, strict=True)):
        raise MapCheckError(f"samples of {list(sizes)} pixels are more than the map has of a class")
    rng = np.random.default_rng(seed)
    ranks = [
        np.sort(rng.choice(stratum.pixels, size, replace=False, shuffle=False))
        for stratum, size in zip(strata, sizes, strict=True)
    ]
    areas = None if class_map.grid.crs is None else PixelAreas(class_map.grid)
    seen = [0] * len(strata)
    units: list[SampleUnit] = []
    for strip, values in _strips(class_map, on_progress):
        for place, stratum in enumerate(strata):
            there = np.flatnonzero(values == stratum.value)
            wanted = ranks[place]
            low, high = np.searchsorted(wanted, (seen[place], seen[place] + len(there)))
            for index in there[wanted[low:high] - seen[place]].tolist():
                row, col = divmod(index, strip.width)
                units.append(_unit(areas, strip.col + col, strip.row + row, place))
            seen[place] += len(there)
    units.sort(key=lambda unit: (unit.row, unit.col))  # no longer as the strips are
    order = rng.permutation(len(units))
    return MapSample(tuple(strata), tuple(units[i] for i in order), areas is not None)


def _places(values: np.ndarray) -> tuple[Sequence[int], np.ndarray]:
    """Values that may occur, and of each pixel its place among them. Sorting is left to types with too many."""
    if values.dtype.itemsize > 2:
        names, places = np.unique(values, return_inverse=True)
        return names.tolist(), places.ravel()
    span = np.iinfo(values.dtype)
    return range(span.min, span.max + 1), values.ravel().astype(np.int64) - span.min


def _unit(areas: PixelAreas | None, col: int, row: int, stratum: int) -> SampleUnit:
    area = 1.0 if areas is None else round(float(areas.of(Window(col, row, 1, 1))[0, 0]), 4)
    return SampleUnit(col, row, stratum, area)


def _strips(class_map: ClassMap, on_progress: OnProgress) -> Iterator[tuple[Window, np.ndarray]]:
    for strip, values, _ in class_map.strips():
        yield strip, values
        on_progress((strip.row + strip.height) / class_map.grid.height)
